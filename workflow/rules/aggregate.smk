# Results of all models along configuration and seed: one store a data set, one for the models themselves.


rule aggregate:
    input:
        images=image_stores,
        scores=lambda wildcards: [
            f"{RESULTS}/scores/{name}/seed-{seed}/{wildcards.dataset}.zarr" for name, seed in MODELS
        ],
        code=code("aggregate.py"),
    output:
        directory(f"{RESULTS}/{{dataset}}.zarr"),
    log:
        f"logs/{EXPERIMENT.experiment}/aggregate/{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(AGGREGATED),
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        models=MODELS,
        experiment=EXPERIMENT.experiment,
        role=role_of,
        groups=EXPERIMENT.model_dump(mode="json")["groups"],
        configuration=CONFIGURATION,
    script:
        "../../scripts/aggregate.py"


rule aggregate_models:
    input:
        histories=[f"{RESULTS}/models/{name}/seed-{seed}/history.csv" for name, seed in MODELS],
        samples=[f"{RESULTS}/models/{name}/seed-{seed}/samples.zarr" for name, seed in MODELS],
        eigenbases=[f"{RESULTS}/eigenbases/{name}/seed-{seed}.json" for name, seed in MODELS],
        images=prepared(EXPERIMENT.training_dataset),
        splits=[f"{RESULTS}/splits/seed-{seed}.csv" for seed in SEEDS],
        code=code("aggregate_models.py"),
    output:
        directory(f"{RESULTS}/models.zarr"),
    log:
        f"logs/{EXPERIMENT.experiment}/aggregate/models.log",
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        models=MODELS,
        seeds=SEEDS,
        experiment=EXPERIMENT.experiment,
        groups=EXPERIMENT.model_dump(mode="json")["groups"],
        configuration=CONFIGURATION,
    script:
        "../../scripts/aggregate_models.py"
