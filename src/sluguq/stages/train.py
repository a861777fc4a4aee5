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
from sluguq.stages.keys import model_number
from sluguq.stages.pictures import samples_of, shown_images, write_pictures
from sluguq.stages.settings import in_yaml, write_settings
from sluguq.stages.unchanged import content_of_file, content_of_images, keep, put_back
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table


def training_settings(model: Mapping[str, Any], training: Mapping[str, Any], image_size: int) -> TrainingSettings:
    """Settings of the numerics from the sections `model` and `training` of the configuration."""
    names = ("epochs", "batch_size", "learning_rate", "schedule", "gradient_clip", "flip", "last_batch", "precision")
    weights = ("mse_weight", "kl_weight", "perceptual_weight", "reduction")
    return TrainingSettings(
        network=settings_of(model, image_size),
        objective=ObjectiveSettings(**{name: training[name] for name in weights}),
        **{name: training[name] for name in names},
    )


def train_or_put_back(
    outputs: Mapping[str, str | os.PathLike[str]],
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    perceptual_file: str | os.PathLike[str] | None,
    *,
    configuration_name: str,
    seed: int,
    image_size: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    pictures: Mapping[str, int],
    checkpoint_minutes: float,
    code: str,
) -> None:
    """Train one network, unless nothing that its weights depend on has changed since it was trained.

    :param outputs: what to write: weights, history, configuration and samples, see :func:`train_model`.
    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param perceptual_file: ImageNet weights of the perceptual network, None for random ones or no such term.
    :param configuration_name: name of the configuration.
    :param seed: the model's seed.
    :param image_size: height and width in pixels.
    :param model: the section ``model`` of the configuration.
    :param training: the section ``training``, without what changes no weight.
    :param pictures: the numbers of ``snapshots`` and ``samples``, which change no weight.
    :param checkpoint_minutes: minutes between two checkpoints.
    :param code: fingerprint of the code that trains.
    """
    settings: dict[str, Any] = {
        "configuration": configuration_name,
        "seed": seed,
        "image_size": image_size,
        "model": model,
        "training": training,
    }
    identity = fingerprint({**settings, "code": code})
    content = content_of_images(images, split, [f"train_{configuration_name}", "test_*"])
    learnt = fingerprint([identity, content, content_of_file(perceptual_file) if perceptual_file else None])
    if put_back(list(outputs.values()), learnt):
        return
    settings["training"] = {**training, **pictures}
    folder = Path(outputs["weights"]).parent
    state = folder.parent / f".{folder.name}-{identity}"
    abandon_others(state)
    train_model(
        images,
        split,
        perceptual_file,
        weights_path=outputs["weights"],
        history_path=outputs["history"],
        samples_path=outputs["samples"],
        configuration_name=configuration_name,
        seed=seed,
        image_size=image_size,
        model=model,
        training=settings["training"],
        checkpoint_folder=state,
        checkpoint_minutes=checkpoint_minutes,
        configuration=in_yaml(settings),
    )
    write_settings(outputs["configuration"], settings)
    keep(list(outputs.values()), learnt)


def train_model(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    perceptual_file: str | os.PathLike[str] | None,
    *,
    weights_path: str | os.PathLike[str],
    history_path: str | os.PathLike[str],
    samples_path: str | os.PathLike[str],
    configuration_name: str,
    seed: int,
    image_size: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    checkpoint_folder: str | os.PathLike[str],
    checkpoint_minutes: float,
    configuration: str,
) -> None:
    """Train one network and write its weights, its history and pictures of what it learnt.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param perceptual_file: ImageNet weights of the perceptual network, None for random ones or no such term.
    :param weights_path: safetensors to write.
    :param history_path: csv to write, a row an epoch.
    :param samples_path: store to write: prior samples, and reconstructions at a few epochs.
    :param configuration_name: name of the configuration.
    :param seed: the model's seed.
    :param image_size: height and width in pixels.
    :param model: the section ``model`` of the configuration.
    :param training: the section ``training``.
    :param checkpoint_folder: where the state is kept while training runs; removed at the end.
    :param checkpoint_minutes: minutes between two checkpoints.
    :param configuration: what the model depends on, as YAML.
    """
    store = open_store(images)
    pixels = read_rows(store["pixels"], rows_of_role(store, split, f"train_{configuration_name}"))
    settings = training_settings(model, training, image_size)
    photographs = shown_images(store, split)
    kept_epochs = snapshot_epochs(settings.epochs, training["snapshots"])

    def keep_reconstructions(epoch: int, network: Network, row: Mapping[str, float]) -> dict[str, np.ndarray] | None:
        return {"reconstruction": reconstruct(network, photographs).reconstruction} if epoch in kept_epochs else None

    result = train(
        pixels,
        settings,
        seed=model_number(configuration_name, seed, "training"),
        perceptual=_perceptual(training, perceptual_file),
        checkpoint_folder=Path(checkpoint_folder),
        checkpoint_minutes=checkpoint_minutes,
        on_epoch=keep_reconstructions,
    )
    if result.resumed_at:
        print(f"resumed at step {result.resumed_at} of a checkpoint")
    print(f"{result.steps} steps in {result.seconds:.1f} s; last epoch {result.history[-1]}")
    write_table(history_path, pd.DataFrame(result.history), sealed=False)
    write_pictures(
        samples_path,
        store,
        photographs,
        samples_of(result.network, training["samples"], seed),
        result.snapshots,
        title=f"Pictures of the training of configuration {configuration_name}, seed {seed}",
        source="training of the network",
        configuration=configuration,
        device=device_in_words(),
    )
    save_network(
        Path(weights_path), result.network, architecture=model["network"], configuration=configuration_name, seed=seed
    )
    shutil.rmtree(checkpoint_folder, ignore_errors=True)


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """`count` epochs from the first to the last, spread evenly on a logarithmic scale."""
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
