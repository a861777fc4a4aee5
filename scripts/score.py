"""Score the images of one data set by one model."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import shutil
from pathlib import Path

import yaml

from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import abandon_others, fingerprint, job
from sluguq.machine.owner import owned

with job(snakemake.log[0], threads=snakemake.threads), owned(snakemake.output[0]):
    prepare_networks(gpu=snakemake.resources.get("gpu", 0) > 0)
    from sluguq.stages.sample import sampled_rows
    from sluguq.stages.score import score_part, score_store
    from sluguq.stages.score_blocks import FinishedBlocks
    from sluguq.stages.unchanged import content_of_file, content_of_images, keep, put_back
    from sluguq.stores.selection import tested_rows

    settings = {
        "configuration": snakemake.wildcards.configuration,
        "seed": int(snakemake.wildcards.seed),
        "dataset": snakemake.wildcards.dataset,
        "score": snakemake.params.score,
        **({"sample": snakemake.params.sample} if snakemake.params.sample else {}),
    }
    split = next(iter(snakemake.input.get("split", [])), None)
    images = content_of_images(snakemake.input.images, split, ["*"] if split is None else ["test_*"])
    read = [images, *map(content_of_file, (snakemake.input.weights, snakemake.input.basis))]
    identity = fingerprint([settings, snakemake.params.code, read])
    rows = sampled_rows(snakemake.input.images, snakemake.params.sample)
    rows = tested_rows(snakemake.input.images, split) if split else rows
    inputs = (snakemake.input.images, rows, snakemake.input.weights, snakemake.input.basis)
    model = {
        "configuration_name": settings["configuration"],
        "seed": settings["seed"],
        "settings": settings["score"],
    }
    output = Path(snakemake.output[0])
    # What an interrupted run of this job left is gone on from; what one of other settings or code left is removed.
    state = output.with_name(f".{output.name}-{identity}")
    abandon_others(state)
    finished = FinishedBlocks(state, snakemake.input.get("parts", []))
    if snakemake.wildcards.get("part"):
        share = {"part": int(snakemake.wildcards.part), "parts": int(snakemake.wildcards.parts)}
        score_part(*inputs, **model, **share, finished=finished)
        state.mkdir(exist_ok=True)
        state.rename(output)
    elif not put_back(snakemake.output, identity):
        described = yaml.safe_dump(settings, sort_keys=False)
        score_store(*inputs, output, **model, configuration=described, finished=finished)
        keep(snakemake.output, identity)
    shutil.rmtree(state, ignore_errors=True)
