"""A quick form of `benchmarks/claims.py`: verdicts on simulated experiments whose truth is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sluguq.claims import CLAIMS, Run
from sluguq.claims.rules import FAILS, HOLDS, together
from tests.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from claims_worlds import ASKED, WITHOUT_SLUG, WORLDS, simulated


def verdicts(world: str, seeds: int, tested: int, key: int, keys=ASKED) -> dict[str, str]:
    store = simulated(WORLDS[world], seeds, tested, np.random.default_rng(key))
    run = Run({"home": store}, None, 60)
    return {c.key: together(c.parts(run), c.fewest_seeds)[0] for c in CLAIMS if c.key in keys}


def test_a_slug_that_knows_nothing_is_refuted():
    """Four of the claims at 64 images per group; that SLUG is higher for dark skin under C takes the papers' size."""
    found = [verdicts("blind", 10, 64, key, set(WITHOUT_SLUG)) for key in range(10)]
    for claim in WITHOUT_SLUG[:4]:
        assert sum(one[claim] == FAILS for one in found) >= 9, claim
    large = [verdicts("blind", 10, 512, key, {WITHOUT_SLUG[4]}) for key in range(4)]
    assert sum(one[WITHOUT_SLUG[4]] == FAILS for one in large) >= 3


@pytest.mark.parametrize(("world", "seeds", "tested"), [("true", 10, 64), ("false", 10, 64), ("true", 3, 24)])
def test_verdicts_are_not_wrong_where_there_is_something_to_see(world, seeds, tested):
    decided = 0
    for key in range(3):
        for claim, verdict in verdicts(world, seeds, tested, key).items():
            wrong = FAILS if claim in WORLDS[world].true else HOLDS
            assert verdict != wrong, (claim, key)
            decided += verdict in (HOLDS, FAILS)
    assert decided >= 3 * (10 if seeds == 10 else 1)


def test_hardly_anything_holds_where_there_is_nothing():
    """Two seeds, as in the demo, used to decide a claim by chance in one run of ten."""
    wrong = asked = 0
    for key in range(12):
        found = verdicts("null", 2, 24, key)
        wrong += sum(v == HOLDS for claim, v in found.items() if claim not in WORLDS["null"].true)
        asked += len(found)
    assert wrong / asked <= 0.02
