# Figures, the numbers behind them, judged claims, tables, and the pages that people read.


rule figures:
    input:
        dataset=f"{RESULTS}/{{dataset}}.zarr",
        images="data/raw/{dataset}/images.csv",
        missing="data/raw/{dataset}/missing.csv",
        rejected=f"data/images/{{dataset}}-{SIZE}px.rejected.csv",
        code=code("figures.py"),
    output:
        figure_outputs(f"{RESULTS}/figures/{{dataset}}", DATASET_FIGURES, "{dataset}"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(EXPERIMENT.scored_datasets),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        names=DATASET_FIGURES,
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


rule figures_of_models:
    input:
        models=f"{RESULTS}/models.zarr",
        code=code("figures.py"),
    output:
        figure_outputs(f"{RESULTS}/figures/models", MODEL_FIGURES, "models"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/models.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        names=MODEL_FIGURES,
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"
