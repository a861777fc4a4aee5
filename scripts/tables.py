"""Write what fairness beyond means says of one data set as tidy tables."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.analysis.fairness import gaps, intersections, levels
from sluguq.machine.jobs import job
from sluguq.stores.files import whole_file
from sluguq.stores.store import open_store

with job(snakemake.log[0]):
    dataset = open_store(snakemake.input.dataset)
    for name, table_of in (("levels", levels), ("gaps", gaps), ("intersections", intersections)):
        table = table_of(dataset)
        with whole_file(snakemake.output[name]) as partial:
            table.to_csv(partial, index=False)
        print(f"{name}: {len(table)} rows")
