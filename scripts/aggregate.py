"""Gather the scores of one data set along configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.aggregation.scores import aggregate_scores

with job(snakemake.log[0]):
    models = [(name, int(seed)) for name, seed in snakemake.params.models]
    aggregate_scores(
        snakemake.input.images,
        dict(zip(models, snakemake.input.scores, strict=True)),
        snakemake.output[0],
        rivals=dict(zip(models, snakemake.input.get("rivals", []), strict=False)),
        experiment=snakemake.params.experiment,
        dataset=snakemake.wildcards.dataset,
        role=snakemake.params.role,
        groups=snakemake.params.groups,
        configuration=snakemake.params.configuration,
    )
