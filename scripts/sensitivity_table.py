"""Measure how the scores change with every setting that was varied."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.analysis.sensitivity import write_sensitivity
from sluguq.machine.jobs import job

with job(snakemake.log[0]):
    write_sensitivity(
        snakemake.output[0],
        zip(snakemake.params.models, snakemake.input.references, strict=True),
        snakemake.input.varied,
        zip(snakemake.params.variants, snakemake.input.variants, strict=True),
        snakemake.params.reference,
        snakemake.params.replicates,
    )
