"""Judge the claims again on the test images taken in other ways."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.claims.robustness import robustness
from sluguq.machine.jobs import job
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table

with job(snakemake.log[0]):
    table = robustness(open_store(snakemake.input.dataset), snakemake.params.replicates)
    write_table(snakemake.output[0], table, sealed=False)
    print(table.groupby("variant", sort=False)["same"].agg(["sum", "size"]).to_string())
