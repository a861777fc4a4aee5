"""How likely each claim is to be decided, by seeds and images, from this run as a pilot."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

from sluguq.claims import Run
from sluguq.claims.power import power
from sluguq.figures.drawing import save
from sluguq.figures.planning import power as draw_power
from sluguq.machine.jobs import job
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table

with job(snakemake.log[0]):
    asked = snakemake.params
    stores = {name: open_store(path) for name, path in zip(asked.names, snakemake.input.datasets, strict=True)}
    planned = tuple(asked.planned)
    table = power(Run(stores, None, asked.replicates), planned[1], planned=planned)
    write_table(snakemake.output[0], table, sealed=False)
    save(*draw_power(table), Path(snakemake.output[1]).parent, "power", origin=f"experiment of {planned}")
