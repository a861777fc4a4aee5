"""Score the images of one data set by one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import yaml

from sluguq.devices import prepare_networks
from sluguq.running import job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.selection import tested_rows
    from sluguq.stages.score import score_store

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
