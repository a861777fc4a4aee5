"""Skin tones of prior samples against those of the training images."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from sluguq.analysis.tones import SAMPLES, TRAINING, tone_comparison, tone_quantiles, wasserstein
from tests.figures.stand_in import models


@pytest.fixture
def store():
    """Angles that are easily counted: A paints two of four samples too dark, C what it was shown."""
    out = models(seeds=2)
    shape = out["training_ita"].shape
    light = np.where(out["training_fst"].values == 2, 50.0, -30.0)
    out["training_ita"] = out["training_ita"].copy(data=light + np.tile([-5.0, 5.0], shape[2] // 2))
    out["sample_ita"].values[0] = [50, 50, -30, -30]
    out["sample_ita"].values[2] = [-35, -35, -25, -25]
    return out


def values_of(table, configuration):
    return table[table["configuration"] == configuration].set_index(["measure", "group"])["value"]


def test_distance_equals_scipys_with_and_without_weights():
    rng = np.random.default_rng(0)
    x, reference = rng.normal(size=9).round(1), rng.normal(0.5, 2, 30).round(1)
    weights = np.stack([np.ones(9), rng.integers(0, 4, 9)])
    wanted = [wasserstein_distance(x, reference, row) for row in weights]
    np.testing.assert_allclose(wasserstein(x, reference, weights), wanted)


def test_measures_are_the_ones_that_were_put_in(store):
    table = tone_comparison(store)
    a, c = values_of(table, "A"), values_of(table, "C")
    assert a["share", "light"] == a["share", "dark"] == 0.5
    assert a["share_training", "light"] == 1
    assert a["share_difference", "dark"] == 0.5
    assert a["mean_difference", ""] == a["mean_difference", "light"] == pytest.approx(-40)
    assert ("mean_difference", "dark") not in a.index  # A was trained on no dark image
    assert a["wasserstein", ""] == pytest.approx(40)  # half of the samples move by 75, half by 5
    assert c["wasserstein", ""] == c["mean_difference", ""] == 0
    # Four draws of two values 10 apart: 10 times the mean deviation of their share from a half.
    assert c["wasserstein_chance", ""] == pytest.approx(1.875, rel=0.15)
    assert set(table["seeds"]) == {2}
    assert set(table["images"]) == {4}


def test_intervals_hold_the_estimate_and_narrow_with_samples():
    few = models(seeds=1)
    few["sample_ita"].values[1] = [50, -30, -30, -30]
    many = few.isel(sample=np.tile(np.arange(4), 16))
    widths = []
    for store in (few, many):
        row = tone_comparison(store).set_index(["configuration", "measure", "group"]).loc["B", "share", "dark"]
        assert row["low"] <= row["value"] <= row["high"]
        widths.append(row["high"] - row["low"])
    assert widths[1] < widths[0]


def test_repeats_padding_and_classes_are_counted(store):
    store["training_ita"].values[0, 0, 9:] = np.nan  # a smaller training set
    table = tone_quantiles(store)
    one = table[(table["configuration"] == "A") & (table["seed"] == 0) & (table["group"] == "")].set_index("of")
    assert (one.loc[TRAINING, "n"], one.loc[SAMPLES, "n"]) == (9, 4)
    assert one.loc[SAMPLES, "ita_50"] == pytest.approx(10)
    assert one.loc[SAMPLES, ["light", "dark", "brown"]].tolist() == [0.5, 0.5, 0]
    assert one.loc[TRAINING, "light"] + one.loc[TRAINING, "very light"] == 1
    classes = one[["very light", "light", "intermediate", "tan", "brown", "dark"]]
    np.testing.assert_allclose(classes.sum(axis=1), 1)


def test_one_group_has_no_shares_and_a_store_without_tones_is_told(store):
    only = store.isel(configuration=[0])
    assert set(tone_comparison(only)["measure"]) == {"mean_difference", "wasserstein", "wasserstein_chance"}
    with pytest.raises(ValueError, match="has no training_ita"):
        tone_comparison(store.drop_vars("training_ita"))
