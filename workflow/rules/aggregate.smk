# Results of all models along configuration and seed: one store a data set, one for the models themselves.


def image_stores(wildcards):
    if wildcards.dataset == ARTEFACTS:
        return [f"{RESULTS}/artefacts/seed-{seed}.zarr" for seed in SEEDS]
    return [prepared(wildcards.dataset)]


def role_of(wildcards):
    if wildcards.dataset == ARTEFACTS:
        return "artefacts"
    return "training" if wildcards.dataset == EXPERIMENT.training_dataset else "external"


rule aggregate:
    input:
        images=image_stores,
        scores=lambda wildcards: [
            f"{RESULTS}/scores/{name}/seed-{seed}/{wildcards.dataset}.zarr" for name, seed in MODELS
        ],
        code=code("aggregate.py"),
    output:
        directory(f"{RESULTS}/{{dataset}}.zarr"),
    params:
        models=MODELS,
        experiment=EXPERIMENT.experiment,
        role=role_of,
        groups=EXPERIMENT.model_dump(mode="json")["groups"],
        configuration=resolved_yaml(EXPERIMENT),
    log:
        f"logs/{EXPERIMENT.experiment}/aggregate/{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(AGGREGATED),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    conda:
        "../envs/results.yaml"
    script:
        "../../scripts/aggregate.py"


rule aggregate_models:
    input:
        histories=[f"{RESULTS}/models/{name}/seed-{seed}/history.csv" for name, seed in MODELS],
        samples=[f"{RESULTS}/models/{name}/seed-{seed}/samples.zarr" for name, seed in MODELS],
        eigenbases=[f"{RESULTS}/eigenbases/{name}/seed-{seed}.json" for name, seed in MODELS],
        images=prepared(EXPERIMENT.training_dataset),
        code=code("aggregate_models.py"),
    output:
        directory(f"{RESULTS}/models.zarr"),
    params:
        models=MODELS,
        experiment=EXPERIMENT.experiment,
        configuration=resolved_yaml(EXPERIMENT),
    log:
        f"logs/{EXPERIMENT.experiment}/aggregate/models.log",
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    conda:
        "../envs/results.yaml"
    script:
        "../../scripts/aggregate_models.py"
