# One VAE per configuration and seed.
MODEL_FOLDER = f"{RESULTS}/models/{{configuration}}/seed-{{seed}}"


def perceptual_file(wildcards):
    """The file of ImageNet weights, where the loss needs one."""
    perceptual = EXPERIMENT.training.perceptual
    if perceptual.weights == "random" or EXPERIMENT.training.perceptual_weight == 0:
        return []
    return perceptual.file or f"data/weights/{perceptual.network}.pth"


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
    params:
        image_size=SIZE,
        model=EXPERIMENT.model.model_dump(mode="json"),
        # How often a checkpoint is written changes no result, so it is kept out of what causes a rerun.
        training=EXPERIMENT.training.model_dump(mode="json", exclude={"checkpoint_minutes": True, "perceptual": {"file"}}),
    log:
        f"logs/{EXPERIMENT.experiment}/train/{{configuration}}-seed-{{seed}}.log",
    threads: 8
    resources:
        gpu=1,
        mem_mb=EXPERIMENT.resources.mem_mb,
        runtime=EXPERIMENT.resources.runtime,
    conda:
        "../envs/networks.yaml"
    script:
        "../../scripts/train.py"
