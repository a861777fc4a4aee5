# The leading eigenvectors of every model's generalised Gauss-Newton matrix.
# Which ones outlive the scoring is `eigenbasis.keep`: at full size a model's vectors take gigabytes.
KEPT_SEEDS = {"all": SEEDS, "first_seed": SEEDS[:1], "until_scored": []}[EXPERIMENT.eigenbasis.keep]


def only_seeds(seeds):
    """Regular expression of these seeds; one that nothing matches where there are none."""
    return "|".join(map(str, seeds)) or "(?!)"


rule eigenbasis:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=f"{RESULTS}/splits/seed-{{seed}}.csv",
        weights=f"{MODEL_FOLDER}/weights.safetensors",
        code=code("eigenbasis.py"),
    output:
        basis=directory(f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.zarr"),
        summary=f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.json",
    params:
        eigenbasis=EXPERIMENT.eigenbasis.model_dump(mode="json", exclude={"keep"}),
        parameters=EXPERIMENT.score.parameters,
    log:
        f"logs/{EXPERIMENT.experiment}/eigenbasis/{{configuration}}-seed-{{seed}}.log",
    wildcard_constraints:
        seed=only_seeds(KEPT_SEEDS),
    threads: 8
    resources:
        gpu=1,
        mem_mb=EXPERIMENT.resources.mem_mb,
        runtime=EXPERIMENT.resources.runtime,
    conda:
        "../envs/networks.yaml"
    script:
        "../../scripts/eigenbasis.py"


use rule eigenbasis as eigenbasis_until_scored with:
    output:
        basis=temp(directory(f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.zarr")),
        summary=f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.json",
    wildcard_constraints:
        seed=only_seeds([seed for seed in SEEDS if seed not in KEPT_SEEDS]),
