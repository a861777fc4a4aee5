"""Fetch the ImageNet weights of a perceptual network."""

from sluguq.pretrained import fetch_weights
from sluguq.running import job

with job(snakemake.log[0]):
    fetch_weights(snakemake.wildcards.network, snakemake.output[0])
