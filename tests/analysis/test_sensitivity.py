"""Sensitivity: bases are cut, tests chosen and measures taken as stated."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sluguq.analysis.sensitivity import sensitivity_table
from sluguq.figures.drawing import draw
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.stages.score_varied import cut, some_tested
from sluguq.stores.store import write_store
from sluguq.stores.variables import described


def scores(count=20, key=0, names="image"):
    rng = np.random.default_rng(key)
    slug = rng.permutation(np.arange(1.0, count + 1))
    return pd.DataFrame(
        {"id": [f"{names}-{i}" for i in range(count)], "mse": slug, "slug": slug, "slug_sem": 0.1 * slug}
    )


def result(table, measure, **wanted):
    wanted = {"seed": -1, **wanted}
    chosen = table[table["measure"] == measure]
    for name, value in wanted.items():
        chosen = chosen[chosen[name] == value]
    return chosen["result"].item()


def test_measures_of_a_known_change():
    own = scores()
    fewer = own.iloc[:12]
    reversed_ranks = fewer.assign(slug=2 * (fewer["slug"].max() + 1 - fewer["slug"]), slug_sem=0.0)
    varied = pd.concat(
        [fewer.assign(value=0, slug=3 * fewer["slug"], slug_sem=1.5 * fewer["slug"]), reversed_ranks.assign(value=5)]
    ).assign(setting="rank", configuration="A", seed=0)
    table = sensitivity_table({("A", 0): own}, varied, {"rank": 10})
    assert set(table["setting"]) == {"rank"}
    assert result(table, "agreement", value=0) == pytest.approx(1)
    assert result(table, "level", value=0) == pytest.approx(3)
    assert result(table, "relative_sem", value=0) == pytest.approx(0.5)
    assert result(table, "spearman", value=5) == pytest.approx(-1)
    assert result(table, "agreement", value=5) == pytest.approx(-1)
    # The experiment's own value is measured on the same images.
    assert result(table, "level", value=10) == 1
    assert set(table.loc[table["reference"], "value"]) == {10}
    assert set(table["images"]) == {12}


def test_the_seeds_need_no_further_scores():
    here = {("A", 0): scores(), ("A", 1): scores(key=1), ("A", 2): scores(key=2, names="other")}
    nothing = pd.DataFrame(columns=["setting", "value", "configuration", "seed", "id", "mse", "slug", "slug_sem"])
    table = sensitivity_table(here, nothing, {})
    assert set(table["setting"]) == {"seed"}
    assert result(table, "agreement", value=0) == pytest.approx(1)
    expected = pd.Series(here["A", 0]["slug"]).corr(here["A", 1]["slug"], method="spearman")
    assert result(table, "agreement", value=1) == pytest.approx(expected)
    # No image was tested by both, so only what needs none in common is there.
    assert set(table.loc[table["value"] == 2, "measure"]) == {"spearman", "level", "relative_sem"}
    with pytest.raises(ValueError, match="nothing was varied"):
        sensitivity_table({("A", 0): scores()}, nothing, {})


def test_the_experiments_own_value_is_marked_where_it_is_among_the_varied():
    own = scores()
    varied = pd.concat([own.assign(value=v, slug=v * own["slug"]) for v in (16.0, 64.0)])
    table = sensitivity_table(
        {("A", 0): own}, varied.assign(setting="probes", configuration="A", seed=0), {"probes": 64}
    )
    assert table.groupby("value")["reference"].unique().map(list).to_dict() == {16.0: [False], 64.0: [True]}
    # Its numbers are those of its own scores, not of the reference against itself.
    assert result(table, "level", value=64) == pytest.approx(64)
    figure, _ = draw("sensitivity", sensitivity=table)
    dotted = [line for axes in figure.axes for line in axes.lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == [[1, 1]] * 4


def test_intervals_are_over_images_and_hold_what_is_known():
    """Level: two scores of the same images differ by a factor alone, of different images by chance too."""
    rng = np.random.default_rng(0)
    own = scores(count=200)
    noisy = own.assign(slug=own["slug"] * np.exp(rng.normal(0, 0.3, 200)))
    others = noisy.assign(id=[f"other-{i}" for i in range(200)])
    parts = [own.assign(slug=2 * own["slug"], value=1.0), noisy.assign(value=2.0), others.assign(value=3.0)]
    varied = pd.concat(parts).assign(setting="rank", configuration="A", seed=0)
    table = sensitivity_table({("A", 0): own}, varied, {})
    width = {v: result(table.assign(result=table["high"] - table["low"]), "level", value=v) for v in (1, 2, 3)}
    assert width[1] == pytest.approx(0, abs=1e-9)
    assert 0 < width[2] < 0.5 * width[3]
    ranks = table[(table["measure"] == "spearman") & (table["seed"] == -1) & (table["value"] == 2)].iloc[0]
    assert ranks["low"] < ranks["result"] < ranks["high"] < 1
    # Fisher's interval of a rank correlation of 200 independent pairs is as wide, give or take.
    z = np.arctanh(ranks[["low", "high"]].to_numpy(float))
    assert z[1] - z[0] == pytest.approx(2 * 1.96 / np.sqrt(197), rel=0.5)


def test_a_basis_is_cut_without_a_copy():
    vectors = np.eye(4, 9)
    basis = Eigenbasis(np.arange(4.0), vectors, np.zeros(4), np.ones(4, bool), 0.0, 1.0, 0.0, 8)
    smaller = cut(basis, 2)
    assert np.shares_memory(smaller.vectors, vectors)
    assert (len(smaller.eigenvalues), smaller.vectors.shape, len(smaller.residuals)) == (2, (2, 9), 2)
    assert cut(basis, 0) is None
    with pytest.raises(ValueError, match="exceeds the 4 pairs"):
        cut(basis, 5)


def test_tested_images_are_spaced_and_of_every_group(tmp_path):
    ids = np.array([f"image-{i}" for i in range(12)], object)
    dataset = xr.Dataset(coords={"id": ("image", ids, described("id", "test"))})
    write_store(dataset, tmp_path / "images.zarr", title="images", source="test")
    roles = ["test_dark"] * 5 + ["train_A"] * 3 + ["test_light"] * 4
    pd.DataFrame({"id": ids, "role": roles}).to_csv(tmp_path / "split.csv", index=False)
    store = xr.open_zarr(tmp_path / "images.zarr", chunks=None)
    assert list(some_tested(store, tmp_path / "split.csv", 3)) == [0, 2, 4, 8, 10, 11]
    assert list(some_tested(store, tmp_path / "split.csv", 50)) == [0, 1, 2, 3, 4, 8, 9, 10, 11]
