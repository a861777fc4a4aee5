# How the score depends on what was chosen for it: one setting varies, all others stay as the experiment has them.
# Nothing here is part of the default target; ask for `sensitivity`.
VARIED_SEEDS = SEEDS[: EXPERIMENT.sensitivity.seeds]
VARIANT = PATHS.variant("{variant}")
SCORED_ANEW = {
    "rank": list(EXPERIMENT.varied_ranks),
    "probes": list(EXPERIMENT.sensitivity.probes),
    "prior_precision": [
        value for value in EXPERIMENT.sensitivity.prior_precision if value != EXPERIMENT.score.prior_precision
    ],
}


VARIED_WITH = {
    "code": network_code("score_varied.py"),
    "split": roles(),
    "score": EXPERIMENT.score_settings(EXPERIMENT.training_dataset),
    "varied": SCORED_ANEW,
    "per_group": EXPERIMENT.sensitivity.images,
}


rule score_varied:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=read_split(PATHS.split("{seed}"), PATHS.varied_scores("{configuration}", "{seed}"), VARIED_WITH),
        held_out=HELD_OUT,
        weights=PATHS.weights("{configuration}", "{seed}"),
        basis=PATHS.eigenbasis("{configuration}", "{seed}"),
    output:
        PATHS.varied_scores("{configuration}", "{seed}"),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/score-{{configuration}}-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/sensitivity/score-{{configuration}}-seed-{{seed}}.tsv"
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        **VARIED_WITH,
    script:
        "../../scripts/score_varied.py"


use rule split as split_of_variant with:
    output:
        VARIANT.split("{seed}"),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/split-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/split-seed-{{seed}}.tsv"
    params:
        split=lambda wildcards: {
            **EXPERIMENT.split.model_dump(mode="json", exclude={"hold_out"}),
            "train_images": varied_value(wildcards, "training_images", EXPERIMENT.split.train_images),
        },


VARIANT_TRAINED_WITH = {
    **TRAINED_WITH,
    "image_size": lambda wildcards: varied_value(wildcards, "image_size", SIZE),
    "split": lambda wildcards: roles_of_variant(wildcards),
}
VARIANT_BASIS_WITH = {**BASIS_WITH, "split": lambda wildcards: roles_of_variant(wildcards)}
VARIANT_SCORED_WITH = {
    **SCORED_WITH,
    "score": {**EXPERIMENT.score_settings(EXPERIMENT.training_dataset), "maps": False},
}


use rule train as train_variant with:
    input:
        images=pixels_of_variant,
        split=read_split(VARIANT.split("{seed}"), VARIANT.weights("{configuration}", "{seed}"), VARIANT_TRAINED_WITH),
        held_out=HELD_OUT,
        perceptual=perceptual_file,
    output:
        weights=VARIANT.weights("{configuration}", "{seed}"),
        history=VARIANT.history("{configuration}", "{seed}"),
        configuration=VARIANT.model_configuration("{configuration}", "{seed}"),
        samples=directory(VARIANT.samples("{configuration}", "{seed}")),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/train-{{configuration}}-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/train-{{configuration}}-seed-{{seed}}.tsv"
    params:
        **VARIANT_TRAINED_WITH,


use rule eigenbasis as eigenbasis_of_variant with:
    input:
        images=pixels_of_variant,
        split=read_split(
            VARIANT.split("{seed}"), VARIANT.eigenbasis_summary("{configuration}", "{seed}"), VARIANT_BASIS_WITH
        ),
        held_out=HELD_OUT,
        weights=VARIANT.weights("{configuration}", "{seed}"),
    output:
        basis=temp(directory(VARIANT.eigenbasis("{configuration}", "{seed}"))),
        summary=VARIANT.eigenbasis_summary("{configuration}", "{seed}"),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/eigenbasis-{{configuration}}-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/eigenbasis-{{configuration}}-seed-{{seed}}.tsv"
    wildcard_constraints:
        seed=only_seeds(VARIED_SEEDS),
    params:
        **VARIANT_BASIS_WITH,


_split_scored_of_variant = read_split(
    VARIANT.split("{seed}"), VARIANT.scores("{configuration}", "{seed}", "{dataset}"), VARIANT_SCORED_WITH
)


split_scored_of_variant = lambda wildcards: [_split_scored_of_variant(wildcards)]


use rule score as score_variant with:
    input:
        images=pixels_of_variant,
        split=split_scored_of_variant,
        held_out=HELD_OUT,
        weights=VARIANT.weights("{configuration}", "{seed}"),
        basis=VARIANT.eigenbasis("{configuration}", "{seed}"),
    output:
        directory(VARIANT.scores("{configuration}", "{seed}", "{dataset}")),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/score-{{configuration}}-seed-{{seed}}-{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/score-{{configuration}}-seed-{{seed}}-{{dataset}}.tsv"
    wildcard_constraints:
        dataset=EXPERIMENT.training_dataset,
    params:
        **VARIANT_SCORED_WITH,


rule sensitivity_table:
    input:
        references=[PATHS.scores(name, seed, EXPERIMENT.training_dataset) for name, seed in MODELS],
        varied=[PATHS.varied_scores(name, seed) for name in CONFIGURATIONS for seed in VARIED_SEEDS],
        variants=[
            PATHS.variant(variant).scores(name, seed, EXPERIMENT.training_dataset)
            for variant in VARIANTS
            for name in CONFIGURATIONS
            for seed in VARIED_SEEDS
        ],
    output:
        PATHS.sensitivity_table(),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/table.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/sensitivity/table.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("sensitivity_table.py"),
        models=MODELS,
        variants=[
            (*variant.rsplit("-", 1), name, seed)
            for variant in VARIANTS
            for name in CONFIGURATIONS
            for seed in VARIED_SEEDS
        ],
        reference={
            "rank": EXPERIMENT.eigenbasis.rank,
            **({"probes": EXPERIMENT.score.probes} if EXPERIMENT.score.probes else {}),
            "prior_precision": EXPERIMENT.score.prior_precision,
            **OWN_MODELS,
        },
        replicates=REPLICATES,
    script:
        "../../scripts/sensitivity_table.py"


rule figure_of_sensitivity:
    input:
        dataset=PATHS.aggregated(EXPERIMENT.training_dataset),
        sensitivity=PATHS.sensitivity_table(),
    output:
        figure_outputs(SENSITIVITY_FOLDER, ["sensitivity"], "models"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/sensitivity.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/figures/sensitivity.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("figures.py"),
        names=["sensitivity"],
        settings=CAPTION_SETTINGS,
    script:
        "../../scripts/figures.py"


# The same page as `report_page` makes, after the figure is there; once it is, `report_page` takes it up as well.
use rule report_page as report_page_with_sensitivity with:
    input:
        **{**REPORT_INPUT, "sensitivity": [SENSITIVITY_FIGURE]},


ruleorder: report_page > report_page_with_sensitivity


rule sensitivity:
    input:
        rules.figure_of_sensitivity.output,
        rules.report_page_with_sensitivity.output,
