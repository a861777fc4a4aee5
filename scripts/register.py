"""Write down what is planned and by which rules it will be judged."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from datetime import UTC, datetime

from sluguq.claims.registration import entry, register
from sluguq.machine.jobs import job
from sluguq.stores.provenance import commit

with job(snakemake.log[0]):
    date = datetime.now(UTC).isoformat(timespec="seconds")
    new = entry(snakemake.params.configuration, snakemake.params.planned, date, commit())
    added = register(snakemake.output[0], new)
    print(f"{'registered' if added else 'unchanged since the last registration'}: rules {new['rules_version']}")
