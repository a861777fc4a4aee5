"""Take up the trained network of one configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.adopt import adopt_model

    adopt_model(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.trained,
        weights_path=snakemake.output.weights,
        history_path=snakemake.output.history,
        samples_path=snakemake.output.samples,
        configuration_path=snakemake.output.configuration,
        configuration_name=snakemake.wildcards.configuration,
        seed=int(snakemake.wildcards.seed),
        image_size=snakemake.params.image_size,
        model=snakemake.params.model,
        samples=snakemake.params.samples,
    )
