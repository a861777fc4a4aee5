"""Statistics against known answers, and intervals against their promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from sluguq.analysis import estimates as e
from sluguq.analysis import statistics as s
from sluguq.datasets import units


def one(count: int) -> np.ndarray:
    return np.ones((1, count))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# Weights against repetition: a replicate that draws an image twice is the sample with that image twice.


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=6, max_size=25
    )
)
def test_weights_are_repetitions(rows):
    """Every statistic, ties included: weighted equals that of the repeated sample by scipy or numpy."""
    x, y, group, weight = (np.array(column) for column in zip(*rows, strict=True))
    x, y, group = x.astype(float), y.astype(float), group.astype(bool)
    rx, ry, rg = (np.repeat(a, weight) for a in (x, y, group))
    if min(len(np.unique(rx)), len(np.unique(ry)), len(np.unique(rg))) < 2:
        return
    w = weight[None].astype(float)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(s.mean(x, w), [rx.mean()], **close)
    np.testing.assert_allclose(s.difference(x, group, w), [rx[rg].mean() - rx[~rg].mean()], **close)
    np.testing.assert_allclose(s.pearson(x, y, w), [stats.pearsonr(rx, ry)[0]], **close)
    np.testing.assert_allclose(s.spearman(x, y, w), [stats.spearmanr(rx, ry)[0]], **close)
    np.testing.assert_allclose(s.auroc(x, group, w), [roc_auc_score(rg, rx)], **close)
    np.testing.assert_allclose(s.quantile(x, 0.7, w), [np.quantile(rx, 0.7, method="inverted_cdf")])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = s.log_ratio(np.exp(x), group, w)
    np.testing.assert_allclose(ratio, [np.log(np.exp(rx[rg]).mean() / np.exp(rx[~rg]).mean())], **close)


def test_cohens_d_of_shifted_normals(rng):
    group = np.arange(4000) % 2 == 0
    x = rng.normal(size=4000) + 0.7 * group
    assert s.standardised_difference(x, group, one(4000))[0] == pytest.approx(0.7, abs=0.1)


def test_cliffs_delta_of_separated_and_equal_groups():
    group = np.array([True] * 5 + [False] * 5)
    assert s.cliffs_delta(np.arange(10.0), ~group, one(10))[0] == 1
    assert s.cliffs_delta(np.tile(np.arange(5.0), 2), group, one(10))[0] == 0


def test_partial_correlation_is_the_correlation_of_residuals(rng):
    controls = rng.normal(size=(300, 2))
    x = controls @ [1.0, -0.5] + rng.normal(size=300)
    y = controls @ [0.8, 0.3] + 0.4 * x + rng.normal(size=300)
    ranked = stats.rankdata(np.c_[x, y, controls], axis=0)
    design = np.c_[np.ones(300), ranked[:, 2:]]
    residual = ranked[:, :2] - design @ np.linalg.lstsq(design, ranked[:, :2], rcond=None)[0]
    expected = stats.pearsonr(*residual.T)[0]
    assert s.partial_spearman(x, y, controls, one(300))[0] == pytest.approx(expected, abs=1e-9)


def test_partial_correlation_vanishes_for_a_common_cause(rng):
    cause = rng.normal(size=5000)
    x, y = cause + 0.5 * rng.normal(size=5000), cause + 0.5 * rng.normal(size=5000)
    assert s.spearman(x, y, one(5000))[0] > 0.7
    assert abs(s.partial_spearman(x, y, cause[:, None], one(5000))[0]) < 0.06


def test_partial_correlation_ignores_a_constant_control(rng):
    x = rng.normal(size=50)
    y = x + rng.normal(size=50)
    constant = np.ones((50, 1))
    assert s.partial_spearman(x, y, constant, one(50))[0] == pytest.approx(s.spearman(x, y, one(50))[0])


# Clusters.


def test_clusters_join_through_third_images():
    patient = ["a", "a", "b", "", ""]
    duplicate = ["", "7", "7", "8", ""]
    labels = units.cluster_labels(patient, duplicate)
    assert labels[0] == labels[1] == labels[2]
    assert len({labels[0], labels[3], labels[4]}) == 3


def test_clusters_of_numbers_leave_negatives_and_nan_alone():
    assert len(set(units.cluster_labels(np.array([-1, -1, 4, 4])))) == 3
    assert len(set(units.cluster_labels(np.array([np.nan, np.nan, 1.0])))) == 3


def test_clusters_refuse_unequal_lengths():
    with pytest.raises(ValueError, match="one length"):
        units.cluster_labels(["a"], ["a", "b"])


def test_resampling_keeps_patients_together(rng):
    cluster = np.array([0, 0, 1, 2, 2, 2])
    counts = e.resample(cluster, 200, rng)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()


# Intervals.


def simulate(rng, seeds, images, between, shared, per_patient=2):
    """Means with known parts: seed effect, patient effect shared by all seeds, own noise of every image."""
    cluster = np.arange(images) // per_patient
    patient = rng.normal(0, 1, cluster.max() + 1)[cluster] * np.sqrt(0.8) + rng.normal(0, np.sqrt(0.2), images)
    columns, clusters = [], []
    for _ in range(seeds):
        effect = rng.normal(0, between)
        if shared:
            values, label = patient, cluster
        else:
            own = np.repeat(rng.normal(size=images // per_patient), per_patient)
            values = np.sqrt(0.8) * own + rng.normal(0, np.sqrt(0.2), images)
            label = cluster + rng.integers(1, 10**6) * images
        columns.append({"x": 5 + effect + values})
        clusters.append(label)
    return columns, clusters


@pytest.mark.parametrize(
    ("seeds", "between", "shared"),
    [(1, 0.0, True), (2, 0.3, True), (3, 0.3, False), (10, 0.1, True), (10, 0.0, False), (5, 0.0, True)],
)
def test_intervals_cover_as_promised(seeds, between, shared):
    """Of 400 simulated experiments about 95 of 100 intervals hold the true mean, with seeds that differ or
    not, the same images or others, two images a patient. Where the test sets are others it is a little more."""
    rng = np.random.default_rng(seeds)
    trials = 400
    hit = 0
    for trial in range(trials):
        columns, clusters = simulate(rng, seeds, 60, between, shared)
        estimate = e.over_seeds(s.mean, columns, clusters, replicates=200, key=trial)
        hit += estimate.low <= 5 <= estimate.high
    assert 0.925 <= hit / trials <= 0.995


def test_ignoring_patients_is_overconfident():
    """The reason for clusters: the same data, each image its own patient, cover far less."""
    rng = np.random.default_rng(1)
    hit = {True: 0, False: 0}
    for trial in range(200):
        columns, clusters = simulate(rng, 1, 60, 0.0, True, per_patient=6)
        for together in hit:
            labels = clusters if together else [np.arange(60)]
            estimate = e.over_seeds(s.mean, columns, labels, replicates=200, key=trial)
            hit[together] += estimate.low <= 5 <= estimate.high
    assert hit[False] < 0.75 * 200 < 0.88 * 200 < hit[True]


def test_correlation_intervals_cover_and_stay_inside():
    rng = np.random.default_rng(3)
    truth, hit = 6 / np.pi * np.arcsin(0.85 / 2), 0
    for trial in range(200):
        pairs = [rng.multivariate_normal([0, 0], [[1, 0.85], [0.85, 1]], 50).T for _ in range(3)]
        clusters = [np.arange(50) + 50 * k for k in range(3)]
        columns = [{"x": x, "y": y} for x, y in pairs]
        estimate = e.over_seeds(s.spearman, columns, clusters, transform="fisher", replicates=200, key=trial)
        hit += estimate.low <= truth <= estimate.high
        assert -1 < estimate.low < estimate.high < 1
    assert 0.91 <= hit / 200 <= 0.99


def test_estimate_counts_and_repeats(rng):
    columns = [{"x": rng.normal(size=6)}, {"x": rng.normal(size=4)}]
    clusters = [np.array([0, 0, 1, 1, 2, 2]), np.array([2, 2, 3, 3])]
    first, second = (e.over_seeds(s.mean, columns, clusters, key=5) for _ in range(2))
    assert first == second
    assert (first.seeds, first.images, first.clusters) == (2, 6, 4)
    assert first.value == pytest.approx(np.mean([c["x"].mean() for c in columns]))


@pytest.mark.parametrize("transform", ["identity", "fisher", "share", "delta", "contrast", "gain", "log"])
def test_an_interval_may_be_had_at_another_level(rng, transform):
    columns = [{"x": rng.uniform(0.2, 0.6, 30)} for _ in range(3)]
    clusters = [np.arange(30)] * 3
    for level in (0.5, 0.95, 0.99):
        whole = e.over_seeds(s.mean, columns, clusters, transform=transform, level=level)
        assert e.over_seeds(s.mean, columns, clusters, transform=transform).at(level) == whole


def test_one_number_a_seed_has_students_interval(rng):
    x = rng.normal(2, 1, 6)
    estimate = e.over_values([*x, np.nan])
    wanted = stats.t.interval(0.95, 5, x.mean(), stats.sem(x))
    assert (estimate.low, estimate.high) == pytest.approx(wanted)
    assert (estimate.seeds, estimate.images) == (6, 0)
    assert np.isnan(e.over_values([1.0]).low)
    assert np.isnan(e.over_values([]).value)


def test_what_is_named():
    assert list(units.named(["a", "", "nan"])) == [True, False, False]
    assert list(units.named(np.array([0, -1]))) == [True, False]
    assert list(units.named(np.array([0.0, np.nan]))) == [True, False]


def test_undefined_everywhere_is_nan_and_undefined_in_a_seed_is_left_out():
    group = np.array([True, True, False, False])
    x = np.arange(4.0)
    both = [{"x": x, "group": group}, {"x": x, "group": np.ones(4, bool)}]
    clusters = [np.arange(4), np.arange(4)]
    assert e.over_seeds(s.auroc, both, clusters).seeds == 1
    nothing = e.over_seeds(s.auroc, both[1:], clusters[1:])
    assert np.isnan(nothing.value)
    assert nothing.seeds == 0


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="no seed"):
        e.over_seeds(s.mean, [{"x": np.empty(0)}], [np.empty(0, int)])


def test_share_interval_stays_inside():
    rng = np.random.default_rng(2)
    group = np.arange(40) < 20
    x = rng.normal(size=40) + 4 * group
    estimate = e.over_seeds(s.auroc, [{"x": x, "group": group}], [np.arange(40)], transform="share")
    assert 0 < estimate.low < estimate.value <= estimate.high <= 1


def test_log_interval_is_positive_and_agrees_where_it_is_narrow():
    x = np.random.default_rng(0).lognormal(0, 4, 12)
    wide = e.over_seeds(s.mean, [{"x": x}], [np.arange(12)], transform="log")
    assert 0 < wide.low < wide.value < wide.high
    assert e.over_seeds(s.mean, [{"x": x}], [np.arange(12)]).low < 0
    plain, log = (
        e.over_seeds(s.mean, [{"x": 10 + 0.1 * x / x.max()}], [np.arange(12)], transform=scale)
        for scale in ("identity", "log")
    )
    assert (log.low, log.high) == pytest.approx((plain.low, plain.high), abs=1e-3)


def test_a_constant_has_no_correlation_though_rounding_gives_it_one(rng):
    x, weights = rng.normal(size=40), e.resample(np.arange(40), 50, rng)
    assert np.isnan(s.pearson(np.full(40, 0.1), x, weights)).all()
    near = 0.1 + 1e-9 * x
    assert s.pearson(near, x, weights) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("sizes", [[30, *[1] * 29], [*[20] * 5, *[1] * 25]])
def test_intervals_cover_though_patients_have_unequal_numbers_of_images(rng, sizes):
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    covered = []
    for _ in range(300):
        of_patient = rng.normal(size=len(sizes))
        x = of_patient[cluster] + 0.5 * rng.normal(size=len(cluster))
        estimate = e.over_seeds(s.mean, [{"x": x}], [cluster], replicates=200)
        covered.append(estimate.low <= 0 <= estimate.high)
    assert np.mean(covered) > 0.9
