"""Compute the eigenbasis of one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import fingerprint, job
from sluguq.machine.owner import owned

with job(snakemake.log[0], threads=snakemake.threads), owned(snakemake.output.basis):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.eigenbasis import compute_basis
    from sluguq.stages.unchanged import content_of_images, forget, keep, put_back

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
    trained = [f"train_{settings['configuration']}"]
    seen = fingerprint([identity, content_of_images(snakemake.input.images, snakemake.input.split, trained)])
    if not put_back(snakemake.output, seen):
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
        # One that is removed after scoring is to leave its room.
        (keep if snakemake.rule.endswith("eigenbasis") else forget)(snakemake.output, seen)
