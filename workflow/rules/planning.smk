# What is written down before a run, how large it has to be, and whether its verdicts stand when the data are taken in
# other ways. Nothing here is part of the default target.

PLANNED = {
    "datasets": {name: role for name, role in ROLES.items() if name in EXPERIMENT.scored_datasets},
    "configurations": EXPERIMENT.model_dump(mode="json")["configurations"],
    "groups": EXPERIMENT.model_dump(mode="json")["groups"],
    "seeds": SEEDS,
    "test_images": EXPERIMENT.split.test_images,
    "train_images": EXPERIMENT.split.train_images,
    "replicates": REPLICATES,
}


rule register:
    output:
        update(REGISTRATION),
    log:
        f"logs/{EXPERIMENT.experiment}/register.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/register.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        code=code("register.py"),
        configuration=CONFIGURATION,
        planned=PLANNED,
    script:
        "../../scripts/register.py"


rule power:
    input:
        datasets=[PATHS.aggregated(dataset) for dataset in AGGREGATED],
    output:
        report(
            PATHS.power(),
            caption="../report/power.rst",
            category="claims",
            labels={"figure": "power of the claims"},
        ),
        figure_outputs(PATHS.figures("planning"), ["power"], "claims"),
    log:
        f"logs/{EXPERIMENT.experiment}/power.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/power.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        code=code("power.py"),
        names=AGGREGATED,
        replicates=REPLICATES,
        planned=(len(SEEDS), EXPERIMENT.split.test_images),
    script:
        "../../scripts/power.py"


rule robustness:
    input:
        dataset=PATHS.aggregated(EXPERIMENT.training_dataset),
    output:
        report(
            ROBUSTNESS,
            caption="../report/robustness.rst",
            category="claims",
            labels={"figure": "robustness of the verdicts"},
        ),
    log:
        f"logs/{EXPERIMENT.experiment}/robustness.log",
    benchmark:
        f"logs/{EXPERIMENT.experiment}/robustness.tsv"
    conda:
        "../envs/results.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        code=code("robustness.py"),
        replicates=REPLICATES,
    script:
        "../../scripts/robustness.py"
