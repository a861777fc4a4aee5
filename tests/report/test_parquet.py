"""The table with pictures: one row per image, the numbers of the store, and readers that people use."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sluguq.analysis.percentiles import percentiles_by_model
from sluguq.report import parquet
from sluguq.report.parquet import write_parquet
from sluguq.report.sheets import coloured
from tests.figures.stand_in import aggregated


@pytest.fixture(scope="module")
def store():
    return aggregated(seeds=2, tested=10, pool=16, size=8).load()


@pytest.fixture(scope="module")
def file(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "phantom.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROWS", 10)  # several row groups
        write_parquet(path, store, store)
    return path


def test_rows_are_images_with_means_over_the_seeds_that_tested_them(file, store):
    table = pd.read_parquet(file)
    assert table["id"].tolist() == store["id"].values.tolist()
    assert table["group"].tolist() == store["group"].values.tolist()
    assert table["label_site"].tolist() == store["label_site"].values.tolist()
    for name in ("mse", "slug", "kl"):
        expected = store[name].mean("seed").sel(configuration="A").values
        np.testing.assert_allclose(table[f"{name}_A"], expected, rtol=1e-12)
    tested = np.isfinite(store["mse"].values[0])
    assert [list(s) for s in table["seeds"]] == [np.flatnonzero(column).tolist() for column in tested.T]
    with np.errstate(invalid="ignore"):
        among = percentiles_by_model(store, store, "slug")[1]
        expected = np.where(tested, among, 0).sum(axis=0) / tested.sum(axis=0)
    np.testing.assert_allclose(table["slug_percentile_B"], expected)
    both = np.flatnonzero(tested.all(axis=0))[0]
    errors = store["slug_sem"].values[2, :, both]
    assert table["slug_sem_C"][both] == pytest.approx(np.hypot(*errors) / 2)
    assert pq.ParquetFile(file).num_row_groups == 4
    assert pq.read_schema(file).metadata[b"experiment"] == b"stand-in"


def test_pictures_are_those_of_the_first_seed_that_tested_the_image(file, store):
    table = pd.read_parquet(file)
    tested = np.isfinite(store["mse"].values[0])
    for place in (0, 13, 20):
        pixels = np.asarray(Image.open(io.BytesIO(table["image"][place]["bytes"])))
        assert np.array_equal(pixels, store["pixels"].values[place])
        if not tested[:, place].any():
            assert table["slug_map_B"][place] is None
            assert table["map_seed"][place] == -1
            continue
        seed = int(np.argmax(tested[:, place]))
        assert table["map_seed"][place] == seed
        drawn = np.asarray(Image.open(io.BytesIO(table["slug_map_B"][place]["bytes"])))
        assert np.array_equal(drawn, coloured(store["slug_map"].values[1, seed, [place]])[0])
        shown = np.asarray(Image.open(io.BytesIO(table["reconstruction_C"][place]["bytes"])))
        assert np.array_equal(shown, store["reconstruction"].values[2, seed, place])


def test_duckdb_asks_for_the_worst_and_reads_their_pictures(file, store):
    duckdb = pytest.importorskip("duckdb", reason="no DuckDB here: pip install duckdb")
    found = duckdb.sql(
        f'SELECT id, mse_A, image.bytes AS png FROM "{file}" WHERE mse_A IS NOT NULL ORDER BY mse_A DESC LIMIT 3'
    ).fetchall()
    worst = store["mse"].mean("seed").sel(configuration="A").to_series().dropna().sort_values(ascending=False).index[:3]
    assert [row[0] for row in found] == store["id"].values[worst].tolist()
    assert Image.open(io.BytesIO(found[0][2])).size == (8, 8)


def test_without_maps_there_are_numbers_alone(tmp_path):
    bare = aggregated(seeds=1, tested=4, pool=5, maps=False).drop_vars("pixels")
    write_parquet(tmp_path / "bare.parquet", bare, bare)
    table = pd.read_parquet(tmp_path / "bare.parquet")
    assert "image" not in table
    assert len(table) == 10
    assert table["mse_A"].notna().sum() == 8
