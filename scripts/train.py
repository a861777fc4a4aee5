"""Train the network of one configuration and seed."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

from pathlib import Path

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import abandon_others, fingerprint, job
from sluguq.machine.owner import owned
from sluguq.stores.files import whole_file

with job(snakemake.log[0], threads=snakemake.threads), owned(Path(snakemake.output.weights).parent):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.train import train_model
    from sluguq.stages.unchanged import content_of_file, content_of_images, keep, put_back

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
    shown = [f"train_{settings['configuration']}", "test_*"]
    content = content_of_images(snakemake.input.images, snakemake.input.split, shown)
    learnt = fingerprint([identity, content, content_of_file(perceptual) if perceptual else None])
    if not put_back(snakemake.output, learnt):
        # Not parameters of the rule, which would cause a rerun.
        told = snakemake.config["told"]
        settings["training"] = {**settings["training"], **told["pictures"]}
        state = folder.parent / f".{folder.name}-{identity}"
        abandon_others(state)
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
            checkpoint_folder=state,
            checkpoint_minutes=told["checkpoint_minutes"],
            configuration=yaml.safe_dump(settings, sort_keys=False),
        )
        with whole_file(snakemake.output.configuration) as partial:
            partial.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        keep(snakemake.output, learnt)
