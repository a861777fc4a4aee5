"""Write every table of one store."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.analysis.making import write_tables
from sluguq.machine.jobs import job

with job(snakemake.log[0]):
    write_tables(
        dict(snakemake.output.items()), snakemake.input.store, snakemake.params.role, snakemake.params.replicates
    )
