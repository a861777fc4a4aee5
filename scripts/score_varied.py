"""Score some test images of one model under other ranks, probes and prior precisions."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.keys import ModelId
    from sluguq.stages.score_varied import score_varied

    score_varied(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.weights,
        snakemake.input.basis,
        snakemake.output[0],
        model_id=ModelId(snakemake.wildcards.configuration, int(snakemake.wildcards.seed)),
        settings=snakemake.params.score,
        varied=snakemake.params.varied,
        per_group=snakemake.params.per_group,
    )
