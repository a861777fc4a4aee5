"""A statistic over seeds as an estimate with an interval that keeps the images of one patient together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from sluguq.analysis.statistics import Array
from sluguq.machine.streams import plain_stream

Statistic = Callable[..., Array]


Transform = Literal["identity", "fisher", "share", "delta", "contrast", "gain", "log"]
"""The range that a quantity lives in, and how its interval stays there (`interval_within`).

identity: any number. fisher: a correlation, [-1, 1]. share: [0, 1], AUROCs among them. delta: [-1, 1], Cliff's delta or
the difference of two shares. contrast: [-2, 2], the sum or difference of two correlations or deltas. gain: at most 1,
a retention gain. log: never negative.
"""

_RANGES = {"share": (0.0, 1.0), "delta": (-1.0, 1.0), "contrast": (-2.0, 2.0)}


class Estimate(NamedTuple):
    """A statistic averaged over seeds.

    value, low, high: the estimate and its interval. standard_error: on the statistic's own scale.
    seeds: how many seeds entered. images: how many images the seed with most had. clusters: how many
    units that a resampling may not part, over all seeds: patients, and where an image names none, lesions,
    groups of near duplicates or images. variances: the parts of the variance of the value, each with its degrees of
    freedom: between seeds, and of images that seeds share. alone: the variance of one seed's value that comes from
    its images, for planning. transform: the scale on which the interval is made.
    side: how many patients of as many images each would say as much (Kish's number), of the smaller side where the
    statistic compares two; infinite where no images are resampled.
    tested: whether the images are a seed's test images, of which a larger experiment has more.
    units: how many independent units a share is of, at the least. most: the largest value that can be. undefined: seeds
    whose value is not known. distinct: different images over all seeds; patients: different people
    in them; both None where that was not counted or, of patients, where an image does not name its own.
    """

    value: float
    low: float
    high: float
    standard_error: float
    seeds: int
    images: int
    clusters: int
    variances: tuple[tuple[float, float], ...] = ()
    alone: float = np.nan
    transform: Transform = "identity"
    units: int = 0
    most: float = np.inf
    undefined: int = 0
    distinct: int | None = None
    patients: int | None = None
    side: float = np.inf
    tested: bool = True

    def at(self, level: float) -> Estimate:
        """The same estimate with its interval at another level, 0 to 1.

        :param level: of the interval.
        """
        if not self.variances or not np.isfinite(self.standard_error):
            return self
        tail = 0.5 + level / 2
        width = float(np.sqrt(sum(student.ppf(tail, freedom) ** 2 * part for part, freedom in self.variances)))
        score = float(student.ppf(tail, max(self.units - 1, 1)))
        low, high = interval_within(self.value, width, self.transform, score**2 / max(self.units, 1))
        return self._replace(low=min(low, self.most), high=min(high, self.most))


def resample(cluster: ArrayLike, replicates: int, rng: np.random.Generator) -> Array:
    """How often each image is drawn when whole clusters are drawn with replacement.

    :param cluster: (images,) integers from 0.
    :param replicates: how often.
    :param rng: of the draws.
    :returns: counts (replicates, images), float64.
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
    units: int | None = None,
    most: float = np.inf,
    blocks: Sequence[int] | None = None,
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
    fixed. Each part has its own Student's quantile,

        half-width² = t(n - 1)² s²/n + t(patients - 1)² covariance,

    where patients with unequal numbers of images count as Kish's effective number of them, (Σ n)² / Σ n² for n images
    each (Survey Sampling, 1965, section 8.2), and of two sides that are compared the smaller one's number is taken,

    so two or three seeds that differ give a wide interval, and such that agree by chance none that is too narrow
    (degrees of freedom joined by Satterthwaite's formula collapse there). With a single seed the interval is of the
    images alone.

    :param statistic: called as ``statistic(**seeds[s], weights=weights)``, gives (replicates,).
    :param seeds: one mapping a seed, of arrays (images of that seed,).
    :param clusters: one integer array a seed, (images of that seed,); an image, or a patient, that is in the
        test sets of several seeds has the same integer in each.
    :param transform: the range that the statistic lives in; the interval never leaves it.
    :param replicates: of the bootstrap over patients.
    :param level: of the interval, 0 to 1.
    :param key: of the draws, so that the same images are drawn for every statistic.
    :param units: how many independent units a share is of, where it is all or none; by default the patients, of the
        smaller side where a column says yes or no.
    :param most: the largest value that the statistic can have.
    :param blocks: the block of the pool that each seed was trained on, where training sets are of disjoint blocks.
        Seeds of one block share people, so that blocks are what is independent: the variance is that of the blocks'
        means. One block alone counts as none.
    :returns: the estimate; NaN where the statistic is undefined (NaN) in every seed. Seeds in which it is are counted
        in ``undefined``.
    :raises ValueError: where no seed has images.
    """
    kept = [(dict(columns), np.asarray(c)) for columns, c in zip(seeds, clusters, strict=True) if np.size(c)]
    of_block = [b for b, c in zip(blocks, clusters, strict=True) if np.size(c)] if blocks is not None else None
    if not kept:
        raise ValueError("no seed has an image for which the statistic's columns are all finite")
    distinct, codes = np.unique(np.concatenate([c for _, c in kept]), return_inverse=True)
    counts = resample(np.arange(len(distinct)), replicates, plain_stream(key))
    values, draws, start = [], [], 0
    for columns, c in kept:
        code = codes[start : start + len(c)]
        start += len(c)
        values.append(float(statistic(**columns, weights=np.ones((1, len(c))))[0]))
        draws.append(statistic(**columns, weights=counts[:, code]))
    value = np.asarray(values)
    defined = np.isfinite(value)
    sides = _sides(kept)
    side = min(map(_kish, sides))
    estimate = Estimate(
        float(value[defined].mean()) if defined.any() else np.nan, np.nan, np.nan, np.nan, int(defined.sum()),
        max(len(c) for _, c in kept), len(distinct), (), np.nan, transform,
        min(len(np.unique(s)) for s in sides) if units is None else units, most, len(value) - int(defined.sum()),
        side=side,
    )  # fmt: skip
    draw = np.asarray(draws)[defined]
    draw = draw[:, np.isfinite(draw).all(axis=0)]
    if not defined.any() or draw.shape[1] < 2:
        return estimate
    # The bootstrap's variance of a mean is too small by this factor.
    covariance = np.atleast_2d(np.cov(draw)) * len(distinct) / max(len(distinct) - 1, 1)
    own = np.zeros(int(defined.sum())) if of_block is None else np.asarray(of_block)[defined]
    joined = _means_of(own) if len(set(own.tolist())) > 1 else np.eye(len(own))
    variances = _variances(joined @ value[defined], joined @ covariance @ joined.T, max(side - 1, 1.0))
    error = float(np.sqrt(sum(part for part, _ in variances)))
    alone = float(np.diag(covariance).mean())
    return estimate._replace(standard_error=error, variances=variances, alone=alone).at(level)


def _variances(value: Array, covariance: Array, freedom: float) -> tuple[tuple[float, float], ...]:
    """The parts of the variance of the mean of `value` (seeds,), each with its degrees of freedom.

    covariance: (seeds, seeds), of what comes from the images; freedom: of that.
    """
    n = len(value)
    images_alone = float(covariance.mean())
    if n == 1:
        return ((images_alone, freedom),)
    shared = max(float((covariance.sum() - np.trace(covariance)) / (n * (n - 1))), 0.0)
    between = float(value.var(ddof=1)) / n
    return (between, float(n - 1)), (max(shared, images_alone - between), freedom)


def _means_of(blocks: NDArray[Any]) -> Array:
    """(blocks, seeds): the matrix that takes values of seeds to the means of their blocks."""
    member = (np.unique(blocks)[:, None] == blocks[None]).astype(np.float64)
    return member / member.sum(axis=1, keepdims=True)


def _sides(kept: Sequence[tuple[Mapping[str, Any], NDArray[Any]]]) -> list[NDArray[Any]]:
    """Clusters of the images of all seeds on either side of what a column says yes or no of; all where none does."""
    sides: list[list[NDArray[Any]]] = [[], []]
    for columns, cluster in kept:
        yes = next((np.asarray(c) for c in columns.values() if np.asarray(c).dtype == bool), None)
        if yes is None:
            return [np.concatenate([c for _, c in kept])]
        for side, part in zip(sides, (cluster[yes], cluster[~yes]), strict=True):
            side.append(part)
    return [np.concatenate(side) for side in sides]


def _kish(cluster: NDArray[Any]) -> float:
    """How many clusters of equal size say as much as these do."""
    counts = np.unique(cluster, return_counts=True)[1].astype(np.float64)
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def over_values(values: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean of one number a seed, with Student's interval; it rests on no images. NaN count as undefined.

    :param values: (seeds,).
    :param level: of the interval, 0 to 1.
    """
    value = np.asarray(values, float)
    undefined = int((~np.isfinite(value)).sum())
    value = value[np.isfinite(value)]
    n = len(value)
    mean = float(value.mean()) if n else np.nan
    variances = ((float(value.var(ddof=1)) / n, float(n - 1)),) if n > 1 else ()
    error = float(np.sqrt(variances[0][0])) if variances else np.nan
    return Estimate(mean, np.nan, np.nan, error, n, 0, 0, variances, undefined=undefined).at(level)


def interval_within(mean: float, width: float, transform: Transform, unit: float = 0.0) -> tuple[float, float]:
    """The interval of half-width `width` about a mean, bent so that it stays in the range of `transform`.

    Shares, deltas and contrasts: Wilson's interval (Journal of the American Statistical Association 22, 1927) with as
    many observations as would give this width; so does a correlation of exactly ±1. Correlations are symmetric
    on Fisher's scale, levels and gains on a logarithmic one (delta method).

    :param mean: of the statistic.
    :param width: not negative.
    :param transform: names the range.
    :param unit: squared quantile over the number of units: where a share is all or none, what is not known of it.
    """
    if transform == "fisher" and abs(mean) < 1:
        z, slope = np.arctanh(mean), 1 / (1 - mean**2)
        return float(np.tanh(z - width * slope)), float(np.tanh(z + width * slope))
    if transform == "log":
        if mean > 0:
            return float(mean * np.exp(-width / mean)), float(mean * np.exp(min(width / mean, 700.0)))
        return max(mean - width, 0.0), mean + width
    if transform == "gain":
        if mean < 1:
            low, high = interval_within(1 - mean, width, "log")
            return 1 - high, 1 - low
        return 1 - unit / (1 + unit), 1.0
    if transform == "identity":
        return mean - width, mean + width
    least, most = _RANGES["delta" if transform == "fisher" else transform]
    low, high = _wilson((mean - least) / (most - least), width / (most - least), unit)
    return least + (most - least) * low, least + (most - least) * high


def _wilson(share: float, width: float, unit: float) -> tuple[float, float]:
    share = min(max(share, 0.0), 1.0)
    variance = share * (1 - share)
    # Squared quantile over the number of observations that would give this width.
    spread = width**2 / variance if variance > 1e-12 else unit
    centre = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * variance + spread**2 / 4) / (1 + spread)
    return float(max(min(centre - half, share), 0.0)), float(min(max(centre + half, share), 1.0))
