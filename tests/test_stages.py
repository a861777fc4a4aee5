"""Stages that join stores and networks: eigenbases on disk, resumption, scores by both estimators."""

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.stages import eigenbasis as stage
from sluguq.stages.basis_store import read_basis, write_basis
from sluguq.stages.eigenbasis import compute_basis
from sluguq.stages.score import score_store
from sluguq.store import FST_ATTRIBUTES, StoreError, described, open_store, write_store
from sluguq.vae import VAE, VAESettings
from sluguq.weights import save_vae

pytestmark = pytest.mark.usefixtures("quick_compilation")

RANK = 3
SETTINGS = {
    "rank": RANK, "method": "projected", "sketch_size": 400, "tolerance": 0.05, "batch_size": 4, "max_images": None,
    "dtype": "float32",
}  # fmt: skip
SCORE = {
    "probes": 6, "tolerance": None, "batch_size": None, "parameters": "all", "prior_precision": 0.0, "maps": True,
}  # fmt: skip


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
    save_vae(folder / "weights.safetensors", vae)
    return folder


def compute(world, folder, **changes):
    compute_basis(
        world / "images.zarr", world / "split.csv", world / "weights.safetensors",
        folder / "basis.zarr", folder / "basis.json", configuration_name="A", seed=0,
        settings={**SETTINGS, **changes}, parameters="all", checkpoint_folder=folder / "checkpoint", configuration="",
    )  # fmt: skip
    return read_basis(folder / "basis.zarr")


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_vectors_come_back_as_they_were(tmp_path, dtype):
    vectors = np.random.default_rng(0).normal(size=(2, 1000)).astype(dtype)
    basis = Eigenbasis(np.array([2.0, 1.0]), vectors, np.array([0.1, 0.2]), np.array([True, False]), 0.0, 3.0, 0.1, 9)
    write_basis(basis, tmp_path / "b.zarr", attributes=stage.scalars(basis), configuration="", device="")
    found = read_basis(tmp_path / "b.zarr")
    assert found.vectors.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.vectors.astype("float32"), vectors.astype("float32"))
    np.testing.assert_array_equal(found.converged, basis.converged)
    assert (found.trace, found.products) == (3.0, 9)


def test_an_interrupted_eigenbasis_goes_on_to_the_same_result(world, tmp_path, monkeypatch):
    whole = compute(world, tmp_path / "whole", rank=9, tolerance=1e-6)
    saved = stage.save_state

    def save_then_stop(state, path):
        saved(state, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "save_state", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        compute(world, tmp_path / "cut", rank=9, tolerance=1e-6)
    assert not (tmp_path / "cut" / "basis.zarr").exists()
    assert (tmp_path / "cut" / "checkpoint" / "lanczos.npz").exists()
    monkeypatch.setattr(stage, "save_state", saved)
    resumed = compute(world, tmp_path / "cut", rank=9, tolerance=1e-6)
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    np.testing.assert_array_equal(resumed.eigenvalues, whole.eigenvalues)
    assert not (tmp_path / "cut" / "checkpoint").exists()


def test_a_damaged_state_is_told_and_computed_again(world, tmp_path, capsys):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "lanczos.npz").write_bytes(b"not a state")
    assert compute(world, tmp_path).vectors.shape[0] == RANK
    assert "is damaged" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_refused(world, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"lower eigenbasis.rank, set eigenbasis.dtype"):
        compute(world, tmp_path)
    assert not (tmp_path / "basis.zarr").exists()


@pytest.mark.parametrize("method", ["projected", "sketched"])
def test_scores_of_both_estimators_fill_a_store(world, tmp_path, method):
    compute(world, tmp_path, method=method)
    score_store(
        world / "images.zarr", np.array([6, 7, 9]), world / "weights.safetensors", tmp_path / "basis.zarr",
        tmp_path / "scores.zarr", configuration_name="A", seed=0, settings=SCORE, configuration="",
    )  # fmt: skip
    scores = open_store(tmp_path / "scores.zarr").load()
    assert list(scores.id.values) == ["i6", "i7", "i9"]
    assert np.isfinite(scores.slug).all()
    assert (scores.probes == 6).all()
    assert ("slug_map" in scores) == (method == "projected")
    if method == "projected":
        np.testing.assert_allclose(scores.slug_map.sum(("y", "x")), scores.slug, rtol=2e-3)
        assert (scores.slug >= 0).all()


def test_a_missing_basis_is_named(world, tmp_path):
    with pytest.raises(StoreError, match=r"no store at .*basis\.zarr"):
        score_store(
            world / "images.zarr", None, world / "weights.safetensors", tmp_path / "basis.zarr",
            tmp_path / "scores.zarr", configuration_name="A", seed=0, settings=SCORE, configuration="",
        )  # fmt: skip
