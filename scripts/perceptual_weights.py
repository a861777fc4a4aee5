"""Fetch the ImageNet weights of a perceptual network."""

from sluguq.running import job

with job(snakemake.log[0]):
    from sluguq.pretrained import fetch_weights

    fetch_weights(snakemake.wildcards.network, snakemake.output[0])
