"""Judge the claims again on the test images taken in other ways."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.verdicts import write_robustness

with job(snakemake.log[0]):
    write_robustness(snakemake.output[0], snakemake.input.dataset, snakemake.params.replicates)
