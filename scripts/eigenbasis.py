"""Compute the eigenbasis of one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job
from sluguq.machine.owner import owned

with job(snakemake.log[0], threads=snakemake.threads), owned(snakemake.output.basis):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.eigenbasis import compute_or_put_back
    from sluguq.stages.keys import ModelId

    compute_or_put_back(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.weights,
        snakemake.output.basis,
        snakemake.output.summary,
        model_id=ModelId(snakemake.wildcards.configuration, int(snakemake.wildcards.seed)),
        settings=snakemake.params.eigenbasis,
        parameters=snakemake.params.parameters,
        code=snakemake.params.code,
        stays=snakemake.rule.endswith("eigenbasis"),
    )
