"""Count the images of every role in every split, and how many of them come more than once."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.split import write_split_sizes

with job(snakemake.log[0]):
    write_split_sizes(snakemake.output[0], dict(zip(snakemake.params.seeds, snakemake.input.splits, strict=True)))
