"""Cheaper rivals of SLUG: their values against an exact computation, their costs, and their place in the stores."""

import jax
import numpy as np
import pandas as pd
import pytest

from sluguq.analysis.signals import compare_signals, passes_of
from sluguq.figures.drawing import draw
from sluguq.networks.network import reconstruction_function
from sluguq.networks.weights import load_network
from sluguq.slug.eigenbasis import eigenbasis
from sluguq.slug.exact import score_exact
from sluguq.slug.restriction import restrict
from sluguq.stages.aggregation import aggregate_scores
from sluguq.stages.keys import ModelId
from sluguq.stages.rival_table import COLUMNS, WHOLE, read_rivals
from sluguq.stages.rivals import score_rivals
from sluguq.stores.store import open_store
from sluguq.stores.variables import PASSES
from tests.figures.stand_in import aggregated
from tests.stages.test_aggregation import IDS, write_images, write_scores
from tests.stages.test_stages import SCORE, SETTINGS

pytestmark = pytest.mark.usefixtures("quick_compilation")

RIVALS = {"last_layer": "decoder/conv_out/*", "decoder": ["decoder/*"], "tenth": 0.1}


@pytest.fixture(scope="module")
def table(world, tmp_path_factory):
    path = tmp_path_factory.mktemp("rivals") / "seed-0.csv"
    score_rivals(
        world / "images.zarr", world / "split.csv", world / "weights.safetensors", path,
        model_id=ModelId("A", 0), rivals=RIVALS, basis=SETTINGS,
        score={**SCORE, "accuracy": None, "precision": "float32", "probes": 64},
    )  # fmt: skip
    return read_rivals(path)


def test_every_rival_scores_every_tested_image_and_says_what_it_takes(table):
    assert tuple(table.columns) == COLUMNS
    assert set(table["rival"]) == {WHOLE, *RIVALS}
    assert table.groupby("rival")["id"].nunique().eq(4).all()
    passes = table.groupby("rival")["passes"].first()
    assert 0 < passes["last_layer"] < passes["decoder"] < passes[WHOLE]
    # Gradients of a few weights everywhere run through all layers.
    assert passes["tenth"] == pytest.approx(passes[WHOLE], rel=0.35)
    assert table.loc[table["rival"] == WHOLE, "slug"].isna().all()
    assert table.loc[table["rival"] != WHOLE, "slug"].gt(0).all()


def test_a_rival_is_slug_of_these_weights(table, world):
    store = open_store(world / "images.zarr")
    apply, params = reconstruction_function(load_network(world / "weights.safetensors"))
    apply, some = restrict(apply, params, "decoder/*")
    pixels = store["pixels"].values
    basis = eigenbasis(apply, some, pixels[:6], rank=SETTINGS["rank"], key=jax.random.key(1), tolerance=1e-4)
    exact = score_exact(apply, some, basis, pixels[6:])
    rows = table[table["rival"] == "decoder"]
    assert rows["id"].tolist() == store["id"].values[6:].tolist()
    off = np.abs(rows["slug"].to_numpy() - np.asarray(exact.slug))
    # Directions of the two bases agree to their tolerance, 5 %.
    assert (off < 4 * rows["slug_sem"].to_numpy() + 0.05 * np.asarray(exact.slug)).all()


def test_a_pattern_of_no_weights_is_told_with_the_paths(world, tmp_path):
    with pytest.raises(ValueError, match=r"no weights match 'head/\*'; their paths are decoder"):
        score_rivals(
            world / "images.zarr", world / "split.csv", world / "weights.safetensors", tmp_path / "t.csv",
            model_id=ModelId("A", 0), rivals={"last_layer": "head/*"}, basis=SETTINGS,
            score={**SCORE, "precision": "float32"},
        )  # fmt: skip
    assert not (tmp_path / "t.csv").exists()


def test_rivals_stand_at_their_images_in_the_store(tmp_path):
    write_images(tmp_path / "images.zarr")
    tested = {0: [IDS[4], IDS[0]], 3: [IDS[1], IDS[6]]}
    scores, rivals = {}, {}
    for seed, ids in tested.items():
        scores["A", seed], rivals["A", seed] = tmp_path / f"{seed}.zarr", tmp_path / f"{seed}.csv"
        write_scores(scores["A", seed], ids, offset=seed)
        rows = [
            (name, i, (IDS.index(i) + 100 * seed) if name != WHOLE else np.nan, 0.1, passes)
            for name, passes in ((WHOLE, 50.0 + seed), ("last_layer", 9.0))
            for i in ids
        ]
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(rivals["A", seed], index=False)
    arguments = {"experiment": "e", "dataset": "d", "role": "training", "groups": {"light": [1, 2], "dark": [5, 6]}}
    aggregate_scores(
        [tmp_path / "images.zarr"], scores, tmp_path / "out.zarr", **arguments, configuration="", rivals=rivals
    )
    store = open_store(tmp_path / "out.zarr")
    found = store["rival_last_layer"].sel(configuration="A")
    assert found.sel(seed=0).dropna("image").to_series().to_dict() == {IDS[0]: 0, IDS[4]: 4}
    assert found.sel(seed=3).dropna("image").to_series().to_dict() == {IDS[1]: 301, IDS[6]: 306}
    assert store["rival_last_layer"].attrs[PASSES] == 9
    assert passes_of(store, "slug") == 51.5


def test_rivals_are_signals_with_what_they_take():
    store = aggregated(seeds=2, tested=30, pool=40, size=8, maps=False)
    noise = np.random.default_rng(0).lognormal(0, 2, store["slug"].shape)
    store["rival_last_layer"] = (
        store["slug"].dims,
        store["slug"].values * noise,
        {PASSES: 9.0, f"{PASSES}_of_slug": 50.0},
    )
    table = compare_signals(store, 40)
    rank = table[table["test"] == "spearman"].set_index(["configuration", "signal"])
    assert rank.loc[("A", "rival_last_layer"), "passes"] == 9
    assert rank.loc[("A", "slug"), "passes"] == 50
    assert rank.loc[("A", "kl"), "passes"] == 1
    assert rank.loc[("A", "rival_last_layer"), "value"] < rank.loc[("A", "slug"), "value"]
    figure, _ = draw("signals", store, tables={"signals": table})
    words = [tick.get_text() for axes in figure.axes for tick in axes.get_yticklabels()]
    assert "SLUG,\nlast layer alone (9)" in words
    assert "SLUG (50)" in words


def test_an_ensemble_takes_the_networks_that_tested_an_image_and_no_more():
    store = aggregated(seeds=4, tested=6, pool=8, size=4)
    tested = np.isfinite(store["mse"].values[0]).sum(axis=0)
    assert passes_of(store, "ensemble_variance") == pytest.approx(tested[tested > 1].mean())
    assert passes_of(store, "ensemble_variance") < 4
