"""Judge every claim of both papers on the stores of the experiment."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.claims import judge
from sluguq.claims.registration import read_registration
from sluguq.datasets.availability import availability_of
from sluguq.machine.jobs import job
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table

with job(snakemake.log[0]):
    stores = {
        name: open_store(path) for name, path in zip(snakemake.params.names, snakemake.input.datasets, strict=True)
    }
    labels = availability_of(*(snakemake.input[name] for name in ("images", "missing", "rejected")))
    path = snakemake.params.registration
    judged = judge(
        stores,
        labels,
        snakemake.params.replicates,
        open_store(snakemake.input.models),
        read_registration(path) if path else (),
    )
    write_table(snakemake.output[0], judged, sealed=False)
    print(judged[["claim", "verdict"]].to_string(index=False))
