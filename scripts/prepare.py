"""Decode and resample the photographs of one data set."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.machine.owner import owned
from sluguq.stages.prepare import prepare
from sluguq.stages.shared_data import preparation_record
from sluguq.stages.sources_read import claim

with job(snakemake.log[0], threads=snakemake.threads), owned(snakemake.output.store):
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
    record = preparation_record(snakemake.output.store)
    claim(record, snakemake.config["told"]["experiment"], {"fit": snakemake.params.fit})
