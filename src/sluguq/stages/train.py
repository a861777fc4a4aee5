"""Training of one model: pixels from the store, weights, history and pictures to files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sluguq.machine.devices import device_in_words
from sluguq.machine.jobs import abandon_others, fingerprint
from sluguq.networks.network import Network
from sluguq.networks.objective import ObjectiveSettings
from sluguq.networks.perceptual.features import Perceptual, load_perceptual
from sluguq.networks.reconstruction import reconstruct
from sluguq.networks.registry import settings_of
from sluguq.networks.training import TrainingSettings, train
from sluguq.networks.weights import save_network
from sluguq.stages.keys import ModelId
from sluguq.stages.model_files import ModelFiles
from sluguq.stages.pictures import samples_of, shown_images, write_pictures
from sluguq.stages.settings import in_yaml, write_settings
from sluguq.stages.unchanged import content_of_file, content_of_images, keep, put_back
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table


def training_settings(model: Mapping[str, Any], training: Mapping[str, Any], image_size: int) -> TrainingSettings:
    """Settings of the numerics from the sections `model` and `training` of the configuration.

    :param model: the section ``model``.
    :param training: the section ``training``.
    :param image_size: height and width in pixels.
    """
    names = ("epochs", "batch_size", "learning_rate", "schedule", "gradient_clip", "flip", "last_batch", "precision")
    weights = ("mse_weight", "kl_weight", "perceptual_weight", "reduction")
    return TrainingSettings(
        network=settings_of(model, image_size),
        objective=ObjectiveSettings(**{name: training[name] for name in weights}),
        **{name: training[name] for name in names},
    )


def train_or_put_back(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    perceptual_file: str | os.PathLike[str] | None,
    files: ModelFiles,
    *,
    model_id: ModelId,
    image_size: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    pictures: Mapping[str, int],
    checkpoint_minutes: float,
    code: str,
) -> None:
    """Train one network, unless nothing that its weights depend on has changed since it was trained.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param perceptual_file: ImageNet weights of the perceptual network, None for random ones or no such term.
    :param files: what to write.
    :param model_id: which model.
    :param image_size: height and width in pixels.
    :param model: the section ``model`` of the configuration.
    :param training: the section ``training``, without what changes no weight.
    :param pictures: the numbers of ``snapshots`` and ``samples``, which change no weight.
    :param checkpoint_minutes: minutes between two checkpoints.
    :param code: fingerprint of the code that trains.
    """
    settings = _recipe(model_id, image_size, model, training)
    identity = fingerprint({**settings, "code": code})
    content = content_of_images(images, split, [f"train_{model_id.configuration}", "test_*"])
    learnt = fingerprint([identity, content, content_of_file(perceptual_file) if perceptual_file else None])
    if put_back(list(files), learnt):
        return
    folder = Path(files.weights).parent
    state = folder.parent / f".{folder.name}-{identity}"
    abandon_others(state)
    train_model(
        images,
        split,
        perceptual_file,
        files,
        model_id=model_id,
        image_size=image_size,
        model=model,
        training={**training, **pictures},
        checkpoint_folder=state,
        checkpoint_minutes=checkpoint_minutes,
    )
    keep(list(files), learnt)


def train_model(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    perceptual_file: str | os.PathLike[str] | None,
    files: ModelFiles,
    *,
    model_id: ModelId,
    image_size: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    checkpoint_folder: str | os.PathLike[str],
    checkpoint_minutes: float,
) -> None:
    """Train one network and write its weights, its history and pictures of what it learnt.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param perceptual_file: ImageNet weights of the perceptual network, None for random ones or no such term.
    :param files: what to write; of pictures, prior samples and reconstructions at a few epochs.
    :param model_id: which model.
    :param image_size: height and width in pixels.
    :param model: the section ``model`` of the configuration.
    :param training: the section ``training``.
    :param checkpoint_folder: where the state is kept while training runs; removed at the end.
    :param checkpoint_minutes: minutes between two checkpoints.
    """
    recipe = _recipe(model_id, image_size, model, training)
    store = open_store(images)
    pixels = read_rows(store["pixels"], rows_of_role(store, split, f"train_{model_id.configuration}"))
    settings = training_settings(model, training, image_size)
    photographs = shown_images(store, split)
    kept_epochs = snapshot_epochs(settings.epochs, training["snapshots"])

    def keep_reconstructions(epoch: int, network: Network, row: Mapping[str, float]) -> dict[str, np.ndarray] | None:
        return {"reconstruction": reconstruct(network, photographs).reconstruction} if epoch in kept_epochs else None

    result = train(
        pixels,
        settings,
        seed=model_id.number("training"),
        perceptual=_perceptual(training, perceptual_file),
        checkpoint_folder=Path(checkpoint_folder),
        checkpoint_minutes=checkpoint_minutes,
        on_epoch=keep_reconstructions,
    )
    if result.resumed_at:
        print(f"resumed at step {result.resumed_at} of a checkpoint")
    last = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in result.history[-1].items())
    print(f"{result.steps} steps in {result.seconds:.1f} s; last epoch: {last}")
    write_table(files.history, pd.DataFrame(result.history), sealed=False)
    write_pictures(
        files.samples,
        store,
        photographs,
        samples_of(result.network, training["samples"], model_id.seed),
        result.snapshots,
        title=f"Pictures of the training of configuration {model_id.configuration}, seed {model_id.seed}",
        source="training of the network",
        configuration=in_yaml(recipe),
        device=device_in_words(),
    )
    save_network(Path(files.weights), result.network, architecture=model["network"], **model_id._asdict())
    write_settings(files.configuration, recipe)
    shutil.rmtree(checkpoint_folder, ignore_errors=True)


def _recipe(
    model_id: ModelId, image_size: int, model: Mapping[str, Any], training: Mapping[str, Any]
) -> dict[str, Any]:
    """What a network depends on, beside images and code."""
    return {**model_id._asdict(), "image_size": image_size, "model": model, "training": training}


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """`count` epochs from the first to the last, spread evenly on a logarithmic scale.

    :param epochs: of the training.
    :param count: how many are wanted; fewer where some would be the same.
    """
    if count == 0:
        return []
    return sorted({round(epoch) for epoch in np.geomspace(1, epochs, count)})


def _perceptual(training: Mapping[str, Any], file: str | os.PathLike[str] | None) -> Perceptual | None:
    if training["perceptual_weight"] == 0:
        return None
    section = training["perceptual"]
    return load_perceptual(
        section["network"],
        None if file is None else Path(file),
        weights=section["weights"],
        normalisation=section["normalisation"],
        seed=section["seed"],
    )
