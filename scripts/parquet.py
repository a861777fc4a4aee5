"""Write a data set as one table with pictures, one row per image."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.parquet import write_parquet
from sluguq.stores.store import open_store

with job(snakemake.log[0]):
    write_parquet(snakemake.output[0], open_store(snakemake.input.dataset), open_store(snakemake.input.reference))
