# Results of all models along configuration and seed: one store a data set, one for the models themselves.


rule aggregate:
    input:
        images=image_stores,
        scores=lambda wildcards: [PATHS.scores(name, seed, wildcards.dataset) for name, seed in MODELS],
        rivals=lambda wildcards: (
            [PATHS.rivals(name, seed) for name, seed in MODELS]
            if EXPERIMENT.score.rivals and wildcards.dataset == EXPERIMENT.training_dataset
            else []
        ),
    output:
        directory(PATHS.aggregated("{dataset}")),
    log:
        f"logs/{EXPERIMENT.experiment}/aggregate/{{dataset}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/aggregate/{{dataset}}.tsv"
    wildcard_constraints:
        dataset="|".join(AGGREGATED),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        code=code("aggregate.py"),
        models=MODELS,
        experiment=EXPERIMENT.experiment,
        role=role_of,
        groups=EXPERIMENT.model_dump(mode="json")["groups"],
        configuration=lambda wildcards: CONFIGURATION,
    script:
        "../../scripts/aggregate.py"


rule aggregate_models:
    input:
        histories=[PATHS.history(name, seed) for name, seed in MODELS],
        samples=[PATHS.samples(name, seed) for name, seed in MODELS],
        eigenbases=[PATHS.eigenbasis_summary(name, seed) for name, seed in MODELS],
        images=prepared(EXPERIMENT.training_dataset),
        splits=[PATHS.split(seed) for seed in SEEDS],
    output:
        directory(PATHS.aggregated(MODELS_STORE)),
    log:
        f"logs/{EXPERIMENT.experiment}/aggregate/models.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/aggregate/models.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("aggregate_models.py"),
        models=MODELS,
        seeds=SEEDS,
        experiment=EXPERIMENT.experiment,
        groups=EXPERIMENT.model_dump(mode="json")["groups"],
        configuration=lambda wildcards: CONFIGURATION,
    script:
        "../../scripts/aggregate_models.py"
