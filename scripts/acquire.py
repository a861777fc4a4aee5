"""Acquire one data set."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pydantic import TypeAdapter

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.machine.jobs import job

with job(snakemake.log[0]):
    from pathlib import Path

    options = TypeAdapter(Source).validate_python(snakemake.params.options)
    acquire(options, Path(snakemake.output.images).parent)
