"""Write the page of every scored image, with the folder of what it shows."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.explore import write_explore_page
from sluguq.stores.store import open_stores

with job(snakemake.log[0]):
    stores = open_stores(dict(zip(snakemake.params.names, snakemake.input.datasets, strict=True)))
    write_explore_page(snakemake.output.page, stores, snakemake.output.files)
