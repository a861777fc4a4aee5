"""Decode and resample the photographs of one data set."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.prepare import prepare

with job(snakemake.log[0], threads=snakemake.threads):
    prepare(
        snakemake.input.images,
        snakemake.output.store,
        snakemake.output.rejected,
        size=int(snakemake.wildcards.size),
        fit=snakemake.params.fit,
        max_pixels=snakemake.params.max_pixels,
        title=f"Images of {snakemake.wildcards.dataset} at {snakemake.wildcards.size} pixels",
        source=snakemake.wildcards.dataset,
        synthetic=snakemake.params.synthetic,
        workers=snakemake.threads,
    )
