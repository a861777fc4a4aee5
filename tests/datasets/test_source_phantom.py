"""Synthetic photographs through the same door as real ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from sluguq.config.sources import Source, is_synthetic
from sluguq.datasets.acquisition import acquire
from sluguq.images.phantom import render
from sluguq.stores.tables import read_images


def options(**keys: object):
    return TypeAdapter(Source).validate_python({"source": "phantom", "counts": {1: 3, 6: 4}, "size": 64, **keys})


def test_drawn_as_the_phantom_draws(tmp_path):
    assert is_synthetic(options())
    acquire(options(seed=3), tmp_path)
    images = read_images(tmp_path / "images.csv")
    assert images["fst"].tolist() == [1] * 3 + [6] * 4
    row = images.iloc[4]
    expected = render(6, seed=3, index=1, size=64)
    assert np.array_equal(np.asarray(Image.open(tmp_path / row["file"])), expected.pixels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / row["mask"])), expected.lesion_mask)
    assert row["patient"] == expected.patient
    assert row["label_condition"] == expected.condition


def test_the_same_options_draw_the_same_files(tmp_path):
    for name in ("one", "two"):
        acquire(options(), tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_other_options_leave_nothing_behind(tmp_path):
    acquire(options(), tmp_path)
    acquire(options(counts={2: 1}), tmp_path)
    assert len(list((tmp_path / "phantom" / "images").iterdir())) == 1


def test_artefacts_are_drawn_on_a_share_and_change_nothing_else(tmp_path):
    acquire(options(counts={5: 24}, size=32), tmp_path / "plain")
    acquire(options(counts={5: 24}, size=32, artefacts=0.5), tmp_path / "drawn")
    plain, drawn = (read_images(tmp_path / name / "images.csv") for name in ("plain", "drawn"))
    marked = drawn["label_artefact"] != ""
    assert 5 < marked.sum() < 19
    for file, has in zip(drawn["file"], marked, strict=True):
        before, after = ((tmp_path / name / file).read_bytes() for name in ("plain", "drawn"))
        assert (before != after) == has
    assert (plain["label_artefact"] == "").all()


def test_impossible_options_are_refused():
    with pytest.raises(ValidationError, match="no image at all"):
        options(counts={1: 0})
    with pytest.raises(ValidationError):
        options(counts={7: 3})
    with pytest.raises(ValidationError):
        options(artefacts=1.5)
