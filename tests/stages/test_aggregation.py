"""Scores of single models come together along configuration and seed, at the right images."""

import io
import json
import os

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from sluguq.images.complexity import compressed_size, total_variation
from sluguq.images.skin_colour import ita
from sluguq.stages.aggregation import aggregate_models, aggregate_scores, ensemble
from sluguq.stores.store import open_store, write_store
from sluguq.stores.variables import FST_ATTRIBUTES, MAPS, PER_IMAGE, described, round_mantissa

SIZE = 6
IDS = [f"image-{i}" for i in range(7)]


def write_images(path, ids=IDS, synthetic=1):
    rng = np.random.default_rng(0)
    n = len(ids)
    dataset = xr.Dataset(
        {
            "pixels": (
                ("image", "y", "x", "channel"),
                rng.integers(0, 256, (n, SIZE, SIZE, 3), np.uint8),
                described("intensity", "test"),
            ),
            "label_condition": ("image", np.array(["naevus"] * n, object), described("condition", "test")),
        },
        coords={
            "id": ("image", np.array(ids, object), described("id", "test")),
            "fst": ("image", np.array([1, 2, 3, 4, 5, 6, -1][:n], "int8"), FST_ATTRIBUTES),
        },
        attrs={"synthetic": synthetic},
    )
    write_store(dataset, path, title="images", source="test")


def write_scores(path, ids, offset, maps=True):
    """Values that tell which image and model they belong to."""
    number = np.array([IDS.index(i) if i in IDS else 0 for i in ids], dtype="float32") + offset
    shapes = {"y": SIZE, "x": SIZE, "channel": 3}
    variables = {}
    for name, variable in {**PER_IMAGE, **(MAPS if maps else {})}.items():
        shape = [len(ids), *(shapes[d] for d in variable.dimensions[1:])]
        values = np.broadcast_to(number.reshape(-1, *[1] * (len(shape) - 1)), shape).astype(variable.dtype)
        variables[name] = (variable.dimensions, values, variable.attributes)
    coordinates = {"id": ("image", np.array(ids, object), described("id", "test"))}
    write_store(xr.Dataset(variables, coords=coordinates), path, title="scores", source="test")


@pytest.fixture
def aggregated(tmp_path):
    write_images(tmp_path / "images.zarr")
    tested = {0: [IDS[4], IDS[0], IDS[1]], 3: [IDS[1], IDS[6]]}
    scores = {}
    for c, name in enumerate(("B", "A")):
        for seed, ids in tested.items():
            scores[name, seed] = tmp_path / f"{name}-{seed}.zarr"
            write_scores(scores[name, seed], ids, offset=10 * c + seed)
    arguments = {"experiment": "e", "dataset": "d", "role": "training", "groups": {"light": [1, 2], "dark": [5, 6]}}
    aggregate_scores(
        [tmp_path / "images.zarr"], scores, tmp_path / "out.zarr", **arguments, configuration="experiment: e"
    )
    return open_store(tmp_path / "out.zarr").load()


def test_every_value_is_at_its_image_and_model(aggregated):
    assert list(aggregated.configuration.values) == ["B", "A"]
    assert list(aggregated.seed.values) == [0, 3]
    assert list(aggregated.id.values) == [IDS[0], IDS[1], IDS[4], IDS[6]]
    assert list(aggregated.image.values) == list(aggregated.id.values)
    assert aggregated.tested.values.tolist() == [[True, True, True, False], [False, True, False, True]]
    expected = {"B": {0: [0, 1, 4, np.nan], 3: [np.nan, 4, np.nan, 9]}}
    expected["A"] = {seed: [v + 10 for v in values] for seed, values in expected["B"].items()}
    for name, seeds in expected.items():
        for seed, values in seeds.items():
            model = aggregated.sel(configuration=name, seed=seed)
            np.testing.assert_array_equal(model.mse, values)
            np.testing.assert_array_equal(model.slug_map[:, 2, 3], values)
            np.testing.assert_array_equal(model.reconstruction[:, 0, 0, 1], np.nan_to_num(values))


def test_the_ensemble_is_of_the_seeds_that_tested_an_image(aggregated):
    # Only the second image was tested by both seeds: its reconstructions are 1 + offset in every pixel, 3 apart.
    expected = np.var([1 / 127.5, 4 / 127.5], ddof=1)
    for name in ("A", "B"):
        measured = aggregated.ensemble_variance.sel(configuration=name)
        np.testing.assert_allclose(measured, [np.nan, expected, np.nan, np.nan], rtol=1e-6)


def test_ensemble_variance_by_hand(monkeypatch):
    monkeypatch.setattr(ensemble, "BLOCK", 3)
    rng = np.random.default_rng(0)
    places = [np.array([6, 0, 1, 4]), np.array([1, 4, 5]), np.array([4, 2])]
    members = [rng.integers(0, 256, (len(p), SIZE, SIZE, 3), np.uint8) for p in places]
    arrays = [xr.DataArray(m, dims=("image", "y", "x", "channel")) for m in members]
    measured = ensemble.ensemble_variance(list(zip(arrays, places, strict=True)), 8)
    for image in range(8):
        pictures = [m[list(p).index(image)] / 127.5 for m, p in zip(members, places, strict=True) if image in p]
        if len(pictures) < 2:
            assert np.isnan(measured[image])
        else:
            assert measured[image] == pytest.approx(np.var(pictures, axis=0, ddof=1).mean(), rel=1e-6)


@pytest.mark.parametrize("linked", [True, False])
def test_models_that_scored_every_image_share_their_files(tmp_path, monkeypatch, linked):
    write_images(tmp_path / "images.zarr")
    scores = {("A", seed): tmp_path / f"{seed}.zarr" for seed in (0, 1)}
    for seed in (0, 1):
        write_scores(scores["A", seed], IDS, offset=10 * seed)
    if not linked:
        link = os.link
        # zarr links its own temporary files into their place.
        monkeypatch.setattr(os, "link", lambda a, b: link(a, b) if str(a).endswith(".partial") else refuse())
    aggregate_scores(
        [tmp_path / "images.zarr"], scores, tmp_path / "out.zarr",
        experiment="e", dataset="d", role="external", groups={}, configuration="",
    )  # fmt: skip
    out = open_store(tmp_path / "out.zarr").load()
    for name in (*PER_IMAGE, *MAPS):
        for seed in (0, 1):
            expected = open_store(scores["A", seed])[name].values
            np.testing.assert_array_equal(out[name].sel(configuration="A", seed=seed), expected)
    [file] = (scores["A", 1] / "slug_map").glob("c/*/*/*")
    own = tmp_path / "out.zarr" / "slug_map" / "c" / "0" / "1" / file.relative_to(scores["A", 1] / "slug_map" / "c")
    assert own.samefile(file) == linked


def refuse():
    raise OSError("no links here")


def test_images_carry_group_pixels_and_labels(aggregated, tmp_path):
    images = open_store(tmp_path / "images.zarr")
    assert list(aggregated.group.values) == ["light", "light", "dark", ""]
    np.testing.assert_array_equal(aggregated.pixels, images.pixels[[0, 1, 4, 6]])
    assert set(aggregated.label_condition.values) == {"naevus"}
    assert aggregated.attrs["synthetic"] == 1
    assert json.loads(aggregated.attrs["groups"])["dark"] == [5, 6]
    assert aggregated.slug.attrs["source"] == PER_IMAGE["slug"].attributes["source"]


def test_a_missing_model_is_told(tmp_path):
    write_images(tmp_path / "images.zarr")
    scores = {("A", 0): tmp_path / "a.zarr", ("A", 1): tmp_path / "b.zarr", ("B", 0): tmp_path / "c.zarr"}
    with pytest.raises(ValueError, match=r"nothing for \(configuration, seed\) \[\('B', 1\)\]"):
        aggregate_scores(
            [tmp_path / "images.zarr"], scores, tmp_path / "out.zarr",
            experiment="e", dataset="d", role="training", groups={}, configuration="",
        )  # fmt: skip


def test_a_scored_image_that_is_in_no_store_is_told(tmp_path):
    write_images(tmp_path / "images.zarr")
    write_scores(tmp_path / "a.zarr", [IDS[0], "unknown"], 0, maps=False)
    with pytest.raises(ValueError, match="1 scored images are in no image store, the first is 'unknown'"):
        aggregate_scores(
            [tmp_path / "images.zarr"], {("A", 0): tmp_path / "a.zarr"}, tmp_path / "out.zarr",
            experiment="e", dataset="d", role="external", groups={}, configuration="",
        )  # fmt: skip
    assert not (tmp_path / "out.zarr").exists()


def test_models_are_gathered(tmp_path):
    histories, spectra, samples = {}, {}, {}
    for c, name in enumerate("AB"):
        key = (name, 0)
        histories[key], spectra[key] = tmp_path / f"{name}.csv", tmp_path / f"{name}.json"
        pd.DataFrame({"epoch": [1, 2], "loss": [3.0 + c, 1.0 + c]}).to_csv(histories[key], index=False)
        spectra[key].write_text(json.dumps({"eigenvalues": [5.0 + c, 2.0][: 2 - c], "residuals": [0.1, 0.2][: 2 - c]}))
        samples[key] = tmp_path / f"{name}.zarr"
        pictures = np.full((2, SIZE, SIZE, 3), c, np.uint8)
        variable = (("sample", "y", "x", "channel"), pictures, described("samples", "test"))
        write_store(xr.Dataset({"samples": variable}), samples[key], title="t", source="s")
    write_images(tmp_path / "images.zarr", synthetic=0)
    roles = {"train_A": [IDS[3], IDS[0], IDS[3]], "train_B": [IDS[5]]}
    rows = [{"id": i, "role": role} for role, ids in roles.items() for i in ids]
    pd.DataFrame(rows).to_csv(tmp_path / "split.csv", index=False)
    aggregate_models(
        histories, spectra, samples, tmp_path / "images.zarr", {0: tmp_path / "split.csv"}, tmp_path / "models.zarr",
        experiment="e", groups={"light": [1, 2], "dark": [5, 6]}, configuration="",
    )  # fmt: skip
    models = open_store(tmp_path / "models.zarr").load()
    assert models.attrs["synthetic"] == 0
    assert json.loads(models.attrs["groups"]) == {"light": [1, 2], "dark": [5, 6]}
    np.testing.assert_array_equal(models.training_fst[:, 0], [[4, 1, 4], [6, -1, -1]])
    pixels = open_store(tmp_path / "images.zarr").pixels.values
    wanted = [[ita(pixels[3]), ita(pixels[0]), ita(pixels[3])], [ita(pixels[5]), np.nan, np.nan]]
    np.testing.assert_allclose(models.training_ita[:, 0], wanted)
    np.testing.assert_allclose(models.sample_ita[1, 0], [ita(np.full((1, 1, 3), 1, np.uint8))] * 2)
    assert models.sample_ita.units == "degree"
    np.testing.assert_array_equal(models.loss[:, 0], [[3, 1], [4, 2]])
    np.testing.assert_array_equal(models.eigenvalues[:, 0], [[5, 2], [6, np.nan]])
    assert models.samples.dims == ("configuration", "seed", "sample", "y", "x", "channel")
    assert (models.samples.sel(configuration="B") == 1).all()
    assert list(models.epoch.values) == [1, 2]


def test_complexity_of_known_images():
    flat = np.full((1, 8, 8, 3), 100, np.uint8)
    stripes = flat.copy()
    stripes[:, :, ::2] = 0
    noise = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    assert total_variation(flat)[0] == 0
    np.testing.assert_allclose(total_variation(stripes)[0], 100 / 127.5, rtol=1e-6)
    assert compressed_size(flat)[0] < compressed_size(stripes)[0] < compressed_size(noise)[0]


def test_compressed_size_orders_images_as_png_does():
    rng = np.random.default_rng(1)
    smooth = np.cumsum(rng.integers(-2, 3, (1, 64, 64, 3)), axis=2) + 128
    images = np.concatenate([smooth.clip(0, 255).astype(np.uint8), rng.integers(0, 256, (1, 64, 64, 3), np.uint8)])
    sizes = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        sizes.append(len(file.getvalue()) / image.size)
    np.testing.assert_allclose(compressed_size(images), sizes, rtol=0.25)


def test_rounded_mantissas_are_close_and_compressible():
    values = np.concatenate([np.random.default_rng(0).lognormal(0, 20, 1000).astype("float32"), [0, np.nan, np.inf]])
    rounded = round_mantissa(values)
    np.testing.assert_allclose(rounded, values, rtol=2**-11)
    finite = rounded[:1000].view(np.uint32)
    assert not (finite & np.uint32(2**13 - 1)).any()
