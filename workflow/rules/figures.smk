# Figures, the numbers behind them, judged claims, tables, and the pages that people read.


rule figures:
    input:
        dataset=PATHS.aggregated("{dataset}"),
        tables=tables_of("{dataset}", names_for("training")),
        images=acquired_images("{dataset}"),
        missing=missing_images("{dataset}"),
        rejected=rejected_images("{dataset}", SIZE),
    output:
        figure_outputs(PATHS.figures("{dataset}"), names_for("training"), "{dataset}"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/figures/{{dataset}}.tsv"
    wildcard_constraints:
        dataset="|".join(EXPERIMENT.scored_datasets),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("figures.py"),
        names=names_for("training"),
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


rule figures_of_artefacts:
    input:
        dataset=PATHS.aggregated(ARTEFACTS),
        tables=tables_of(ARTEFACTS, names_for("artefacts")),
    output:
        figure_outputs(PATHS.figures(ARTEFACTS), names_for("artefacts"), "artefacts"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/{ARTEFACTS}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/figures/{ARTEFACTS}.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("figures.py"),
        names=names_for("artefacts"),
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


rule figures_of_models:
    input:
        models=PATHS.aggregated(MODELS_STORE),
        tables=tables_of(MODELS_STORE, MODEL_FIGURES),
    output:
        figure_outputs(PATHS.figures(MODELS_STORE), MODEL_FIGURES, "models"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/models.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/figures/models.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("figures.py"),
        names=MODEL_FIGURES,
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


rule datasheet:
    input:
        store=image_store("{dataset}", SIZE),
        images=acquired_images("{dataset}"),
        missing=missing_images("{dataset}"),
        rejected=rejected_images("{dataset}", SIZE),
    output:
        report(
            PATHS.datasheet("{dataset}"),
            caption="../report/datasheet.rst",
            category="{dataset}",
            labels={"figure": "datasheet"},
        ),
    log:
        f"logs/{EXPERIMENT.experiment}/datasheet/{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/datasheet/{{dataset}}.tsv"
    wildcard_constraints:
        dataset="|".join(EXPERIMENT.scored_datasets),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("datasheet.py"),
        scale=EXPERIMENT.scale.model_dump(),
        entry=lambda wildcards: registry_name(EXPERIMENT.datasets[wildcards.dataset]),
    script:
        "../../scripts/datasheet.py"


rule tables:
    input:
        store=PATHS.aggregated("{dataset}"),
    output:
        **table_outputs("{dataset}", "training"),
    log:
        f"logs/{EXPERIMENT.experiment}/tables/{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/tables/{{dataset}}.tsv"
    wildcard_constraints:
        dataset="|".join(EXPERIMENT.scored_datasets),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=240,
    params:
        code=code("tables.py"),
        role=role_of,
        replicates=REPLICATES,
    script:
        "../../scripts/tables.py"


use rule tables as tables_of_artefacts with:
    input:
        store=PATHS.aggregated(ARTEFACTS),
    output:
        **table_outputs(ARTEFACTS, "artefacts"),
    log:
        f"logs/{EXPERIMENT.experiment}/tables/{ARTEFACTS}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/tables/{ARTEFACTS}.tsv"
    params:
        code=code("tables.py"),
        role="artefacts",
        replicates=REPLICATES,


use rule tables as tables_of_models with:
    input:
        store=PATHS.aggregated(MODELS_STORE),
    output:
        **table_outputs(MODELS_STORE, "models"),
    log:
        f"logs/{EXPERIMENT.experiment}/tables/{MODELS_STORE}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/tables/{MODELS_STORE}.tsv"
    params:
        code=code("tables.py"),
        role="models",
        replicates=REPLICATES,


rule claims:
    input:
        datasets=[PATHS.aggregated(dataset) for dataset in AGGREGATED],
        models=PATHS.aggregated(MODELS_STORE),
        images=acquired_images(EXPERIMENT.training_dataset),
        missing=missing_images(EXPERIMENT.training_dataset),
        rejected=rejected_images(EXPERIMENT.training_dataset, SIZE),
    output:
        report(
            PATHS.claims(),
            caption="../report/claims.rst",
            category="claims",
            labels={"figure": "claims of both papers"},
        ),
    log:
        f"logs/{EXPERIMENT.experiment}/claims.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/claims.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("claims.py"),
        names=AGGREGATED,
        # No input, or every run would bring a registration up to date that was to stay as it was.
        registration=REGISTRATION if Path(REGISTRATION).exists() else "",
        registered=digest_of(REGISTRATION),
        replicates=REPLICATES,
    script:
        "../../scripts/claims.py"


# What the page is made from; the figure of sensitivity belongs to it wherever it was once asked for.
REPORT_INPUT = {
    "claims": CLAIMS,
    "datasets": [PATHS.aggregated(dataset) for dataset in AGGREGATED],
    "figures": FIGURE_FILES,
    "tables": TABLE_FILES,
    "split_sizes": SPLIT_SIZES,
    # In place of vector graphics too large for a page.
    "pictures": [file.removesuffix(".svg") + ".png" for file in FIGURE_FILES],
    "datasheets": DATASHEETS,
    "sensitivity": [SENSITIVITY_FIGURE] if Path(SENSITIVITY_FIGURE).exists() else [],
    "planning": [file for file in (ROBUSTNESS, PATHS.power()) if Path(file).exists()],
}


rule report_page:
    input:
        **REPORT_INPUT,
    output:
        page=REPORT_PAGE,
        cards=MODEL_CARDS,
    log:
        f"logs/{EXPERIMENT.experiment}/report_page.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/report_page.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        code=code("report_page.py"),
        names=AGGREGATED,
        configurations=CONFIGURATIONS,
        explore=Path(EXPLORE_PAGE).name,
    script:
        "../../scripts/report_page.py"


rule explore:
    input:
        datasets=[PATHS.aggregated(dataset) for dataset in AGGREGATED],
    output:
        page=PATHS.explore(),
        files=directory(PATHS.explore_files()),
    log:
        f"logs/{EXPERIMENT.experiment}/explore.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/explore.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        code=code("explore.py"),
        names=AGGREGATED,
    script:
        "../../scripts/explore.py"


rule parquet:
    input:
        dataset=PATHS.aggregated("{dataset}"),
        reference=PATHS.aggregated(EXPERIMENT.training_dataset),
    output:
        PATHS.parquet("{dataset}"),
    log:
        f"logs/{EXPERIMENT.experiment}/parquet/{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/parquet/{{dataset}}.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("parquet.py"),
    script:
        "../../scripts/parquet.py"
