# The leading eigenvectors of every model's generalised Gauss-Newton matrix.
# Which ones outlive the scoring is `eigenbasis.keep`: at full size a model's vectors take gigabytes.
rule eigenbasis:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=f"{RESULTS}/splits/seed-{{seed}}.csv",
        weights=f"{MODEL_FOLDER}/weights.safetensors",
        code=code("eigenbasis.py"),
    output:
        basis=directory(f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.zarr"),
        summary=f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.json",
    log:
        f"logs/{EXPERIMENT.experiment}/eigenbasis/{{configuration}}-seed-{{seed}}.log",
    wildcard_constraints:
        seed=only_seeds(KEPT_SEEDS),
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        eigenbasis=EXPERIMENT.eigenbasis.model_dump(mode="json", exclude={"keep"}),
        parameters=EXPERIMENT.score.parameters,
    script:
        "../../scripts/eigenbasis.py"


use rule eigenbasis as eigenbasis_until_scored with:
    output:
        basis=temp(directory(f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.zarr")),
        summary=f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.json",
    wildcard_constraints:
        seed=only_seeds([seed for seed in SEEDS if seed not in KEPT_SEEDS]),
