"""Score the images of one data set by one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job
from sluguq.machine.owner import owned

with job(snakemake.log[0], threads=snakemake.threads), owned(snakemake.output[0]):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.keys import ModelId
    from sluguq.stages.score import score_or_put_back

    names = snakemake.wildcards
    score_or_put_back(
        snakemake.input.images,
        next(iter(snakemake.input.get("split", [])), None),
        snakemake.input.weights,
        snakemake.input.basis,
        snakemake.output[0],
        model_id=ModelId(names.configuration, int(names.seed)),
        dataset=names.dataset,
        settings=snakemake.params.score,
        sample=snakemake.params.sample,
        code=snakemake.params.code,
        parts=snakemake.input.get("parts", []),
        share=(int(names.part), int(names.parts)) if names.get("part") else None,
    )
