"""Power against simulated experiments: what is promised from a pilot is what comes out."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from sluguq.analysis.estimates import over_seeds
from sluguq.analysis.statistics import mean
from sluguq.claims import CLAIMS, Run
from sluguq.claims.power import COLUMNS, components, of_claim, power
from sluguq.claims.rules import HOLDS, OPEN, above, together
from sluguq.figures.planning import power as draw_power
from tests.figures.stand_in import aggregated, with_artefacts
from tests.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from claims_worlds import WORLDS, simulated


def experiment(rng, seeds, images, effect, training=0.1):
    """A mean whose seeds test so many images each, of a pool of 400."""
    pool = rng.normal(size=400)
    tested = [rng.choice(400, images, replace=False) for _ in range(seeds)]
    columns = [{"x": effect + rng.normal(0, training) + pool[some]} for some in tested]
    return over_seeds(mean, columns, tested, replicates=200, key=int(rng.integers(1 << 30)))


@pytest.mark.parametrize(("seeds", "images"), [(3, 100), (10, 50), (10, 300)])
def test_the_promised_share_of_experiments_decides(seeds, images):
    rng = np.random.default_rng(seeds)
    effect = 0.2
    # A pilot whose estimate and variances are near the truth: the mean of many would be the truth itself.
    pilots = [experiment(rng, 10, 100, effect) for _ in range(60)]
    promised = np.mean([of_claim([above("a", p._replace(value=effect))], seeds, images / 100)[0] for p in pilots])
    seen = np.mean([above("a", experiment(rng, seeds, images, effect)).verdict == HOLDS for _ in range(150)])
    assert promised == pytest.approx(seen, abs=0.12)


def test_what_is_promised_of_every_claim_is_what_comes_out():
    """Claims of several parts too, and such as follow a reference: of pilots on average, against simulated runs."""
    world, keys = WORLDS["true"], ("dark_worse_even_under_C", "slug_gap_has_sign_of_error", "removal_lowers_error")
    pilots = [Run({"home": simulated(world, 10, 64, np.random.default_rng(key))}, None, 60) for key in range(6)]
    promised = pd.concat([power(pilot, 64, seeds=(4,), images=(64,)) for pilot in pilots])
    promised = promised.groupby("claim")["holds"].mean()
    claims = [claim for claim in CLAIMS if claim.key in keys]
    runs = [Run({"home": simulated(world, 4, 64, np.random.default_rng(100 + key))}, None, 60) for key in range(24)]
    for claim in claims:
        seen = np.mean([together(claim.parts(run), claim.fewest_seeds)[0] == HOLDS for run in runs])
        assert promised[claim.key] == pytest.approx(seen, abs=0.3), claim.key
        assert promised[claim.key] > 0.05, claim.key


def test_larger_test_sets_bring_no_external_images():
    """External data are as many as they are, and artefacts are drawn on as many images as the configuration says."""
    options = {"seeds": 3, "size": 8, "noise": 0.6}
    stores = {
        "home": aggregated(tested=30, pool=60, maps=False, **options),
        "abroad": aggregated(role="external", pool=60, maps=False, key=1, **options),
        "drawn": with_artefacts(seeds=3, images=40, slug_signal=0.8),
    }
    table = power(Run(stores, None, 30), 30, seeds=(3,), images=(10, 1000))
    varied = table.groupby("claim")["decided"].agg(np.ptp)
    fixed = varied[varied.index.str.contains("external|abroad|artefact")]
    assert len(fixed) >= 8
    assert (fixed == 0).all()
    assert (varied.drop(fixed.index) > 0.05).mean() > 0.5


def test_a_run_too_small_for_any_verdict_is_promised_none():
    """Two seeds of eight images per group have sixteen patients of a group at most; twenty are needed."""
    store = simulated(WORLDS["true"], 4, 24, np.random.default_rng(0))
    run = Run({"home": store}, None, 40)
    decided = power(run, 24, seeds=(2,), images=(8, 400)).set_index(["claim", "images"])["decided"]
    assert decided["light_best_under_A", 8] == 0
    assert decided["light_best_under_A", 400] > 0
    tiny = Run({"home": simulated(WORLDS["true"], 2, 8, np.random.default_rng(0))}, None, 40)
    claim = next(claim for claim in CLAIMS if claim.key == "light_best_under_A")
    assert together(claim.parts(tiny), claim.fewest_seeds)[0] == OPEN


def test_images_help_where_images_vary_and_seeds_where_trainings_do():
    rng = np.random.default_rng(0)
    by_images, by_seeds = experiment(rng, 5, 100, 0.3, 0.01), experiment(rng, 5, 100, 0.3, 1.0)
    now = sum(components(by_seeds, 5, 1))
    assert sum(components(by_seeds, 80, 1)) < 0.1 * now
    assert sum(components(by_seeds, 5, 4)) > 0.9 * now
    # Of different images of one pool seeds help as well, until the pool is used up: then neither does.
    now = sum(components(by_images, 5, 1))
    assert sum(components(by_images, 5, 4)) < 0.8 * now
    assert sum(components(by_images, 500, 4)) == pytest.approx(sum(components(by_images, 500, 1)), rel=0.4)
    assert sum(components(by_seeds, 5, 1)) == pytest.approx(by_seeds.standard_error**2, rel=0.2)


def test_a_table_and_a_figure_of_all_claims():
    store = simulated(WORLDS["true"], 3, 24, np.random.default_rng(0))
    table = power(Run({"home": store}, None, 40), 24, seeds=(3, 10), images=(24, 512), planned=(4, 48))
    assert tuple(table.columns) == COLUMNS
    assert table.groupby("claim").size().eq(5).all()
    assert table["planned"].sum() == table["claim"].nunique()
    assert table[["holds", "fails", "decided"]].stack().between(0, 1).all()
    wide = table.set_index(["seeds", "images", "claim"])["decided"].unstack()
    assert wide.loc[(10, 512), "gap_under_A"] > 0.99
    assert (wide.loc[(10, 512)] >= wide.loc[(3, 24)] - 0.05).mean() > 0.9
    figure, drawn = draw_power(table)
    assert drawn is table
    figure.draw_without_rendering()
    none = power(Run({"home": store.isel(seed=[0])}, None, 40), 24)
    assert none.empty
    draw_power(none)
