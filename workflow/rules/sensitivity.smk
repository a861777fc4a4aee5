# How the score depends on what was chosen for it: one setting varies, all others stay as the experiment has them.
# Nothing here is part of the default target; ask for `sensitivity`.
VARIED = f"{RESULTS}/sensitivity"
VARIED_SEEDS = SEEDS[: EXPERIMENT.sensitivity.seeds]
VARIANT = f"{VARIED}/{{variant}}"
SCORED_ANEW = {
    "rank": list(EXPERIMENT.varied_ranks),
    "probes": list(EXPERIMENT.sensitivity.probes),
    "prior_precision": [
        value for value in EXPERIMENT.sensitivity.prior_precision if value != EXPERIMENT.score.prior_precision
    ],
}


rule score_varied:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=f"{RESULTS}/splits/seed-{{seed}}.csv",
        weights=f"{MODEL_FOLDER}/weights.safetensors",
        basis=f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.zarr",
        code=code("score_varied.py"),
    output:
        f"{VARIED}/scores/{{configuration}}/seed-{{seed}}.csv",
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/score-{{configuration}}-seed-{{seed}}.log",
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        score=EXPERIMENT.score.model_dump(mode="json"),
        varied=SCORED_ANEW,
        per_group=EXPERIMENT.sensitivity.images,
    script:
        "../../scripts/score_varied.py"


use rule split as split_of_variant with:
    output:
        f"{VARIANT}/splits/seed-{{seed}}.csv",
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/split-seed-{{seed}}.log",
    params:
        split=lambda wildcards: {
            **EXPERIMENT.split.model_dump(mode="json"),
            "train_images": varied_value(wildcards, "training_images", EXPERIMENT.split.train_images),
        },


use rule train as train_variant with:
    input:
        images=pixels_of_variant,
        split=f"{VARIANT}/splits/seed-{{seed}}.csv",
        perceptual=perceptual_file,
        code=code("train.py"),
    output:
        weights=f"{VARIANT}/models/{{configuration}}/seed-{{seed}}/weights.safetensors",
        history=f"{VARIANT}/models/{{configuration}}/seed-{{seed}}/history.csv",
        configuration=f"{VARIANT}/models/{{configuration}}/seed-{{seed}}/configuration.yaml",
        samples=directory(f"{VARIANT}/models/{{configuration}}/seed-{{seed}}/samples.zarr"),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/train-{{configuration}}-seed-{{seed}}.log",
    params:
        image_size=lambda wildcards: varied_value(wildcards, "image_size", SIZE),


use rule eigenbasis as eigenbasis_of_variant with:
    input:
        images=pixels_of_variant,
        split=f"{VARIANT}/splits/seed-{{seed}}.csv",
        weights=f"{VARIANT}/models/{{configuration}}/seed-{{seed}}/weights.safetensors",
        code=code("eigenbasis.py"),
    output:
        basis=temp(directory(f"{VARIANT}/eigenbases/{{configuration}}/seed-{{seed}}.zarr")),
        summary=f"{VARIANT}/eigenbases/{{configuration}}/seed-{{seed}}.json",
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/eigenbasis-{{configuration}}-seed-{{seed}}.log",
    wildcard_constraints:
        seed=only_seeds(VARIED_SEEDS),


use rule score as score_variant with:
    input:
        images=pixels_of_variant,
        split=[f"{VARIANT}/splits/seed-{{seed}}.csv"],
        weights=f"{VARIANT}/models/{{configuration}}/seed-{{seed}}/weights.safetensors",
        basis=f"{VARIANT}/eigenbases/{{configuration}}/seed-{{seed}}.zarr",
        code=code("score.py"),
    output:
        directory(f"{VARIANT}/scores/{{configuration}}/seed-{{seed}}/{{dataset}}.zarr"),
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/{{variant}}/score-{{configuration}}-seed-{{seed}}-{{dataset}}.log",
    wildcard_constraints:
        dataset=EXPERIMENT.training_dataset,
    params:
        score={**EXPERIMENT.score.model_dump(mode="json"), "maps": False},


rule sensitivity_table:
    input:
        references=[f"{RESULTS}/scores/{name}/seed-{seed}/{EXPERIMENT.training_dataset}.zarr" for name, seed in MODELS],
        varied=[f"{VARIED}/scores/{name}/seed-{seed}.csv" for name in CONFIGURATIONS for seed in VARIED_SEEDS],
        variants=[
            f"{VARIED}/{variant}/scores/{name}/seed-{seed}/{EXPERIMENT.training_dataset}.zarr"
            for variant in VARIANTS
            for name in CONFIGURATIONS
            for seed in VARIED_SEEDS
        ],
        code=code("sensitivity_table.py"),
    output:
        f"{VARIED}/table.csv",
    log:
        f"logs/{EXPERIMENT.experiment}/sensitivity/table.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
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
    script:
        "../../scripts/sensitivity_table.py"


rule figure_of_sensitivity:
    input:
        dataset=f"{RESULTS}/{EXPERIMENT.training_dataset}.zarr",
        sensitivity=f"{VARIED}/table.csv",
        code=code("figures.py"),
    output:
        figure_outputs(SENSITIVITY_FOLDER, ["sensitivity"], "models"),
    log:
        f"logs/{EXPERIMENT.experiment}/figures/sensitivity.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        captions={"sensitivity": caption_of("sensitivity")},
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
