"""Write every table of one store."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.analysis.making import make_tables
from sluguq.machine.jobs import job
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table

with job(snakemake.log[0]):
    made = make_tables(open_store(snakemake.input.store), snakemake.params.role, snakemake.params.replicates)
    for name, table in made.items():
        write_table(snakemake.output[name], table, sealed=False)
        print(f"{name}: {len(table)} rows")
