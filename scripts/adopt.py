"""Take up the trained network of one configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.adopt import adopt_model
    from sluguq.stages.keys import ModelId
    from sluguq.stages.model_files import ModelFiles

    adopt_model(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.trained,
        ModelFiles(**dict(snakemake.output.items())),
        model_id=ModelId(snakemake.wildcards.configuration, int(snakemake.wildcards.seed)),
        image_size=snakemake.params.image_size,
        model=snakemake.params.model,
        samples=snakemake.params.samples,
    )
