"""Conformal p-values: exact ranks, and the guarantee in simulations of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluguq.analysis.conformal import conformal_p, conformal_threshold, joined_p


def test_p_values_count_the_reference_and_the_image_itself():
    reference = [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_allclose(conformal_p([0.5, 2.0, 3.5, 9.0], reference), [1.0, 0.8, 0.4, 0.2])
    assert np.isnan(conformal_p([np.nan], reference)).all()


@pytest.mark.parametrize("reference", [[], [1.0, np.nan]])
def test_a_reference_that_says_nothing_is_refused(reference):
    with pytest.raises(ValueError, match="reference of a conformal"):
        conformal_p([1.0], reference)
    with pytest.raises(ValueError, match="reference of a conformal"):
        conformal_threshold(reference, 0.1)


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=40),
    st.lists(st.floats(-10, 10), min_size=1, max_size=10),
    st.floats(0.01, 0.99),
)
def test_a_value_above_the_threshold_has_a_p_value_within_the_share(reference, values, share):
    """At a tie with the threshold the p-value may exceed the share, and then the image is not flagged."""
    flagged = np.asarray(values) > conformal_threshold(reference, share)
    assert (conformal_p(values, reference)[flagged] <= share + 1e-9).all()


@pytest.mark.parametrize("size", [9, 24, 100])
@pytest.mark.parametrize("draw", ["lognormal", "discrete"])
def test_no_more_than_the_share_is_flagged_whatever_the_distribution(size, draw):
    """Over many references the share of flagged images is at most α, and close to it where values are continuous."""
    rng, share, repetitions = np.random.default_rng(0), 0.1, 4000
    shape = (repetitions, size + 1)
    values = rng.lognormal(sigma=2.0, size=shape) if draw == "lognormal" else rng.integers(0, 4, shape).astype(float)
    p = np.array([conformal_p(row[-1:], row[:-1])[0] for row in values])
    above = np.mean([row[-1] > conformal_threshold(row[:-1], share) for row in values])
    error = 3 * np.sqrt(share * (1 - share) / repetitions)
    assert np.mean(p <= share) <= share + error
    assert above <= share + error
    if draw == "lognormal":
        assert np.mean(p <= share) >= np.floor(share * (size + 1)) / (size + 1) - error


def test_too_small_a_reference_flags_nothing():
    assert conformal_threshold([1.0, 2.0], 0.05) == np.inf
    assert conformal_threshold(np.arange(19), 0.05) == 18


def test_several_networks_keep_the_guarantee_however_they_agree():
    rng, repetitions = np.random.default_rng(1), 20_000
    for correlation in (0.0, 0.6, 1.0):
        common = rng.standard_normal((1, repetitions))
        scores = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.standard_normal((3, repetitions))
        reference = rng.standard_normal((3, 200))
        p = joined_p([conformal_p(score, ref) for score, ref in zip(scores, reference, strict=True)])
        assert np.mean(p <= 0.1) <= 0.1 + 0.02
    np.testing.assert_array_equal(joined_p([[0.2, 0.9]]), [0.2, 0.9])
