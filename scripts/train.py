"""Train the network of one configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import fingerprint, job
from sluguq.stores.files import whole_file

with job(snakemake.log[0], threads=snakemake.threads):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.train import train_model

    settings = {
        "configuration": snakemake.wildcards.configuration,
        "seed": int(snakemake.wildcards.seed),
        "image_size": snakemake.params.image_size,
        "model": snakemake.params.model,
        "training": snakemake.params.training,
    }
    perceptual = next(iter(snakemake.input.get("perceptual", [])), None)
    folder = Path(snakemake.output.weights).parent
    identity = fingerprint({**settings, "code": snakemake.params.code})
    train_model(
        snakemake.input.images,
        snakemake.input.split,
        perceptual,
        weights_path=snakemake.output.weights,
        history_path=snakemake.output.history,
        samples_path=snakemake.output.samples,
        configuration_name=settings["configuration"],
        seed=settings["seed"],
        image_size=settings["image_size"],
        model=settings["model"],
        training=settings["training"],
        checkpoint_folder=folder.parent / f".{folder.name}-{identity}",
        # Not a parameter of the rule, which would cause a rerun. A number given on the command line arrives as text.
        checkpoint_minutes=float(snakemake.config.get("training", {}).get("checkpoint_minutes", 10.0)),
        configuration=yaml.safe_dump(settings, sort_keys=False),
    )
    with whole_file(snakemake.output.configuration) as partial:
        partial.write_text(yaml.safe_dump(settings, sort_keys=False))
