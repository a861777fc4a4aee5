"""Prepared images, a split and a network, as stages read them."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sluguq.networks.vae import VAE, VAESettings
from sluguq.networks.weights import save_network
from sluguq.stores.store import write_store
from sluguq.stores.variables import FST_ATTRIBUTES, described


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Prepared images, a split and a network with random weights."""
    folder = tmp_path_factory.mktemp("world")
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
    ids = [f"i{number}" for number in range(10)]
    dataset = xr.Dataset(
        {"pixels": (("image", "y", "x", "channel"), pixels, described("intensity", "test"))},
        coords={
            "id": ("image", np.array(ids, object), described("id", "test")),
            "fst": ("image", np.array([1, 5] * 5, "int8"), FST_ATTRIBUTES),
        },
        attrs={"synthetic": 1},
    )
    write_store(dataset, folder / "images.zarr", title="t", source="s")
    roles = ["train_A"] * 6 + ["test_light"] * 4
    pd.DataFrame({"id": ids, "role": roles}).to_csv(folder / "split.csv", index=False)
    vae = VAE(VAESettings(image_size=32, width=2, depth=1, latent_channels=2), seed=0)
    save_network(folder / "weights.safetensors", vae)
    return folder
