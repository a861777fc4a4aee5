# One network per configuration and seed.
TRAINED_WITH = {
    "code": network_code("train.py"),
    "image_size": SIZE,
    "model": EXPERIMENT.model.model_dump(mode="json"),
    "split": lambda wildcards: roles(wildcards.configuration),
    # How often a checkpoint is written, and how many pictures are kept, changes no weight: kept out of what causes
    # a rerun.
    "training": EXPERIMENT.training.model_dump(
        mode="json",
        exclude={"checkpoint_minutes": True, "snapshots": True, "samples": True, "perceptual": {"file"}},
    ),
}


rule train:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=read_split(PATHS.split("{seed}"), PATHS.weights("{configuration}", "{seed}"), TRAINED_WITH),
        held_out=HELD_OUT,
        perceptual=perceptual_file,
    output:
        weights=PATHS.weights("{configuration}", "{seed}"),
        history=PATHS.history("{configuration}", "{seed}"),
        configuration=PATHS.model_configuration("{configuration}", "{seed}"),
        samples=directory(PATHS.samples("{configuration}", "{seed}")),
    log:
        f"logs/{EXPERIMENT.experiment}/train/{{configuration}}-seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/train/{{configuration}}-seed-{{seed}}.tsv"
    conda:
        NETWORKS_ENVIRONMENT
    threads: 8
    resources:
        gpu=int(EXPERIMENT.resources.gpu),
        mem_mb=memory(EXPERIMENT.resources.mem_mb),
        runtime=EXPERIMENT.resources.runtime,
    params:
        **TRAINED_WITH,
    script:
        "../../scripts/train.py"


# In its place where the configuration names networks that are trained already.
if EXPERIMENT.model.weights:

    rule adopt:
        input:
            images=prepared(EXPERIMENT.training_dataset),
            split=PATHS.split("{seed}"),
            trained=lambda wildcards: local(
                weights_file(EXPERIMENT.model.weights, wildcards.configuration, wildcards.seed)
            ),
        output:
            weights=PATHS.weights("{configuration}", "{seed}"),
            history=PATHS.history("{configuration}", "{seed}"),
            configuration=PATHS.model_configuration("{configuration}", "{seed}"),
            samples=directory(PATHS.samples("{configuration}", "{seed}")),
        log:
            f"logs/{EXPERIMENT.experiment}/adopt/{{configuration}}-seed-{{seed}}.log",
        benchmark:
            f"logs/{EXPERIMENT.experiment}/adopt/{{configuration}}-seed-{{seed}}.tsv"
        conda:
            NETWORKS_ENVIRONMENT
        threads: 8
        resources:
            gpu=int(EXPERIMENT.resources.gpu),
            mem_mb=memory(EXPERIMENT.resources.mem_mb),
            runtime=60,
        params:
            code=network_code("adopt.py"),
            image_size=SIZE,
            model=EXPERIMENT.model.model_dump(mode="json", include={"network", "options"}),
            samples=EXPERIMENT.training.samples,
        script:
            "../../scripts/adopt.py"

    ruleorder: adopt > train
