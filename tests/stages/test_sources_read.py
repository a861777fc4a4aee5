"""What a source reads is known by its state, whatever odd things lie beside it."""

from __future__ import annotations

import os

import pytest
from pydantic import TypeAdapter

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.preconditions import unmet
from sluguq.stages.sources_read import fingerprint_of_sources
from sluguq.stores.tables import read_images
from tests.datasets.misbehaving import picture


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photographs"
    root.mkdir()
    (root / "a.jpg").write_bytes(picture(0))
    (root / "labels.csv").write_text("file,fst\na.jpg,1\n")
    return root


def options(**keys: object):
    return TypeAdapter(Source).validate_python({"source": "folder", **keys})


def test_odd_things_in_a_folder_stop_no_plan(folder):
    source = options(folder=folder)
    before = fingerprint_of_sources(source)
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "nothing.csv").symlink_to("gone.csv")
    os.mkfifo(folder / "pipe.csv")
    odd = fingerprint_of_sources(source)
    assert odd != before
    assert fingerprint_of_sources(source) == odd
    os.utime(folder / "labels.csv")
    assert fingerprint_of_sources(source) == odd
    (folder / "labels.csv").write_text("file,fst\na.jpg,2\n")
    assert fingerprint_of_sources(source) != odd


def test_a_table_at_home_is_one_table_for_all_who_read_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (folder / "labels.csv").rename(tmp_path / "mine.csv")
    source = options(folder="~/photographs", table="~/mine.csv")
    assert unmet(source) == {}
    before = fingerprint_of_sources(source)
    acquire(source, tmp_path / "raw")
    assert read_images(tmp_path / "raw" / "images.csv")["fst"].tolist() == [1]
    (tmp_path / "mine.csv").write_text("file,fst\na.jpg,2\n")
    assert fingerprint_of_sources(source) != before
