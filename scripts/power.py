"""How likely each claim is to be decided, by seeds and images, from this run as a pilot."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

from sluguq.figures.planning import write_power
from sluguq.machine.jobs import job

with job(snakemake.log[0]):
    write_power(
        snakemake.output[0],
        Path(snakemake.output[1]).parent,
        dict(zip(snakemake.params.names, snakemake.input.datasets, strict=True)),
        replicates=snakemake.params.replicates,
        planned=tuple(snakemake.params.planned),
    )
