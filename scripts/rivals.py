"""Score a seed's test images by SLUG of some of one model's weights."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.keys import ModelId
    from sluguq.stages.rivals import score_rivals

    score_rivals(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.weights,
        snakemake.output[0],
        model_id=ModelId(snakemake.wildcards.configuration, int(snakemake.wildcards.seed)),
        rivals=snakemake.params.rivals,
        basis=snakemake.params.eigenbasis,
        score=snakemake.params.score,
    )
