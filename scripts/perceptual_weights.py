"""Fetch the ImageNet weights of a perceptual network."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from sluguq.datasets.pretrained_weights import fetch_weights
from sluguq.running import job

with job(snakemake.log[0]):
    fetch_weights(snakemake.wildcards.network, snakemake.output[0])
