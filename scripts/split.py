"""Draw the test and training sets of one seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.split import draw_split

with job(snakemake.log[0]):
    draw_split(
        snakemake.input.images,
        snakemake.output[0],
        snakemake.params.groups,
        snakemake.params.configurations,
        seed=int(snakemake.wildcards.seed),
        held_out=snakemake.input.held_out,
        **snakemake.params.split,
    )
