"""Write down what is planned and by which rules it will be judged."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.verdicts import write_registration

with job(snakemake.log[0]):
    write_registration(snakemake.output[0], snakemake.params.configuration, snakemake.params.planned)
