"""Training sets from disjoint blocks of the pool: intervals hold what other people would change."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from sluguq.analysis.estimates import over_seeds
from sluguq.analysis.making import make_table
from sluguq.analysis.statistics import mean
from sluguq.analysis.tables import per_image
from sluguq.claims import Run, judge
from sluguq.claims.run import BEYOND_POOL, IN_POOL
from tests.figures.stand_in import aggregated


def with_split(store, blocks):
    resolved = yaml.safe_load(store.attrs["configuration"])
    return store.assign_attrs(configuration=yaml.safe_dump({**resolved, "split": {"blocks": blocks}}))


@pytest.mark.parametrize(("blocks", "least", "most"), [(None, 0.0, 0.88), ([0, 1, 2, 3, 4] * 2, 0.91, 0.995)])
def test_what_seeds_of_a_block_share_is_in_the_interval_where_blocks_are_named(blocks, least, most):
    """Ten seeds on five blocks; three quarters of the variance of a training are of who is in the block."""
    rng, hit, trials = np.random.default_rng(0), 0, 200
    for trial in range(trials):
        of_block = rng.normal(0, np.sqrt(0.75), 5)
        images = 0.2 * rng.normal(size=40)
        seeds = [{"x": of_block[s % 5] + rng.normal(0, 0.5) + images} for s in range(10)]
        estimate = over_seeds(mean, seeds, [np.arange(40)] * 10, replicates=60, key=trial, blocks=blocks)
        hit += estimate.low <= 0 <= estimate.high
    assert least <= hit / trials <= most


def test_one_block_counts_as_none():
    rng = np.random.default_rng(0)
    seeds = [{"x": rng.normal(size=20)} for _ in range(3)]
    plain, one = (over_seeds(mean, seeds, [np.arange(20)] * 3, blocks=b) for b in (None, [1, 1, 1]))
    assert plain == one


def test_tables_and_claims_take_the_blocks_of_the_configuration():
    store = aggregated(seeds=4, tested=30, pool=40, maps=False)
    parted = with_split(store, 2)
    assert per_image(parted).groupby("seed")["block"].first().to_dict() == {0: 0, 1: 1, 2: 0, 3: 1}
    assert "block" not in per_image(store)
    levels = {n: make_table("levels", s, 60).iloc[0] for n, s in (("plain", store), ("parted", parted))}
    assert levels["plain"]["value"] == pytest.approx(levels["parted"]["value"])
    assert levels["plain"]["high"] != levels["parted"]["high"]
    row = judge({"home": parted}, replicates=60).set_index("claim")
    part = (
        make_table("gaps", parted, 60).set_index(["variable", "configuration", "measure"]).loc["mse", "A", "log_ratio"]
    )
    assert row.loc["gap_under_A", ["low", "high"]].tolist() == pytest.approx(part[["low", "high"]].tolist())
    assert row.loc["gap_under_A", "scope"] == BEYOND_POOL
    assert judge({"home": store}, replicates=20).set_index("claim").loc["gap_under_A", "scope"] == IN_POOL
    assert Run({"home": with_split(store.isel(seed=[0, 2]), 2)}).scope == IN_POOL
