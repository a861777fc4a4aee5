# SLUG, errors and maps of every image by every model.


rule score:
    input:
        images=pixels_scored,
        split=lambda wildcards: (
            [f"{RESULTS}/splits/seed-{wildcards.seed}.csv"] if wildcards.dataset == EXPERIMENT.training_dataset else []
        ),
        weights=f"{MODEL_FOLDER}/weights.safetensors",
        basis=f"{RESULTS}/eigenbases/{{configuration}}/seed-{{seed}}.zarr",
        code=code("score.py"),
    output:
        directory(f"{RESULTS}/scores/{{configuration}}/seed-{{seed}}/{{dataset}}.zarr"),
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
        score=EXPERIMENT.score.model_dump(mode="json"),
    script:
        "../../scripts/score.py"
