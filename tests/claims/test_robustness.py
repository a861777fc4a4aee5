"""Verdicts under other ways of taking the test images."""

from __future__ import annotations

import numpy as np

from sluguq.analysis.statistics import mean
from sluguq.claims import Run
from sluguq.claims.power import power
from sluguq.claims.robustness import AS_IT_IS, COLUMNS, OTHER_TYPES, robustness, variants
from sluguq.claims.rules import HOLDS, above
from sluguq.machine import extensions
from tests.figures.stand_in import aggregated


def store():
    made = aggregated(seeds=3, tested=40, pool=60, noise=0.1, maps=False).drop_vars(["label_site", "label_ruler"])
    groups = np.array([f"d{i // 2}" if i % 10 < 2 else "" for i in range(made.sizes["image"])], dtype=object)
    types = made["fst"].values.astype(float)
    types[::6] = np.nan
    types[1::6] = np.where(types[1::6] > 3, 1, 6)
    return made.assign(duplicate_group=("image", groups), **{OTHER_TYPES: ("image", types)})


def test_variants_are_what_their_names_say():
    made = store()
    found = variants(made)
    assert list(found) == [
        AS_IT_IS, "one image of each duplicate", "skin types by the other annotation", "annotations agree on the group",
    ]  # fmt: skip
    assert found["one image of each duplicate"].sizes["image"] == 120 - 12
    other = found["skin types by the other annotation"]
    assert (other["group"].values == "").sum() == 20
    assert (other["group"].values[1::6] != made["group"].values[1::6]).all()
    assert found["annotations agree on the group"].sizes["image"] == 120 - 40
    assert list(variants(made.drop_vars([OTHER_TYPES, "duplicate_group"]))) == [AS_IT_IS]


def test_every_claim_is_judged_under_every_variant():
    table = robustness(store(), 60)
    assert set(COLUMNS) == set(table.columns)
    assert table.groupby("variant")["claim"].nunique().nunique() == 1
    assert table.loc[table["variant"] == AS_IT_IS, "same"].all()
    wide = table.set_index(["variant", "claim"])
    assert wide.loc[(AS_IT_IS, "gap_under_A"), "verdict"] == HOLDS
    assert wide.loc[("annotations agree on the group", "gap_under_A"), "verdict"] == HOLDS
    # A third of the types are wrong or gone in the other annotation, so its gap is smaller.
    gaps = wide.xs("gap_under_A", level="claim")["estimate"]
    assert gaps["skin types by the other annotation"] < 0.8 * gaps[AS_IT_IS]


def test_a_gap_that_is_of_what_is_photographed_goes_where_levels_are_matched():
    """Wounds are four times as hard as moles, and dark skin has more of them; skin itself makes no difference."""
    made = aggregated(seeds=4, tested=60, pool=120, noise=0.1, maps=False).drop_vars(["label_site", "label_ruler"])
    dark = made["group"].values == "dark"
    rng = np.random.default_rng(0)
    wound = rng.random(len(dark)) < np.where(dark, 0.8, 0.2)
    error = np.exp(rng.normal(0, 0.2, len(dark))) * np.where(wound, 0.04, 0.01)
    made["mse"].values[:] = np.where(np.isfinite(made["mse"].values), error, np.nan)
    made["label_condition"] = ("image", np.where(wound, "wound", "mole").astype(object))
    found = variants(made)
    assert list(found) == [AS_IT_IS, "matched by condition"]
    matched = found["matched by condition"]
    counts = {
        (group, condition): int(((matched["group"] == group) & (matched["label_condition"] == condition)).sum())
        for group in ("light", "dark")
        for condition in ("wound", "mole")
    }
    assert counts["light", "wound"] == counts["dark", "wound"] > 10
    assert counts["light", "mole"] == counts["dark", "mole"] > 10
    wide = robustness(made, 60).set_index(["variant", "claim"])
    assert wide.loc[(AS_IT_IS, "gap_under_A"), "verdict"] == HOLDS
    assert wide.loc[("matched by condition", "gap_under_A"), "verdict"] != HOLDS
    assert abs(wide.loc[("matched by condition", "gap_under_A"), "estimate"]) < 0.15


def test_labels_that_leave_too_few_images_are_not_matched():
    made = aggregated(seeds=2, tested=30, pool=40, maps=False).drop_vars(["label_site", "label_ruler"])
    alone = np.arange(made.sizes["image"]).astype(str).astype(object)
    assert list(variants(made.assign(label_condition=("image", alone)))) == [AS_IT_IS]
    assert list(variants(made.assign(label_condition=("image", np.full(len(alone), "mole", object))))) == [AS_IT_IS]


def test_claims_that_extensions_add_are_judged_under_variants_and_planned(monkeypatch):
    own = {
        "key": "own_claim", "statement": "own", "statistic": "s", "rule": "r", "smallest": "",
        "published": "", "fewest_seeds": 2,
        "parts": lambda run: [above("A", run.estimate(mean, {"x": ("mse", "A")}, transform="log"), 0.0)],
    }  # fmt: skip
    monkeypatch.setitem(extensions.CLAIMS, "own_claim", own)
    made = store()
    assert "own_claim" in set(robustness(made, 20)["claim"])
    assert "own_claim" in set(power(Run({"home": made}, None, 20), 40, seeds=(2,), images=(24,))["claim"])
