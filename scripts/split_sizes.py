"""Count the images of every role in every split, and how many of them come more than once."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import pandas as pd

from sluguq.datasets.splits import split_sizes
from sluguq.machine.jobs import job
from sluguq.stores.files import whole_file

with job(snakemake.log[0]):
    splits = dict(zip(snakemake.params.seeds, map(pd.read_csv, snakemake.input.splits), strict=True))
    with whole_file(snakemake.output[0]) as partial:
        split_sizes(splits).to_csv(partial, index=False)
