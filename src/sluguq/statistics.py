"""Statistics over seeds and images, with intervals that keep the images of one patient together.

Every statistic here is a function of arrays over the images of one seed and of `weights` of shape
(replicates, images): the number of times that a bootstrap replicate drew each image. One call computes
all replicates, by sorting once and summing along the weights, so that a thousand replicates of a rank
correlation over a thousand images take some hundredths of a second.

`over_seeds` turns such a statistic into an estimate with an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import t as student

Array = NDArray[np.float64]
Statistic = Callable[..., Array]
Transform = Literal["identity", "fisher", "logit", "log"]


class Estimate(NamedTuple):
    """A statistic averaged over seeds.

    value, low, high: the estimate and its interval. standard_error: on the statistic's own scale.
    seeds: how many seeds entered. images: how many images the seed with most had. clusters: how many
    units that a resampling may not part, over all seeds: patients, and where an image names none, lesions,
    groups of near duplicates or images. freedom, transform: Student's degrees of freedom and the scale on
    which the interval is symmetric. distinct: different images over all seeds; patients: different people
    in them; both None where that was not counted or, of patients, where an image does not name its own.
    """

    value: float
    low: float
    high: float
    standard_error: float
    seeds: int
    images: int
    clusters: int
    freedom: float = np.inf
    transform: Transform = "identity"
    distinct: int | None = None
    patients: int | None = None

    def at(self, level: float) -> Estimate:
        """The same estimate with its interval at another level, 0 to 1."""
        width = float(student.ppf(0.5 + level / 2, self.freedom)) * self.standard_error
        low, high = _interval(self.value, width, self.transform)
        return self._replace(low=low, high=high)


def named(label: ArrayLike) -> NDArray[np.bool_]:
    """Where an array of names or numbers says something: neither empty, nor a negative integer, nor NaN."""
    array = np.asarray(label)
    if array.dtype.kind in "iu":
        return array >= 0
    if array.dtype.kind == "f":
        return np.isfinite(array)
    return ~np.isin(array.astype(str), ["", "nan", "None"])


def cluster_labels(*labels: ArrayLike) -> NDArray[np.int64]:
    """Images joined into clusters that a resampling may not part.

    labels: any number of arrays (images,), of str or int: patient, lesion, duplicate group. Images that
    share a value of any of them fall into one cluster, also by way of third images. Empty strings,
    negative integers and NaN join nothing. Returns integers (images,), 0 to the number of clusters - 1.

    Raises ValueError where the arrays differ in length or none is given.
    """
    arrays = [np.asarray(label) for label in labels]
    if not arrays or len({len(array) for array in arrays}) != 1:
        raise ValueError("cluster_labels needs one or more label arrays of one length")
    count = len(arrays[0])
    rows, columns, offset = [], [], 0
    for array in arrays:
        present = named(array)
        if array.dtype.kind not in "iuf":
            array = array.astype(str)
        values, inverse = np.unique(array[present], return_inverse=True)
        rows.append(np.flatnonzero(present))
        columns.append(inverse.ravel() + offset)
        offset += len(values)
    row, column = np.concatenate(rows), np.concatenate(columns)
    size = count + offset
    graph = coo_matrix((np.ones(len(row)), (row, column + count)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return np.unique(component[:count], return_inverse=True)[1].astype(np.int64)


def resample(cluster: ArrayLike, replicates: int, rng: np.random.Generator) -> Array:
    """How often each image is drawn when whole clusters are drawn with replacement.

    cluster: (images,) integers from 0. Returns counts (replicates, images), float64.
    """
    cluster = np.asarray(cluster)
    number = int(cluster.max()) + 1
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=replicates)
    return drawn[:, cluster].astype(np.float64)


def over_seeds(
    statistic: Statistic,
    seeds: Sequence[Mapping[str, Any]],
    clusters: Sequence[ArrayLike],
    *,
    transform: Transform = "identity",
    replicates: int = 1000,
    level: float = 0.95,
    key: int = 0,
) -> Estimate:
    """The mean of a statistic over seeds, with an interval over seeds and patients.

    Two levels. Patients are resampled, with one draw for all seeds, which gives the covariance of the
    statistic between any two seeds that comes from the images they share. Resampling seeds of a mean
    over seeds has a known result and needs no draws: with n - 1 of n seeds drawn (Rao and Wu, Journal
    of the American Statistical Association 83, 1988) it is s²/n, with s² the variance between seeds.
    So

        variance of the mean = s²/n + mean covariance of two different seeds,

    unbiased whether the test sets of the seeds are the same, overlap, or are apart. Few seeds may agree by
    chance, so it is never taken smaller than the variance that the images alone give with the seeds held
    fixed. The quantile is Student's, its degrees of freedom joined from the two parts by Satterthwaite's
    formula: two or three seeds say little about the spread of seeds, and the interval says so. With a
    single seed the interval is of the images alone.

    :param statistic: called as ``statistic(**seeds[s], weights=weights)``, gives (replicates,).
    :param seeds: one mapping a seed, of arrays (images of that seed,).
    :param clusters: one integer array a seed, (images of that seed,); an image, or a patient, that is in the
        test sets of several seeds has the same integer in each.
    :param transform: scale on which the interval is symmetric: ``fisher`` for correlations and other quantities
        in [-1, 1], ``logit`` for those in [0, 1], ``log`` for those that are never negative. An estimate at the
        end of its range has no such scale; its interval is symmetric and may reach beyond.
    :returns: the estimate; NaN where the statistic is undefined (NaN) in every seed.
    :raises ValueError: where no seed has images.
    """
    kept = [(dict(columns), np.asarray(c)) for columns, c in zip(seeds, clusters, strict=True) if np.size(c)]
    if not kept:
        raise ValueError("no seed has an image for which the statistic's columns are all finite")
    rng = np.random.default_rng(key)
    distinct, codes = np.unique(np.concatenate([c for _, c in kept]), return_inverse=True)
    counts = resample(np.arange(len(distinct)), replicates, rng)
    values, draws, start = [], [], 0
    for columns, c in kept:
        code = codes[start : start + len(c)]
        start += len(c)
        values.append(float(statistic(**columns, weights=np.ones((1, len(c))))[0]))
        draws.append(statistic(**columns, weights=counts[:, code]))
    value = np.asarray(values)
    defined = np.isfinite(value)
    images = max(len(c) for _, c in kept)
    if not defined.any():
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0, images, len(distinct))
    value, draw = value[defined], np.asarray(draws)[defined]
    draw = draw[:, np.isfinite(draw).all(axis=0)]
    n = len(value)
    mean = float(value.mean())
    if draw.shape[1] < 2:
        return Estimate(mean, np.nan, np.nan, np.nan, n, images, len(distinct))
    patients = max(len(distinct) - 1, 1)
    # The bootstrap's variance of a mean is too small by this factor.
    covariance = np.atleast_2d(np.cov(draw)) * len(distinct) / patients
    images_alone = float(covariance.mean())
    if n == 1:
        between, shared, freedom = 0.0, images_alone, float(patients)
    else:
        shared = max(float((covariance.sum() - np.trace(covariance)) / (n * (n - 1))), 0.0)
        between = float(value.var(ddof=1)) / n
        shared = max(shared, images_alone - between)
        parts = between**2 / (n - 1) + shared**2 / patients
        freedom = (between + shared) ** 2 / parts if parts > 0 else np.inf
    error = float(np.sqrt(between + shared))
    estimate = Estimate(mean, np.nan, np.nan, error, n, images, len(distinct), freedom, transform)
    return estimate.at(level)


def over_values(values: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean of one number a seed, with Student's interval; it rests on no images. NaN are left out."""
    value = np.asarray(values, float)
    value = value[np.isfinite(value)]
    n = len(value)
    mean = float(value.mean()) if n else np.nan
    error = float(value.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return Estimate(mean, np.nan, np.nan, error, n, 0, 0, float(max(n - 1, 1))).at(level)


def _interval(mean: float, width: float, transform: Transform) -> tuple[float, float]:
    """The interval of half-width `width`, made symmetric on the transformed scale (delta method)."""
    if transform == "fisher" and abs(mean) < 1:
        z, slope = np.arctanh(mean), 1 / (1 - mean**2)
        return float(np.tanh(z - width * slope)), float(np.tanh(z + width * slope))
    if transform == "logit" and 0 < mean < 1:
        z, slope = np.log(mean / (1 - mean)), 1 / (mean * (1 - mean))
        return float(1 / (1 + np.exp(width * slope - z))), float(1 / (1 + np.exp(-width * slope - z)))
    if transform == "log" and mean > 0:
        return float(mean * np.exp(-width / mean)), float(mean * np.exp(width / mean))
    return mean - width, mean + width


# Statistics: arrays (images,) and weights (replicates, images) to (replicates,).


def _divide(numerator: Array, denominator: Array) -> Array:
    """Division that gives NaN, without a warning, where a replicate drew nothing."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def mean(x: Array, weights: Array) -> Array:
    """The mean of x."""
    return _divide(weights @ x, weights.sum(axis=1))


def difference(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The mean of x where `group` is true less its mean elsewhere."""
    return mean(x[group], weights[:, group]) - mean(x[~group], weights[:, ~group])


def log_ratio(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The logarithm of the mean of x where `group` is true over its mean elsewhere; x is positive."""
    return np.log(mean(x[group], weights[:, group])) - np.log(mean(x[~group], weights[:, ~group]))


def ranks(x: Array, weights: Array) -> Array:
    """Mid-ranks of x in every replicate, (replicates, images); an image drawn w times takes w places."""
    order = np.argsort(x, kind="stable")
    sorted_x = x[order]
    new = np.concatenate(([True], sorted_x[1:] != sorted_x[:-1]))
    tie = np.cumsum(new) - 1
    last = np.concatenate((np.flatnonzero(new)[1:] - 1, [len(x) - 1]))
    after = np.cumsum(weights[:, order], axis=1)[:, last]
    before = np.concatenate((np.zeros((len(weights), 1)), after[:, :-1]), axis=1)
    out = np.empty_like(weights, dtype=np.float64)
    out[:, order] = ((before + after + 1) / 2)[:, tie]
    return out


def _correlation(x: Array, y: Array, weights: Array) -> Array:
    """Weighted Pearson correlation of x and y, each (images,) or (replicates, images)."""
    total = weights.sum(axis=1, keepdims=True)
    total = np.where(total > 0, total, np.nan)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    return _divide((weights * x * y).sum(axis=1), np.sqrt((weights * x**2).sum(1) * (weights * y**2).sum(1)))


def pearson(x: Array, y: Array, weights: Array) -> Array:
    """The linear (Pearson) correlation of x and y."""
    return _correlation(x, y, weights)


def spearman(x: Array, y: Array, weights: Array) -> Array:
    """The rank (Spearman) correlation of x and y."""
    return _correlation(ranks(x, weights), ranks(y, weights), weights)


def spearman_difference(x: Array, y: Array, other: Array, weights: Array) -> Array:
    """The rank correlation of x with y less that of `other` with y."""
    return spearman(x, y, weights) - spearman(other, y, weights)


def partial_spearman(x: Array, y: Array, controls: Array, weights: Array) -> Array:
    """The rank correlation of x and y with the ranks of `controls`, (images, number), held constant.

    The correlation of what is left of both ranks after linear regression on the controls' (Whittaker,
    Graphical Models in Applied Multivariate Statistics, 1990, section 5.3). 0 where the controls leave
    nothing of x or of y. A constant control is left out, for it explains nothing.
    """
    useful = [column for column in controls.T if np.ptp(column) > 0]
    ranked = np.stack([ranks(column, weights) for column in (x, y, *useful)], axis=1)
    total = np.where(weights.sum(1) > 0, weights.sum(1), np.nan)
    centred = ranked - (np.einsum("bin,bn->bi", ranked, weights) / total[:, None])[..., None]
    covariance = np.einsum("bin,bn,bjn->bij", centred, weights, centred, optimize=True)
    deviation = np.sqrt(np.einsum("bii->bi", covariance))
    scale = np.where(deviation > 0, deviation, np.nan)
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    out = np.full(len(weights), np.nan)
    sound = np.isfinite(correlation).all(axis=(1, 2))
    pair, cross = correlation[sound][:, :2, :2], correlation[sound][:, :2, 2:]
    inverse = np.linalg.pinv(correlation[sound][:, 2:, 2:], rcond=1e-10, hermitian=True)
    left = pair - cross @ inverse @ cross.transpose(0, 2, 1)
    spread = left[:, 0, 0] * left[:, 1, 1]
    out[sound] = np.where(spread > 1e-12, left[:, 0, 1] / np.sqrt(np.maximum(spread, 1e-12)), 0.0)
    return out


def auroc(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The probability that x is larger where `group` is true than elsewhere, ties counted half.

    The area under the ROC curve, Mann and Whitney's U over its largest value.
    """
    positives = weights[:, group].sum(axis=1)
    negatives = weights[:, ~group].sum(axis=1)
    rank_sum = (weights * ranks(x, weights))[:, group].sum(axis=1)
    return _divide(rank_sum - positives * (positives + 1) / 2, positives * negatives)


def cliffs_delta(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """Cliff's delta, 2 AUROC - 1: 0 where the groups do not differ, 1 where `group` is always above."""
    return 2 * auroc(x, group, weights) - 1


def standardised_difference(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The difference of means over the pooled standard deviation (Cohen's d)."""
    squares = 0.0
    for part in (group, ~group):
        centred = x[part] - mean(x[part], weights[:, part])[:, None]
        squares = squares + (weights[:, part] * centred**2).sum(axis=1)
    pooled = np.sqrt(squares / np.maximum(weights.sum(axis=1) - 2, 1))
    return _divide(difference(x, group, weights), np.asarray(pooled))


def quantile(x: Array, q: float, weights: Array) -> Array:
    """The smallest x such that at least a share q of the images lies at or below it."""
    order = np.argsort(x, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    place = (reached < q * reached[:, -1:] - 1e-9).sum(axis=1)
    return np.where(reached[:, -1] > 0, x[order][np.minimum(place, len(x) - 1)], np.nan)
