"""Gaps by who labelled, on stores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from sluguq.analysis.annotations import OTHER_TYPES, gaps_by_annotation, other_groups, skin_tones
from sluguq.images.skin_colour import ita
from tests.figures.stand_in import aggregated


@pytest.fixture
def store():
    return aggregated(seeds=3, tested=40, pool=60, size=8, maps=False)


def table_of(store):
    table = gaps_by_annotation(store, 60)
    return table.set_index(["by", "configuration", "variable", "measure"])["value"]


def test_the_same_labels_give_the_same_gap_and_shuffled_ones_none(store):
    """Under A dark skin is three times as bad as light (the stand-in's errors)."""
    plain = table_of(store)
    same = table_of(store.assign({OTHER_TYPES: store["fst"]}))
    key = ("A", "mse", "log_ratio")
    assert set(plain.index.get_level_values("by")) == {"labels", "measured tone"}
    assert same["labels"][key] == same["other labels"][key] == same["both labels"][key] == plain["labels"][key]
    shuffled = store["fst"].values.copy()
    np.random.default_rng(0).shuffle(shuffled)
    other = table_of(store.assign({OTHER_TYPES: ("image", shuffled)}))
    assert abs(other["other labels"][key]) < 0.35 * plain["labels"][key]
    assert other["both labels"][key] == pytest.approx(plain["labels"][key], rel=0.2)
    assert abs(other["other labels"]["A", "mse", "spearman"]) < 0.3 < other["labels"]["A", "mse", "spearman"]


def test_the_gap_by_measured_tone_needs_no_label(store):
    """Skin darkens as the error rises, whatever the labels say: darker is worse, by what thirds make."""
    images = store.sizes["image"]
    darkness = np.random.default_rng(1).permutation(images)
    brown = (230 - 180 * darkness / images)[:, None] * (1.0, 0.8, 0.65)
    store["pixels"][:] = brown.astype(np.uint8)[:, None, None]
    tested = np.isfinite(store["mse"].values)
    store["mse"].values[:] = np.where(tested, np.exp(darkness / images), np.nan)
    found = table_of(store)["measured tone"]
    assert found["A", "mse", "spearman"] == pytest.approx(1.0, abs=0.01)
    # Thirds of even darkness lie two thirds apart.
    assert found["A", "mse", "log_ratio"] == pytest.approx(2 / 3, abs=0.05)
    assert abs(table_of(store)["labels"]["A", "mse", "log_ratio"]) < 0.2


def test_tone_is_that_of_skin_where_masks_say_what_is_skin(store):
    pixels = store["pixels"].values
    pixels[:] = (200, 160, 140)
    pixels[:, :5] = (20, 20, 20)
    mask = np.zeros((store.sizes["image"], 8, 8), np.uint8)
    mask[:, :5] = 1
    mask[1] = 1
    places = np.array([2, 0, 1, 2])
    whole = skin_tones(store, places)
    masked = skin_tones(store.assign(artefact_mask=(("image", "y", "x"), mask)), places)
    assert whole == pytest.approx([ita(pixels[0])] * 4)
    skin = ita(pixels[0, 5:])
    # The second photograph has no skin by its mask, so all of it counts.
    assert masked == pytest.approx([skin, skin, ita(pixels[1]), skin])


def test_images_that_the_other_annotation_lacks_are_in_no_group(store):
    types = store["fst"].values.astype(float)
    types[:5] = np.nan
    groups, other = other_groups(store.assign({OTHER_TYPES: ("image", types)}))
    assert (groups[:5] == "").all()
    assert (other[:5] == -1).all()
    assert (groups[5:] == store["group"].values[5:]).all()


def test_one_group_has_no_gap():
    assert gaps_by_annotation(aggregated(groups={"light": [1, 2]}, seeds=2, size=8, maps=False), 20).empty
