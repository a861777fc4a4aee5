"""Fetch the ImageNet weights of a perceptual network."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.machine.jobs import job
from sluguq.stages.perceptual_weights import fetch_weights

with job(snakemake.log[0]):
    fetch_weights(snakemake.wildcards.network, snakemake.output[0])
