"""A subset keeps the share of every kind."""

import numpy as np

from sluguq.stages.subset import balanced_subset


def test_every_kind_keeps_its_share_and_seeds_differ():
    kinds = np.array([1] * 50 + [5] * 30 + [6] * 20)  # sorted, as splits are: first rows would be of one kind
    draws = [balanced_subset(kinds, 25, np.random.default_rng(seed)) for seed in range(3)]
    for drawn in draws:
        assert len(np.unique(drawn)) == len(drawn) == 25
        assert (np.diff(drawn) > 0).all()
        counts = [(kinds[drawn] == kind).sum() for kind in (1, 5, 6)]
        assert np.abs(np.array(counts) - [12.5, 7.5, 5]).max() <= 0.5
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[0], balanced_subset(kinds, 25, np.random.default_rng(0)))


def test_all_where_there_are_no_more():
    np.testing.assert_array_equal(balanced_subset(np.zeros(4), 9, np.random.default_rng(0)), np.arange(4))


def test_every_image_of_a_kind_is_as_likely():
    kinds = np.repeat(["a", "b"], [10, 30])
    seen = np.zeros(40)
    for seed in range(400):
        seen[balanced_subset(kinds, 8, np.random.default_rng(seed))] += 1
    # Binomial with n = 400, p = 1/5: standard deviation 8.
    assert np.abs(seen - 80).max() < 4.5 * 8
