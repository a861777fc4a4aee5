"""Draw the test and training sets of one seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.datasets.splits import make_split
from sluguq.machine.jobs import job
from sluguq.stores.files import whole_file
from sluguq.stores.selection import image_table

with job(snakemake.log[0]):
    split = make_split(
        image_table(snakemake.input.images),
        snakemake.params.groups,
        snakemake.params.configurations,
        seed=int(snakemake.wildcards.seed),
        **snakemake.params.split,
    )
    with whole_file(snakemake.output[0]) as partial:
        split.to_csv(partial, index=False)
