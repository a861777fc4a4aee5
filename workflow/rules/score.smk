# SLUG, errors and maps of every image by every model.


rule score:
    input:
        images=pixels_scored,
        split=lambda wildcards: (
            [ancient(PATHS.split(wildcards.seed))] if wildcards.dataset == EXPERIMENT.training_dataset else []
        ),
        weights=PATHS.weights("{configuration}", "{seed}"),
        basis=PATHS.eigenbasis("{configuration}", "{seed}"),
    output:
        directory(PATHS.scores("{configuration}", "{seed}", "{dataset}")),
    log:
        f"logs/{EXPERIMENT.experiment}/score/{{configuration}}-seed-{{seed}}-{{dataset}}.log",
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        code=network_code("score.py"),
        split=lambda wildcards: roles() if wildcards.dataset == EXPERIMENT.training_dataset else {},
        score=EXPERIMENT.score.model_dump(mode="json"),
    script:
        "../../scripts/score.py"
