"""Gather histories, spectra and pictures of all models."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.aggregation.models import aggregate_models

with job(snakemake.log[0]):
    models = [(name, int(seed)) for name, seed in snakemake.params.models]
    aggregate_models(
        dict(zip(models, snakemake.input.histories, strict=True)),
        dict(zip(models, snakemake.input.eigenbases, strict=True)),
        dict(zip(models, snakemake.input.samples, strict=True)),
        snakemake.input.images,
        dict(zip(snakemake.params.seeds, snakemake.input.splits, strict=True)),
        snakemake.output[0],
        experiment=snakemake.params.experiment,
        groups=snakemake.params.groups,
        configuration=snakemake.params.configuration,
    )
