"""Results of an experiment in one object, and analyses that take it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import sluguq
from sluguq.analysis.fairness import gaps
from sluguq.analysis.given import dataset_of
from sluguq.analysis.signals import compare_signals
from sluguq.analysis.tables import per_image, read_claims
from sluguq.claims import judge
from sluguq.stores.store import StoreError, open_store
from sluguq.stores.tables import write_table
from tests.figures.stand_in import aggregated, saved


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stores as the workflow leaves them, with a table, claims and an empty table."""
    folder = tmp_path_factory.mktemp("results") / "stand-in"
    saved(
        {
            "phantom": aggregated(seeds=2, tested=8, pool=10, size=8),
            "elsewhere": aggregated(role="external", seeds=2, pool=6, size=8, key=1, maps=False),
        },
        folder,
    )
    tables = folder / "tables" / "phantom"
    tables.mkdir(parents=True)
    pd.DataFrame({"configuration": ["1"], "group": ["2"], "value": [0.5]}).to_csv(tables / "gaps.csv", index=False)
    (tables / "nothing.csv").write_text("\n")
    pd.DataFrame({"claim": ["a", "b"], "verdict": ["holds", "holds"]}).to_csv(folder / "claims.csv", index=False)
    return folder


def test_results_are_found_by_name_and_say_what_there_is(folder, monkeypatch):
    run = sluguq.open(folder)
    assert list(run) == ["elsewhere", "phantom"]
    assert run["phantom"].attrs["role"] == run.training.attrs["role"] == "training"
    assert list(run.tables()) == ["gaps"]
    assert run.tables()["gaps"]["configuration"].tolist() == ["1"]
    assert run.claims["verdict"].tolist() == ["holds", "holds"]
    assert run.configuration["groups"] == {"light": [1, 2], "dark": [5, 6]}
    for text in (repr(run), run._repr_html_()):
        for words in (
            "stand-in",
            "A, B, C",
            "20 images (synthetic), training",
            "12 images (synthetic), external",
            "2 holds",
        ):
            assert words in text
    monkeypatch.chdir(folder.parent)
    (folder.parent / "results").symlink_to(folder.parent)
    assert sluguq.open("stand-in").training.sizes["image"] == 20
    (folder.parent / "results").unlink()


def test_what_is_not_there_is_said(folder, tmp_path):
    run = sluguq.open(folder)
    with pytest.raises(KeyError, match="no data set 'skin'; there are elsewhere, phantom"):
        run["skin"]
    with pytest.raises(KeyError, match="no table 'levels'; there are gaps"):
        run.tables()["levels"]
    with pytest.raises(StoreError, match=r"there are no results in .*; give the folder of an experiment that has run"):
        sluguq.open(tmp_path)


def test_analyses_take_results_and_stores_however_they_were_opened(folder):
    import xarray as xr

    run = sluguq.open(folder)
    ours = open_store(folder / "phantom.zarr")
    plain = xr.open_zarr(folder / "phantom.zarr", chunks=None)
    for analysis in (
        per_image,
        lambda given: gaps(given, replicates=20),
        lambda given: compare_signals(given, replicates=5),
    ):
        expected = analysis(ours)
        assert len(expected)
        pd.testing.assert_frame_equal(analysis(run), expected)
        pd.testing.assert_frame_equal(analysis(plain), expected)
    assert dataset_of(ours) is ours
    assert len(run.images()) == int(np.isfinite(ours["mse"]).sum())
    assert set(run.images("elsewhere")["seed"]) == {0, 1}


def test_claims_come_back_from_disk_as_they_were_judged(tmp_path):
    claims = judge({"phantom": aggregated(seeds=2, tested=8, pool=10, size=8)}, replicates=20)
    # A digest can be digits alone or look like 1e10, and a claim of one's own can say NA or 0.50.
    claims = claims.assign(rules_version="004711", registered="12e3")
    claims.loc[0, "published"], claims.loc[1, "published"] = "0.50", "NA"
    write_table(tmp_path / "claims.csv", claims, sealed=False)
    again = read_claims(tmp_path / "claims.csv")
    words = [name for name in claims if not pd.api.types.is_numeric_dtype(claims[name])]
    assert {"published", "rules_version", "registered", "verdict", "smallest_effect"} <= set(words)
    pd.testing.assert_frame_equal(again[words].fillna(""), claims[words].fillna(""), check_dtype=False)
    pd.testing.assert_frame_equal(
        again.drop(columns=words).astype(float), claims.drop(columns=words).astype(float), check_exact=True
    )
    write_table(tmp_path / "claims.csv", claims.head(0), sealed=False)
    assert list(read_claims(tmp_path / "claims.csv")) == list(claims)
