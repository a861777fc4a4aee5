"""Statistics over images, weighted by how often a bootstrap replicate drew each.

Every statistic here is a function of arrays over the images of one seed and of `weights` of shape
(replicates, images): the number of times that a bootstrap replicate drew each image. One call computes
all replicates, by sorting once and summing along the weights, so that a thousand replicates of a rank
correlation over a thousand images take some hundredths of a second.

:func:`sluguq.analysis.estimates.over_seeds` turns such a statistic into an estimate with an interval.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ROUNDING = 1e-24
"""The share of a mean square below which a variance is rounding: a spread of 1e-12 of the values."""


# Statistics: arrays (images,) and weights (replicates, images) to (replicates,).


def _divide(numerator: Array, denominator: Array) -> Array:
    """Division that gives NaN, without a warning, where a replicate drew nothing."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def logarithm(x: Array) -> Array:
    """The natural logarithm; NaN, without a warning, where there is none: of 0 and of what is negative.

    :param x: of any shape.
    """
    return np.log(x, out=np.full_like(x, np.nan), where=x > 0)


def mean(x: Array, weights: Array) -> Array:
    """The mean of x.

    :param x: a number of every image, (images,).
    :param weights: how often each image is drawn, (replicates, images).
    """
    return _divide(weights @ x, weights.sum(axis=1))


def difference(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The mean of x where `group` is true less its mean elsewhere.

    :param x: a number of every image, (images,).
    :param group: (images,) boolean.
    :param weights: how often each image is drawn, (replicates, images).
    """
    return mean(x[group], weights[:, group]) - mean(x[~group], weights[:, ~group])


def log_ratio(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The logarithm of the mean of x where `group` is true over its mean elsewhere; x is positive.

    :param x: a number of every image, (images,).
    :param group: (images,) boolean.
    :param weights: how often each image is drawn, (replicates, images).
    """
    return logarithm(mean(x[group], weights[:, group])) - logarithm(mean(x[~group], weights[:, ~group]))


def ranks(x: Array, weights: Array) -> Array:
    """Mid-ranks of x in every replicate, (replicates, images); an image drawn w times takes w places.

    :param x: a number of every image, (images,).
    :param weights: how often each image is drawn, (replicates, images).
    """
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
    """Weighted Pearson correlation of x and y, each (images,) or (replicates, images); NaN where one is constant."""
    total = weights.sum(axis=1, keepdims=True)
    total = np.where(total > 0, total, np.nan)
    centred, variances = [], []
    for values in (x, y):
        rest = values - (weights * values).sum(axis=1, keepdims=True) / total
        variance = (weights * rest**2).sum(axis=1)
        variances.append(np.where(variance > _ROUNDING * (weights * values**2).sum(axis=1), variance, 0.0))
        centred.append(rest)
    return _divide((weights * centred[0] * centred[1]).sum(axis=1), np.sqrt(variances[0] * variances[1]))


def pearson(x: Array, y: Array, weights: Array) -> Array:
    """The linear (Pearson) correlation of x and y.

    :param x: a number of every image, (images,).
    :param y: another, (images,).
    :param weights: how often each image is drawn, (replicates, images).
    """
    return _correlation(x, y, weights)


def spearman(x: Array, y: Array, weights: Array) -> Array:
    """The rank (Spearman) correlation of x and y.

    :param x: a number of every image, (images,).
    :param y: another, (images,).
    :param weights: how often each image is drawn, (replicates, images).
    """
    return _correlation(ranks(x, weights), ranks(y, weights), weights)


def spearman_difference(x: Array, y: Array, other: Array, weights: Array) -> Array:
    """The rank correlation of x with y less that of `other` with y.

    :param x: a number of every image.
    :param y: what both are compared with.
    :param other: another number of every image.
    :param weights: of each replicate of the bootstrap and image, (replicates, images).
    :returns: one value per replicate.
    """
    return spearman(x, y, weights) - spearman(other, y, weights)


def partial_spearman(x: Array, y: Array, controls: Array, weights: Array) -> Array:
    """The rank correlation of x and y with the ranks of `controls`, (images, number), held constant.

    The correlation of what is left of both ranks after linear regression on the controls' (Whittaker,
    Graphical Models in Applied Multivariate Statistics, 1990, section 5.3). 0 where the controls leave
    nothing of x or of y. A constant control is left out, for it explains nothing.

    :param x: a number of every image.
    :param y: another.
    :param controls: what is held constant, (images, number).
    :param weights: of each replicate of the bootstrap and image, (replicates, images).
    :returns: one value per replicate.
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

    :param x: a number of every image, (images,).
    :param group: (images,) boolean.
    :param weights: how often each image is drawn, (replicates, images).
    """
    positives = weights[:, group].sum(axis=1)
    negatives = weights[:, ~group].sum(axis=1)
    rank_sum = (weights * ranks(x, weights))[:, group].sum(axis=1)
    return _divide(rank_sum - positives * (positives + 1) / 2, positives * negatives)


def cliffs_delta(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """Cliff's delta, 2 AUROC - 1: 0 where the groups do not differ, 1 where `group` is always above.

    :param x: a number of every image, (images,).
    :param group: (images,) boolean.
    :param weights: how often each image is drawn, (replicates, images).
    """
    return 2 * auroc(x, group, weights) - 1


def standardised_difference(x: Array, group: NDArray[np.bool_], weights: Array) -> Array:
    """The difference of means over the pooled standard deviation (Cohen's d).

    :param x: a number of every image, (images,).
    :param group: (images,) boolean.
    :param weights: how often each image is drawn, (replicates, images).
    """
    squares = 0.0
    for part in (group, ~group):
        centred = x[part] - mean(x[part], weights[:, part])[:, None]
        squares = squares + (weights[:, part] * centred**2).sum(axis=1)
    pooled = np.sqrt(squares / np.maximum(weights.sum(axis=1) - 2, 1))
    return _divide(difference(x, group, weights), np.asarray(pooled))


def quantile(x: Array, q: float, weights: Array) -> Array:
    """The smallest x such that at least a share q of the images lies at or below it.

    :param x: a number of every image, (images,).
    :param q: 0 to 1.
    :param weights: how often each image is drawn, (replicates, images).
    """
    order = np.argsort(x, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    place = (reached < q * reached[:, -1:] - 1e-9).sum(axis=1)
    return np.where(reached[:, -1] > 0, x[order][np.minimum(place, len(x) - 1)], np.nan)
