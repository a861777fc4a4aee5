"""Draw every figure of one store, with the numbers behind it."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

from sluguq.figures.writing import write_figures
from sluguq.machine.jobs import job

with job(snakemake.log[0]):
    folder = Path(snakemake.output[0]).parent
    write_figures(folder, snakemake.params.names, **dict(snakemake.input.items()))
