"""How likely each claim is to be decided by a run of so many seeds and images, from what a pilot tells of variances.

The variance of an estimate has three parts: of trainings (seeds), of a seed's own images, and of images that seeds
share. The first falls with the seeds, the second with seeds and images, the third with neither until test sets are most
of the pool that all of them are drawn from. The pilot's estimates are taken for the truth: a pilot that saw an effect
by luck promises too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from scipy.stats import t as student

from sluguq.analysis.estimates import Estimate, interval_within
from sluguq.claims.catalogue import CLAIMS, added_claims
from sluguq.claims.rules import FEWEST_PATIENTS, LEVEL, Condition, Inside, Part, failing_level
from sluguq.claims.run import NotInRun, Run

SEEDS = (2, 3, 5, 10, 20)
IMAGES = (24, 64, 128, 256, 512, 1024)
_POINTS = (np.arange(9) + 0.5) / 9
"""Quantiles of the variance between seeds that are averaged over: few seeds may show a small or a large one."""

COLUMNS = ("claim", "paper", "seeds", "images", "planned", "holds", "fails", "decided")


def power(
    run: Run,
    tested: int,
    seeds: Sequence[int] = SEEDS,
    images: Sequence[int] = IMAGES,
    planned: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """The probability that each claim holds, does not, or is decided either way, by seeds and images.

    Columns: claim, paper, seeds, images (test images per group and seed), planned (whether that is this experiment's
    own size), holds, fails, decided. What rests on external data or drawn artefacts has the pilot's images at every
    size. Claims that rest on a count, that this run cannot be asked, or whose pilot has a single seed, are left out.

    :param run: the pilot.
    :param tested: its test images per group and seed.
    :param planned: seeds and images of the experiment, added where they are not among the others.
    """
    sizes = [(n, m) for n in seeds for m in images]
    if planned and planned not in sizes:
        sizes.append(planned)
    rows = []
    for claim in (*CLAIMS, *added_claims()):
        try:
            parts = claim.parts(run)
        except NotInRun:
            continue
        if not parts or any(len(part.estimate.variances) < 2 for part in parts):
            continue
        for n, m in sizes:
            holds, fails = of_claim(parts, n, m / tested)
            key = {"claim": claim.key, "paper": claim.paper, "seeds": n, "images": m, "planned": (n, m) == planned}
            rows.append({**key, "holds": holds, "fails": fails, "decided": min(holds + fails, 1.0)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def of_claim(parts: Sequence[Part], seeds: int, factor: float) -> tuple[float, float]:
    """The probabilities that a claim of these parts holds, and that it does not, its parts taken as independent.

    :param seeds: of the run that is planned.
    :param factor: its images over the pilot's.
    """
    if not all(_enough(part.estimate, seeds, factor) for part in parts):
        return 0.0, 0.0
    level = failing_level(len(parts))
    holds = math.prod(_probability(part.shown, seeds, factor, LEVEL) for part in parts)
    spared = math.prod(1 - _probability(part.refuted, seeds, factor, level) for part in parts)
    return holds, min(1 - spared, 1 - holds)


def _enough(estimate: Estimate, seeds: int, factor: float) -> bool:
    """Whether a run of this size can have as many patients as a verdict needs: one in every image, at most."""
    return not estimate.tested or round(seeds * estimate.images * factor) >= FEWEST_PATIENTS


def _probability(condition: Condition, seeds: int, factor: float, level: float) -> float:
    """Of a condition; its rows exclude each other."""
    return min(sum(math.prod(_of_one(inside, seeds, factor, level) for inside in row) for row in condition), 1.0)


def _of_one(inside: Inside, seeds: int, factor: float, level: float) -> float:
    """The probability that the interval of a run of this size lies inside."""
    estimate = inside.estimate
    # External data, and images that artefacts are drawn on, do not grow with the test sets.
    factor = factor if estimate.tested else 1.0
    between, shared = components(estimate, seeds, factor)
    error = math.sqrt(between + shared)
    if error == 0 or not math.isfinite(error):
        return float(inside.at(level))
    tail = 0.5 + level / 2
    total = 0.0
    for spread in chi2.ppf(_POINTS, seeds - 1) / (seeds - 1):
        width = math.sqrt(
            student.ppf(tail, seeds - 1) ** 2 * between * spread
            + student.ppf(tail, max(estimate.side * factor - 1, 1)) ** 2 * shared
        )
        low, high = interval_within(estimate.value, width, estimate.transform)
        least = (max(inside.low + estimate.value - low, inside.least) - estimate.value) / error
        most = (min(inside.high + estimate.value - high, inside.most) - estimate.value) / error
        total += max(float(norm.cdf(most) - norm.cdf(least)), 0.0)
    return total / len(_POINTS)


def components(estimate: Estimate, seeds: int, factor: float) -> tuple[float, float]:
    """The variance of an estimate in a run of another size: between seeds, over their number, and shared by them."""
    (between, freedom), (shared, _) = estimate.variances
    number = int(freedom) + 1
    alone = estimate.alone
    overlap = min(shared / alone, 1.0) if alone > 0 else 0.0
    # What seeds differ by beyond their own images.
    training = max(number * between - alone * (1 - overlap), 0.0)
    scaled, common = alone / factor, min(overlap * factor, 1.0)
    return (training + scaled * (1 - common)) / seeds, scaled * common
