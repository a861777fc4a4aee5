# Who is tested and who is trained on, and which test images get artefacts drawn on them.


rule split:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        held_out=HELD_OUT,
    output:
        PATHS.split("{seed}"),
    log:
        f"logs/{EXPERIMENT.experiment}/split/seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/split/seed-{{seed}}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("split.py"),
        groups=EXPERIMENT.model_dump(mode="json")["groups"],
        configurations=EXPERIMENT.configurations,
        split=EXPERIMENT.split.model_dump(mode="json", exclude={"hold_out"}),
    script:
        "../../scripts/split.py"


DRAWN_WITH = {
    "code": code("artefacts.py"),
    "split": roles(),
    "groups": list(EXPERIMENT.groups),
    "per_group": EXPERIMENT.artefacts.images,
    "kinds": list(EXPERIMENT.artefacts.kinds),
}


rule artefacts:
    input:
        images=prepared(EXPERIMENT.training_dataset),
        split=read_split(PATHS.split("{seed}"), PATHS.artefacts("{seed}"), DRAWN_WITH),
        held_out=HELD_OUT,
    output:
        directory(PATHS.artefacts("{seed}")),
    log:
        f"logs/{EXPERIMENT.experiment}/artefacts/seed-{{seed}}.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/artefacts/seed-{{seed}}.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        **DRAWN_WITH,
    script:
        "../../scripts/artefacts.py"


rule split_sizes:
    input:
        splits=[PATHS.split(seed) for seed in SEEDS],
    output:
        report(
            SPLIT_SIZES,
            caption="../report/split_sizes.rst",
            category=EXPERIMENT.training_dataset,
            labels={"figure": "sizes of the splits"},
        ),
    log:
        f"logs/{EXPERIMENT.experiment}/split_sizes.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/split_sizes.tsv"
    conda:
        "../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("split_sizes.py"),
        seeds=SEEDS,
    script:
        "../../scripts/split_sizes.py"
