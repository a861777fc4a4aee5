"""Acquire one data set."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pydantic import TypeAdapter

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.machine.jobs import job
from sluguq.machine.owner import owned
from sluguq.stages.shared_data import acquisition_record
from sluguq.stages.sources_read import claim

with job(snakemake.log[0]), owned(snakemake.output.images):
    from pathlib import Path

    told = snakemake.config["told"]
    options = {**snakemake.params.options, **told["datasets"][snakemake.wildcards.dataset]}
    acquire(
        TypeAdapter(Source).validate_python(options),
        Path(snakemake.output.images).parent,
        number=snakemake.params.failures,
    )
    claim(acquisition_record(snakemake.output.images), told["experiment"], snakemake.params.options)
