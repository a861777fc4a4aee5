"""Take up the trained network of one configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job
from sluguq.stores.files import whole_file

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.adopt import adopt_model

    settings = {
        "configuration": snakemake.wildcards.configuration,
        "seed": int(snakemake.wildcards.seed),
        "image_size": snakemake.params.image_size,
        "model": snakemake.params.model,
    }
    adopt_model(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.trained,
        weights_path=snakemake.output.weights,
        history_path=snakemake.output.history,
        samples_path=snakemake.output.samples,
        configuration_name=settings["configuration"],
        seed=settings["seed"],
        image_size=settings["image_size"],
        model=settings["model"],
        samples=snakemake.params.samples,
        configuration=yaml.safe_dump(settings, sort_keys=False),
    )
    with whole_file(snakemake.output.configuration) as partial:
        partial.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
