# The leading eigenvectors of every model's generalised Gauss-Newton matrix.
# Which ones outlive the scoring is `eigenbasis.keep`: at full size a model's vectors take gigabytes.
BASIS_WITH = {
    "code": network_code("eigenbasis.py"),
    "split": lambda wildcards: roles(wildcards.configuration),
    "eigenbasis": eigenbasis_settings(),
    "parameters": EXPERIMENT.score.parameters,
}


rule eigenbasis:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=read_split(PATHS.split("{seed}"), PATHS.eigenbasis_summary("{configuration}", "{seed}"), BASIS_WITH),
        held_out=HELD_OUT,
        weights=PATHS.weights("{configuration}", "{seed}"),
    output:
        basis=directory(PATHS.eigenbasis("{configuration}", "{seed}")),
        summary=PATHS.eigenbasis_summary("{configuration}", "{seed}"),
    log:
        f"logs/{EXPERIMENT.experiment}/eigenbasis/{{configuration}}-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/eigenbasis/{{configuration}}-seed-{{seed}}.tsv"
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
        **BASIS_WITH,
    script:
        "../../scripts/eigenbasis.py"


use rule eigenbasis as eigenbasis_until_scored with:
    output:
        basis=temp(directory(PATHS.eigenbasis("{configuration}", "{seed}"))),
        summary=PATHS.eigenbasis_summary("{configuration}", "{seed}"),
    wildcard_constraints:
        seed=only_seeds([seed for seed in SEEDS if seed not in KEPT_SEEDS]),
