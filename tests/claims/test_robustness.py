"""Verdicts under other ways of taking the test images."""

from __future__ import annotations

import numpy as np

from sluguq.claims.robustness import AS_IT_IS, COLUMNS, OTHER_TYPES, robustness, variants
from sluguq.claims.rules import HOLDS
from tests.figures.stand_in import aggregated


def store():
    made = aggregated(seeds=3, tested=40, pool=60, noise=0.1, maps=False)
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
