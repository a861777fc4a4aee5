"""Score the images of one data set by one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import fingerprint, job
from sluguq.machine.owner import owned

with job(snakemake.log[0], threads=snakemake.threads), owned(snakemake.output[0]):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.score import score_store
    from sluguq.stages.unchanged import content_of_file, content_of_images, keep, put_back
    from sluguq.stores.selection import tested_rows

    settings = {
        "configuration": snakemake.wildcards.configuration,
        "seed": int(snakemake.wildcards.seed),
        "dataset": snakemake.wildcards.dataset,
        "score": snakemake.params.score,
    }
    split = next(iter(snakemake.input.get("split", [])), None)
    images = content_of_images(snakemake.input.images, split, ["*"] if split is None else ["test_*"])
    read = [images, *map(content_of_file, (snakemake.input.weights, snakemake.input.basis))]
    identity = fingerprint([settings, snakemake.params.code, read])
    if not put_back(snakemake.output, identity):
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
        keep(snakemake.output, identity)
