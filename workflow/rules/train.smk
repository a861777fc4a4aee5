# One VAE per configuration and seed.
rule train:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=f"{RESULTS}/splits/seed-{{seed}}.csv",
        perceptual=perceptual_file,
        code=code("train.py"),
    output:
        weights=f"{MODEL_FOLDER}/weights.safetensors",
        history=f"{MODEL_FOLDER}/history.csv",
        configuration=f"{MODEL_FOLDER}/configuration.yaml",
        samples=directory(f"{MODEL_FOLDER}/samples.zarr"),
    log:
        f"logs/{EXPERIMENT.experiment}/train/{{configuration}}-seed-{{seed}}.log",
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        image_size=SIZE,
        model=EXPERIMENT.model.model_dump(mode="json"),
        # How often a checkpoint is written changes no result, so it is kept out of what causes a rerun.
        training=EXPERIMENT.training.model_dump(
            mode="json", exclude={"checkpoint_minutes": True, "perceptual": {"file"}}
        ),
    script:
        "../../scripts/train.py"
