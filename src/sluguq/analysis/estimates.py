"""A statistic over seeds as an estimate with an interval that keeps the images of one patient together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from sluguq.analysis.statistics import Array

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
