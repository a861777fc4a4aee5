"""What pictures look like, against what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from sluguq.analysis.calibration import calibration
from sluguq.analysis.pictures import (
    MEASURES,
    appearance,
    features,
    picture_measures,
    spread_of,
    ssim,
    tone_trend,
    variability,
)
from sluguq.images.skin_colour import ita
from tests.figures.stand_in import aggregated


@pytest.fixture(scope="module")
def store():
    made = aggregated(seeds=2, tested=16, pool=24, size=16)
    mask = np.zeros((made.sizes["image"], 16, 16), np.uint8)
    mask[:, 6:10, 6:10] = 1
    made["lesion_mask"] = (("image", "y", "x"), mask)
    return made


def test_similarity_of_a_picture_with_itself_its_noise_and_its_negative():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    assert ssim(picture, picture) == pytest.approx(1)
    noise = np.clip(picture + rng.normal(0, 40, picture.shape), 0, 255).astype(np.uint8)
    assert 0.3 < ssim(picture, noise) < 0.99
    assert ssim(picture, 255 - picture) < 0
    # By the formula on flat pictures: only the means differ, and all variances are nothing.
    flat, other = (np.full((16, 16, 3), v, np.uint8) for v in (100, 150))
    c1 = (0.01 * 255) ** 2
    assert ssim(flat, other) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_measures_of_every_image_and_model(store):
    frame = picture_measures(store)
    assert len(frame) == int(np.isfinite(store["mse"].values).sum())
    row = frame.iloc[7]
    one = store.isel(image=int(row["image"])).sel(configuration=row["configuration"], seed=row["seed"])
    assert row["ita"] == ita(one["pixels"].values)
    assert row["ita_shift"] == pytest.approx(ita(one["reconstruction"].values) - row["ita"])
    assert row["relative_error"] == pytest.approx(float(one["mse"]) / (one["pixels"].values / 127.5).var())
    inside = one["lesion_mask"].values == 1
    assert row["error_lesion"] == pytest.approx(one["error_map"].values[inside].mean() / 3)
    assert row["error_skin"] == pytest.approx(one["error_map"].values[~inside].mean() / 3)
    assert set(MEASURES) <= set(frame.columns)
    assert picture_measures(store.drop_vars("slug_map")).empty
    assert picture_measures(store.drop_vars("lesion_mask"))["error_lesion"].isna().all()


def test_appearance_is_their_mean_over_seeds(store):
    frame = picture_measures(store)
    table = appearance(store, 40, frame).set_index(["configuration", "group", "measure", "kind"])
    for measure in MEASURES:
        own = frame[(frame["configuration"] == "B") & (frame["group"] == "dark")].groupby("seed")[measure].mean()
        row = table.loc["B", "dark", measure, "mean"]
        assert row["value"] == pytest.approx(own.mean())
        assert row["low"] <= row["value"] <= row["high"]
    assert ("B", "dark", "relative_error", "log_ratio") in table.index
    assert ("B", "dark", "ita", "log_ratio") not in table.index


def test_errors_rise_along_the_tone_where_dark_skin_is_worse(store):
    table = tone_trend(store, 40).set_index(["configuration", "variable", "measure", "tone"])
    assert table.loc[("A", "mse", "spearman", ""), "value"] < -0.5
    tones = [tone for c, v, m, tone in table.index if (c, v, m) == ("A", "mse", "mean")]
    assert len(tones) > 1
    assert tone_trend(store.drop_vars("pixels"), 40).empty


def test_a_slug_in_proportion_is_calibrated_and_one_of_noise_is_not():
    calm = calibration(aggregated(seeds=2, tested=40, pool=50, noise=0.0, maps=False), 40)
    slope = calm[calm["measure"] == "slope"]["value"]
    np.testing.assert_allclose(slope, 1, atol=1e-9)
    tenths = calm[(calm["measure"] == "observed_over_expected") & (calm["configuration"] == "A")]
    assert list(tenths["tenth"]) == list(range(1, 11))
    np.testing.assert_allclose(tenths["value"], 1, atol=1e-9)
    noisy = calibration(aggregated(seeds=2, tested=40, pool=50, noise=2.0, exponent=0.0, maps=False), 40)
    flat = noisy[(noisy["measure"] == "slope") & (noisy["configuration"] == "B")].iloc[0]
    assert abs(flat["value"]) < 0.2
    first = noisy[(noisy["tenth"] == 1) & (noisy["configuration"] == "B")].iloc[0]
    assert first["value"] > 3


def test_spread_is_that_of_the_covariance_weights_as_repetitions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 5)) * [3, 2, 1, 1, 0.5]
    weight = rng.integers(0, 3, 12)
    trace, dimension = spread_of(x @ x.T, weight[None].astype(float))
    covariance = np.cov(np.repeat(x, weight, axis=0).T, bias=True)
    assert trace[0] == pytest.approx(np.trace(covariance))
    assert dimension[0] == pytest.approx(np.trace(covariance) ** 2 / np.sum(covariance**2))


def test_variability_of_groups_and_features(store):
    table = variability(store, 40)
    assert list(zip(table["space"], table["measure"], strict=True)) == [
        ("pixels", "trace"), ("pixels", "dimension"), ("features", "trace"), ("features", "dimension"),
    ]  # fmt: skip
    assert (table["low"] < table["high"]).all()
    assert features(store["pixels"].values).shape == (store.sizes["image"], 4 * 4 * 8)
    assert variability(store.drop_vars("pixels"), 40).empty


@pytest.mark.parametrize("follows", [True, False])
def test_calibration_by_pixel_is_of_where_in_a_picture_errors_are(follows):
    """A map in proportion to the error expects what there is; one that knows nothing too much where it is high."""
    store = aggregated(seeds=2, tested=20, pool=30, size=32)
    error = store["error_map"].values
    if follows:
        store["slug_map"].values[:] = 7 * error
    table = calibration(store, 40)
    part = table[table["measure"] == "pixels_observed_over_expected"].set_index(["configuration", "tenth"])["value"]
    assert len(part) == 30
    if follows:
        assert part.to_numpy() == pytest.approx(1.0, rel=1e-5)
    else:
        assert part["A", 1] > 1.5 > 1 > part["A", 10]
    without = calibration(store.drop_vars(["slug_map", "error_map"]), 40)
    assert "pixels_observed_over_expected" not in set(without["measure"])


@pytest.mark.parametrize("images_of_one", [(1, 4), (4, 1)])
def test_groups_that_vary_alike_do_so_though_one_has_more_images_of_each_patient(images_of_one):
    """Images of one patient are alike, so that a hundred of 25 patients span fewer dimensions than of 100."""
    store = aggregated(seeds=1, tested=100, pool=100, size=8, maps=False)
    rng = np.random.default_rng(0)
    patients, pixels = [], np.empty(store["pixels"].shape)
    for start, each in zip((0, 100), images_of_one, strict=True):
        of_image = start + np.arange(100) // each
        own = 40 * rng.normal(size=(100, 8, 8, 3))
        pixels[start : start + 100] = 128 + own[of_image - start] + 5 * rng.normal(size=(100, 8, 8, 3))
        patients += [f"patient-{p}" for p in of_image]
    store["pixels"][:] = np.clip(pixels, 0, 255).astype(np.uint8)
    store["patient"][:] = patients
    table = variability(store, 60)
    assert ((table["low"] < 0) & (table["high"] > 0)).all()
