"""Judge every claim of both papers on the stores of the experiment."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.report.verdicts import write_claims

with job(snakemake.log[0]):
    write_claims(
        snakemake.output[0],
        dict(zip(snakemake.params.names, snakemake.input.datasets, strict=True)),
        snakemake.input.models,
        images=snakemake.input.images,
        missing=snakemake.input.missing,
        rejected=snakemake.input.rejected,
        registration=snakemake.params.registration or None,
        replicates=snakemake.params.replicates,
    )
