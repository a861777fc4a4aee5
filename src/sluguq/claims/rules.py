"""The three verdicts, and the rules by which an interval decides.

A claim is a conjunction of parts, each an estimate with an interval against a threshold that was written
down before the numbers. Nothing here looks at data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from sluguq.analysis.estimates import Estimate

Verdict = Literal["holds", "does not hold", "not decided at this size"]

HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
OPEN: Verdict = "not decided at this size"

UNDECIDED = "an interval holds the threshold"
"""The usual reason why a claim is open."""

LEVEL = 0.95
"""Of the interval that must lie wholly on the claimed side, of every part, for a claim to hold."""

STRONG = 0.5
"""A correlation is called strong from here on (Cohen, Statistical Power Analysis, 1988, section 3.2)."""

MEDIUM_DELTA = 0.33
"""An absolute Cliff's delta below this is at most a small difference (Romano et al., 2006)."""

FINDS = 0.7
"""A map finds an artefact when its pixels' AUROC is above this, the lower end of what Hosmer and Lemeshow
(Applied Logistic Regression, 2000, section 5.2.4) call acceptable discrimination."""

CONVERGED = 0.01
"""A loss has converged when the last tenth of the epochs changed it by less than this share of its whole fall. A loss
that falls evenly has 0.1 there; one that falls as one over the root of the epochs has 0.03 after 15 of them, 0.002
after 1,000."""

FEWEST_SEEDS = 2
"""A claim about training needs at least so many trainings; with fewer nothing is decided."""

FEWEST_PATIENTS = 20
"""Resampling fewer patients than this says too little about others; with fewer nothing is decided."""


class Part(NamedTuple):
    """One inequality of a claim: what it is about, its estimate, the threshold, and what the interval says.

    verdict: by the interval at `LEVEL`. at: the verdict by the interval at another level.
    """

    name: str
    estimate: Estimate
    threshold: str
    verdict: Verdict
    at: Callable[[float], Verdict]

    def __str__(self) -> str:
        e = self.estimate
        return f"{self.name}: {e.value:.4g} [{e.low:.4g}, {e.high:.4g}], {self.threshold}: {self.verdict}"


def above(name: str, estimate: Estimate, threshold: float = 0.0) -> Part:
    """Holds where the whole interval is above the threshold, does not where the whole is below."""

    def at(level: float) -> Verdict:
        e = estimate.at(level)
        return HOLDS if e.low > threshold else FAILS if e.high < threshold else OPEN

    return _part(name, f"claimed above {threshold:g}", at, estimate)


def below(name: str, estimate: Estimate, threshold: float = 0.0) -> Part:
    """Holds where the whole interval is below the threshold, does not where the whole is above."""

    def at(level: float) -> Verdict:
        e = estimate.at(level)
        return HOLDS if e.high < threshold else FAILS if e.low > threshold else OPEN

    return _part(name, f"claimed below {threshold:g}", at, estimate)


def within(name: str, estimate: Estimate, margin: float) -> Part:
    """An equivalence: holds where the whole interval lies within ± margin, does not where it lies outside.

    The two one-sided tests of Schuirmann (Journal of Pharmacokinetics and Biopharmaceutics 15, 1987), at
    the interval's level. So `no difference seen` in few images is not taken for `no difference`.
    """

    def at(level: float) -> Verdict:
        e = estimate.at(level)
        inside = -margin < e.low and e.high < margin
        outside = e.low > margin or e.high < -margin
        return HOLDS if inside else FAILS if outside else OPEN

    return _part(name, f"claimed within ±{margin:g}", at, estimate)


def same_sign(name: str, estimate: Estimate, reference: Estimate, of: str) -> Part:
    """Holds where both intervals exclude zero on the same side, does not where on opposite sides."""

    def at(level: float) -> Verdict:
        signs = [1 if e.low > 0 else -1 if e.high < 0 else 0 for e in (estimate.at(level), reference.at(level))]
        return (HOLDS if signs[0] == signs[1] else FAILS) if all(signs) else OPEN

    beside = f"{reference.value:.4g} [{reference.low:.4g}, {reference.high:.4g}]"
    return _part(name, f"claimed of the sign of {of}, {beside}", at, estimate, reference)


def _part(name: str, threshold: str, at: Callable[[float], Verdict], *estimates: Estimate) -> Part:
    """A part of the first estimate; open at any level where a number is unknown."""
    if not all(_known(estimate) for estimate in estimates):

        def unknown(level: float) -> Verdict:
            return OPEN

        at = unknown
    return Part(name, estimates[0], threshold, at(LEVEL), at)


def corrected(parts: Sequence[Part]) -> list[Part]:
    """The parts, where one that does not hold must not hold at the level 1 - (1 - LEVEL) / number of parts.

    A claim does not hold where any of its parts does not: with k parts at `LEVEL` each that would be decided
    by chance up to k times as often as for a claim of one part (Bonferroni's inequality).
    """
    level = failing_level(len(parts))
    return [
        part._replace(verdict=OPEN) if part.verdict == FAILS and part.at(level) != FAILS else part for part in parts
    ]


def failing_level(parts: int) -> float:
    """The level at which a part among so many must lie wholly on the other side of its threshold."""
    return 1 - (1 - LEVEL) / max(parts, 1)


def together(parts: Sequence[Part], fewest_seeds: int = FEWEST_SEEDS) -> tuple[Verdict, str]:
    """The verdict on a claim and the reason where it is open.

    Holds where every part holds; does not hold where some part does not, at the level of `failing_level`;
    open otherwise, and always where a part rests on fewer than `fewest_seeds` seeds, or on fewer than
    `FEWEST_PATIENTS` patients (images or what may not be parted, where patients are unknown; a part that rests
    on no image is spared). For `holds` this is an intersection-union test, which needs no correction for
    the number of parts (Berger, Technometrics 24, 1982).
    """
    if not parts:
        return OPEN, "the run has no data for it"
    seeds = min(part.estimate.seeds for part in parts)
    if seeds < fewest_seeds:
        return OPEN, f"rests on {seeds} seed{'' if seeds == 1 else 's'}; {fewest_seeds} are needed"
    fewest = min((part.estimate for part in parts if part.estimate.images), key=lambda e: e.clusters, default=None)
    if fewest is not None and fewest.clusters < FEWEST_PATIENTS:
        who = "images, patients unknown" if fewest.patients is None else "patients"
        return OPEN, f"rests on {fewest.clusters} {who}; {FEWEST_PATIENTS} are needed"
    verdicts = [part.verdict for part in corrected(parts)]
    if FAILS in verdicts:
        return FAILS, ""
    if OPEN in verdicts:
        nearly = any(part.verdict == FAILS for part in parts)
        level = f"{100 * failing_level(len(parts)):.3g} %, the level for {len(parts)} parts"
        return OPEN, f"some part is on the other side at 95 %, none at {level}" if nearly else UNDECIDED
    return HOLDS, ""


def deciding(parts: Sequence[Part]) -> Part:
    """The part that a one-line table shows: the first that does not hold, else the first open, else the first."""
    order = {FAILS: 0, OPEN: 1, HOLDS: 2}
    return min(parts, key=lambda part: order[part.verdict])


def _known(estimate: Estimate) -> bool:
    return all(math.isfinite(value) for value in (estimate.value, estimate.low, estimate.high))
