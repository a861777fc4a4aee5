"""A network is trained, or taken up, with all its files; what has not changed is put back."""

import re

import pandas as pd
import pytest
import yaml

from sluguq.config import resolve
from sluguq.networks.weights import load_network
from sluguq.stages.adopt import adopt_model
from sluguq.stages.keys import ModelId
from sluguq.stages.model_files import ModelFiles
from sluguq.stages.train import train_or_put_back
from sluguq.stores.store import open_store

pytestmark = pytest.mark.usefixtures("quick_compilation")

EXPERIMENT = resolve(
    {
        "experiment": "small",
        "datasets": {"drawn": {"source": "phantom", "counts": {1: 4, 5: 4}}},
        "training_dataset": "drawn",
        "images": {"size": 32},
        "model": {"width": 2, "depth": 1, "latent_channels": 2, "bottleneck_blocks": 0},
        "training": {"epochs": 2, "batch_size": 2, "perceptual_weight": 0},
    }
)
MODEL, TRAINING = (EXPERIMENT.model_dump(mode="json")[section] for section in ("model", "training"))


def files_in(folder):
    folder.mkdir()
    return ModelFiles(
        *(folder / name for name in ("weights.safetensors", "history.csv", "configuration.yaml", "s.zarr"))
    )


def trained(world, files, **changes):
    train_or_put_back(
        world / "images.zarr", world / "split.csv", None, files,
        model_id=ModelId("A", 0), image_size=32, model=MODEL, training=TRAINING | changes,
        pictures={"snapshots": 1, "samples": 2}, checkpoint_minutes=60, code="0123456789ab",
    )  # fmt: skip


def test_training_leaves_its_files_and_puts_them_back_unchanged(world, tmp_path, capsys):
    files = files_in(tmp_path / "seed-0")
    trained(world, files)
    history = pd.read_csv(files.history)
    assert history["epoch"].tolist() == [1, 2]
    assert b"\r" not in files.history.read_bytes()
    recipe = yaml.safe_load(files.configuration.read_text())
    assert (recipe["configuration"], recipe["seed"], recipe["image_size"]) == ("A", 0, 32)
    assert (recipe["training"]["snapshots"], recipe["training"]["samples"]) == (1, 2)
    pictures = open_store(files.samples)
    assert yaml.safe_load(pictures.attrs["configuration"]) == recipe
    assert pictures.sizes["sample"] == 2
    assert load_network(files.weights).settings.width == 2
    weights = files.weights.read_bytes()
    files.weights.unlink()
    told = capsys.readouterr().out
    terms = r"epoch 2, loss [\d.]{1,7}, mse [\d.]{1,7}, "
    assert re.search(rf"steps in [\d.]+ s; last epoch: {terms}", told), "no sixteen digits"
    trained(world, files)
    assert "nothing that this result depends on has changed" in capsys.readouterr().out
    assert files.weights.read_bytes() == weights


def test_a_network_trained_elsewhere_leaves_the_same_files(world, tmp_path):
    files = files_in(tmp_path / "seed-1")
    adopt_model(
        world / "images.zarr", world / "split.csv", world / "weights.safetensors", files,
        model_id=ModelId("A", 1), image_size=32, model={"network": MODEL["network"], "options": {}}, samples=2,
    )  # fmt: skip
    assert pd.read_csv(files.history).columns.tolist() == ["epoch"]
    assert files.history.read_bytes() == b"epoch\n"
    assert yaml.safe_load(files.configuration.read_text())["seed"] == 1
    assert load_network(files.weights).settings == load_network(world / "weights.safetensors").settings
    assert open_store(files.samples).sizes["sample"] == 2
