"""Compute the eigenbasis of one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import fingerprint, job

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.eigenbasis import compute_basis

    settings = {
        "configuration": snakemake.wildcards.configuration,
        "seed": int(snakemake.wildcards.seed),
        "eigenbasis": snakemake.params.eigenbasis,
        "parameters": snakemake.params.parameters,
    }
    identity = fingerprint(
        {**settings, "code": snakemake.params.code}, [snakemake.input.weights, snakemake.input.split]
    )
    basis = Path(snakemake.output.basis)
    compute_basis(
        snakemake.input.images,
        snakemake.input.split,
        snakemake.input.weights,
        basis,
        snakemake.output.summary,
        configuration_name=settings["configuration"],
        seed=settings["seed"],
        settings=settings["eigenbasis"],
        parameters=settings["parameters"],
        checkpoint_folder=basis.parent / f".{basis.stem}-{identity}",
        configuration=yaml.safe_dump(settings, sort_keys=False),
    )
