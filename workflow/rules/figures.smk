# Figures, the numbers behind them, judged claims, tables, and the pages that people read.


rule figures:
    input:
        dataset=f"{RESULTS}/{{dataset}}.zarr",
        images="data/raw/{dataset}/images.csv",
        missing="data/raw/{dataset}/missing.csv",
        rejected=f"data/images/{{dataset}}-{SIZE}px.rejected.csv",
        code=code("figures.py"),
    output:
        figure_outputs(f"{RESULTS}/figures/{{dataset}}", names_for("training"), "{dataset}"),
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
        captions={name: caption_of(name) for name in names_for("training")},
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


rule figures_of_artefacts:
    input:
        dataset=f"{RESULTS}/{ARTEFACTS}.zarr",
        code=code("figures.py"),
    output:
        figure_outputs(f"{RESULTS}/figures/{ARTEFACTS}", names_for("artefacts"), "foreign objects"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/{ARTEFACTS}.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        captions={name: caption_of(name) for name in names_for("artefacts")},
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
        captions={name: caption_of(name) for name in MODEL_FIGURES},
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


rule datasheet:
    input:
        store=f"data/images/{{dataset}}-{SIZE}px.zarr",
        images="data/raw/{dataset}/images.csv",
        missing="data/raw/{dataset}/missing.csv",
        rejected=f"data/images/{{dataset}}-{SIZE}px.rejected.csv",
        code=code("datasheet.py"),
    output:
        report(
            f"{RESULTS}/datasheets/{{dataset}}.html",
            caption="../report/datasheet.rst",
            category="{dataset}",
            labels={"figure": "datasheet"},
        ),
    log:
        f"logs/{EXPERIMENT.experiment}/datasheet/{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(EXPERIMENT.scored_datasets),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        entry=lambda wildcards: registry_name(EXPERIMENT.datasets[wildcards.dataset]),
    script:
        "../../scripts/datasheet.py"


rule tables:
    input:
        dataset=f"{RESULTS}/{{dataset}}.zarr",
        code=code("tables.py"),
    output:
        **{
            name: report(
                f"{RESULTS}/tables/{{dataset}}/{name}.csv",
                caption="../report/tables.rst",
                category="{dataset}",
                labels={"figure": f"table of {name}"},
            )
            for name in TABLES
        },
    log:
        f"logs/{EXPERIMENT.experiment}/tables/{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(EXPERIMENT.scored_datasets),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    script:
        "../../scripts/tables.py"


rule claims:
    input:
        datasets=[f"{RESULTS}/{dataset}.zarr" for dataset in AGGREGATED],
        models=f"{RESULTS}/models.zarr",
        images=f"data/raw/{EXPERIMENT.training_dataset}/images.csv",
        missing=f"data/raw/{EXPERIMENT.training_dataset}/missing.csv",
        rejected=f"data/images/{EXPERIMENT.training_dataset}-{SIZE}px.rejected.csv",
        code=code("claims.py"),
    output:
        report(
            f"{RESULTS}/claims.csv",
            caption="../report/claims.rst",
            category="claims",
            labels={"figure": "claims of both papers"},
        ),
    log:
        f"logs/{EXPERIMENT.experiment}/claims.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        names=AGGREGATED,
    script:
        "../../scripts/claims.py"


# What the page is made from; the figure of sensitivity belongs to it wherever it was once asked for.
REPORT_INPUT = {
    "claims": CLAIMS,
    "datasets": [f"{RESULTS}/{dataset}.zarr" for dataset in AGGREGATED],
    "figures": FIGURE_FILES,
    "tables": TABLE_FILES,
    "split_sizes": SPLIT_SIZES,
    # In place of vector graphics too large for a page.
    "pictures": [file.removesuffix(".svg") + ".png" for file in FIGURE_FILES],
    "datasheets": DATASHEETS,
    "sensitivity": [SENSITIVITY_FIGURE] if Path(SENSITIVITY_FIGURE).exists() else [],
    "code": code("report_page.py"),
}


rule report_page:
    input:
        **REPORT_INPUT,
    output:
        page=REPORT_PAGE,
        cards=MODEL_CARDS,
    log:
        f"logs/{EXPERIMENT.experiment}/report_page.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        names=AGGREGATED,
        configurations=CONFIGURATIONS,
    script:
        "../../scripts/report_page.py"
