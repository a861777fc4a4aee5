"""Retention curves and flags against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sluguq.analysis import retention as r


def one(count: int) -> np.ndarray:
    return np.ones((1, count))


def test_curve_by_hand():
    error = np.array([1.0, 2.0, 3.0, 4.0])
    score = np.array([1.0, 2.0, 4.0, 3.0])
    curve = r.retention_curve(error, score, one(4), np.array([0.25, 0.5, 0.75, 0.875, 1.0]))[0]
    np.testing.assert_allclose(curve, [1, 1.5, (1 + 2 + 4) / 3, (1 + 2 + 4 + 1.5) / 3.5, 2.5])


def test_curve_does_not_depend_on_the_order_of_ties():
    rng = np.random.default_rng(0)
    error, score = rng.random(60), rng.integers(0, 4, 60).astype(float)
    order = rng.permutation(60)
    np.testing.assert_allclose(
        r.retention_curve(error, score, one(60)), r.retention_curve(error[order], score[order], one(60))
    )


def test_weights_are_repetitions():
    rng = np.random.default_rng(1)
    error, score, weight = rng.random(30), rng.random(30), rng.integers(0, 3, 30)
    repeated = r.retention_curve(np.repeat(error, weight), np.repeat(score, weight), one(weight.sum()))
    np.testing.assert_allclose(r.retention_curve(error, score, weight[None].astype(float)), repeated)


def test_gain_is_one_for_the_oracle_zero_for_no_information_negative_for_harm():
    rng = np.random.default_rng(2)
    error = rng.lognormal(size=500)
    assert r.retention_gain(error, np.sqrt(error), one(500))[0] == pytest.approx(1)
    assert r.retention_gain(error, np.ones(500), one(500))[0] == pytest.approx(0, abs=1e-12)
    assert abs(np.mean([r.retention_gain(error, rng.random(500), one(500))[0] for _ in range(50)])) < 0.05
    assert r.retention_gain(error, -error, one(500))[0] < -0.5


def test_steps_add_up():
    rng = np.random.default_rng(3)
    error, score = rng.random(40), rng.random(40)
    steps = [r.retention_step(error, score, one(40), k, o)[0] for o, k in ((1.0, 0.5), (0.5, 0.25))]
    curve = r.retention_curve(error, score, one(40), np.array([0.25, 1.0]))[0]
    assert sum(steps) == pytest.approx((curve[0] - curve[1]) / error.mean())


def test_flags_by_hand():
    score = np.arange(10.0)
    group = np.arange(10) >= 5
    assert r.flagged_share(score, group, one(10), 0.2)[0] == pytest.approx(2 / 5)
    assert r.flagged_share(score, ~group, one(10), 0.2)[0] == 0


def test_caught_share_is_of_the_worst_of_all():
    error = np.array([0, 0, 0, 0, 0, 0, 0, 0, 5.0, 6.0])
    group = np.array([False] * 9 + [True])
    assert r.caught_share(error, error, group, one(10), 0.1)[0] == 1
    assert r.caught_share(-error, error, group, one(10), 0.1)[0] == 0
    nobody = np.zeros(10, bool)
    assert np.isnan(r.caught_share(error, error, nobody, one(10), 0.1)[0])
