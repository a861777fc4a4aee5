"""Write the datasheet of one prepared data set."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.analysis.aggregated import Scale
from sluguq.datasets.registry import load_registry
from sluguq.machine.jobs import job
from sluguq.report.datasheet import write_datasheet

with job(snakemake.log[0]):
    told = write_datasheet(
        snakemake.output[0],
        store=snakemake.input.store,
        images=snakemake.input.images,
        missing=snakemake.input.missing,
        rejected=snakemake.input.rejected,
        name=snakemake.wildcards.dataset,
        entry=load_registry().get(snakemake.params.entry),
        scale=Scale(**snakemake.params.scale),
    )
    print(told)
