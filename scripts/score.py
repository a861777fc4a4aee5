"""Score the images of one data set by one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.score import score_store
    from sluguq.stores.selection import tested_rows

    settings = {
        "configuration": snakemake.wildcards.configuration,
        "seed": int(snakemake.wildcards.seed),
        "dataset": snakemake.wildcards.dataset,
        "score": snakemake.params.score,
    }
    split = next(iter(snakemake.input.get("split", [])), None)
    score_store(
        snakemake.input.images,
        tested_rows(snakemake.input.images, split),
        snakemake.input.weights,
        snakemake.input.basis,
        snakemake.output[0],
        configuration_name=settings["configuration"],
        seed=settings["seed"],
        settings=settings["score"],
        configuration=yaml.safe_dump(settings, sort_keys=False),
    )
