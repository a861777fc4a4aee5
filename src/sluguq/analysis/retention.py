"""What is gained by removing, or flagging, the images with the highest scores.

As in `sluguq.analysis.statistics`, functions take arrays over the images of one seed and `weights`, (replicates,
images), how often a bootstrap replicate drew each image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sluguq.analysis.statistics import Array, mean, quantile

FRACTIONS = np.linspace(0.02, 1.0, 50)
"""Shares of the images that are kept, at which curves are computed."""


def retention_curve(error: Array, score: Array, weights: Array, fractions: Array = FRACTIONS) -> Array:
    """Mean error of what remains when the images with the highest scores are removed.

    The image at the edge counts by the part of it that is kept, so the curve is continuous; images with equal
    scores are kept in equal parts, so it does not depend on their order.

    :param error: (images,).
    :param score: (images,).
    :param weights: how often each image is drawn, (replicates, images).
    :param fractions: (points,), shares kept, in (0, 1].
    :returns: (replicates, points).
    """
    order = np.argsort(score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    # Up to and with each distinct score: how many images, and the sum of their errors. None before the first.
    kept = np.cumsum(weights[:, order], axis=1)[:, last]
    summed = np.cumsum(weights[:, order] * error[order], axis=1)[:, last]
    kept, summed = (np.concatenate((np.zeros((len(weights), 1)), x), axis=1) for x in (kept, summed))
    target = fractions * kept[:, -1:]
    place = np.stack([np.searchsorted(k[1:], t - 1e-9) for k, t in zip(kept, target, strict=True)])
    place = np.minimum(place, len(last) - 1)
    before, inside = np.take_along_axis(kept, place, 1), np.take_along_axis(summed, place, 1)
    count = np.take_along_axis(kept, place + 1, 1) - before
    total = np.take_along_axis(summed, place + 1, 1) - inside
    edge = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return (inside + (target - before) * edge) / np.where(target > 0, target, np.nan)


def retention_gain(error: Array, score: Array, weights: Array) -> Array:
    """How far the retention curve lies below random removal: 1 is the oracle's, 0 random removal's.

    The area between the random curve (flat at the mean error) and the score's curve, over the area between
    the random curve and the oracle's, which removes by the error itself; trapezoids over `FRACTIONS`.
    Negative where removal by the score does harm. (replicates,).

    :param error: (images,).
    :param score: (images,).
    :param weights: how often each image is drawn, (replicates, images).
    """
    level = mean(error, weights)[:, None]
    by_score = np.trapezoid(level - retention_curve(error, score, weights), FRACTIONS, axis=1)
    best = np.trapezoid(level - retention_curve(error, error, weights), FRACTIONS, axis=1)
    return np.divide(by_score, best, out=np.full_like(best, np.nan), where=best > 0)


def retention_step(error: Array, score: Array, weights: Array, keep: float, of: float) -> Array:
    """Mean error when a share `keep` is kept less that when `of` is kept, over the mean error of all.

    :param error: of every image.
    :param score: by which images are removed, the highest first.
    :param weights: of each replicate of the bootstrap and image, (replicates, images).
    :param keep: share of the images that stay.
    :param of: share that it is compared with.
    :returns: one value per replicate.
    """
    curve = retention_curve(error, score, weights, np.array([keep, of]))
    return (curve[:, 0] - curve[:, 1]) / mean(error, weights)


def flagged_share(score: Array, group: NDArray[np.bool_], weights: Array, share: float = 0.1) -> Array:
    """The share of the images of `group` that is flagged when the `share` highest scores of all are.

    At most `share` of all: of 64 images at a share of 0.1 six are flagged.

    :param score: of every image.
    :param group: which images belong to the group.
    :param weights: of each replicate of the bootstrap and image, (replicates, images).
    :param share: of all images that are flagged.
    :returns: one value per replicate; NaN where none of the group is drawn.
    """
    flag = score[None] > quantile(score, 1 - share, weights)[:, None]
    inside = weights[:, group]
    total = inside.sum(axis=1)
    hit = (inside * flag[:, group]).sum(axis=1)
    return np.divide(hit, total, out=np.full_like(total, np.nan), where=total > 0)


def caught_share(score: Array, error: Array, group: NDArray[np.bool_], weights: Array, share: float = 0.1) -> Array:
    """The share of the worst errors in `group` that is among the flagged images.

    Flagged: the `share` highest scores of all images. Worst: the `share` highest errors of all images. NaN
    where the group has none of the worst errors.

    :param score: of every image.
    :param error: of every image.
    :param group: which images belong to the group.
    :param weights: of each replicate of the bootstrap and image, (replicates, images).
    :param share: of all images that are flagged, and that are the worst.
    :returns: one value per replicate.
    """
    worst = error[None] > quantile(error, 1 - share, weights)[:, None]
    flag = score[None] > quantile(score, 1 - share, weights)[:, None]
    inside = weights * worst * group[None]
    total = inside.sum(axis=1)
    return np.divide((inside * flag).sum(axis=1), total, out=np.full_like(total, np.nan), where=total > 0)
