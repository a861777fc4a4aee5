"""Write what the experiment found as a page of its own."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.findings import write_findings

with job(snakemake.log[0]):
    write_findings(
        snakemake.params.experiment,
        snakemake.params.folder,
        paper=snakemake.params.paper,
        configfile=snakemake.params.configfile,
    )
