"""Train the network of one configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job
from sluguq.machine.owner import owned

with job(snakemake.log[0], threads=snakemake.threads), owned(Path(snakemake.output.weights).parent):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.keys import ModelId
    from sluguq.stages.model_files import ModelFiles
    from sluguq.stages.train import train_or_put_back

    # Not parameters of the rule, which would cause a rerun.
    told = snakemake.config["told"]
    train_or_put_back(
        snakemake.input.images,
        snakemake.input.split,
        next(iter(snakemake.input.get("perceptual", [])), None),
        ModelFiles(**dict(snakemake.output.items())),
        model_id=ModelId(snakemake.wildcards.configuration, int(snakemake.wildcards.seed)),
        image_size=snakemake.params.image_size,
        model=snakemake.params.model,
        training=snakemake.params.training,
        pictures=told["pictures"],
        checkpoint_minutes=told["checkpoint_minutes"],
        code=snakemake.params.code,
    )
