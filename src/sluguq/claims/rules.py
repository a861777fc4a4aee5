"""The three verdicts, and the rules by which an interval decides.

A claim is a conjunction of parts, each an estimate with an interval against a threshold that was written
down before the numbers. Nothing here looks at data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sluguq.statistics import Estimate

Verdict = Literal["holds", "does not hold", "not decided at this size"]

HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
OPEN: Verdict = "not decided at this size"

UNDECIDED = "an interval holds the threshold"
"""The usual reason why a claim is open."""

STRONG = 0.5
"""A correlation is called strong from here on (Cohen, Statistical Power Analysis, 1988, section 3.2)."""

MEDIUM_DELTA = 0.33
"""|Cliff's delta| below this is at most a small difference (Romano et al., 2006)."""

FINDS = 0.7
"""A map finds an object when its pixels' AUROC is above this, the lower end of what Hosmer and Lemeshow
(Applied Logistic Regression, 2000, section 5.2.4) call acceptable discrimination."""

FEWEST_SEEDS = 2
"""A claim about training needs at least so many trainings; with fewer nothing is decided."""

FEWEST_PATIENTS = 20
"""Resampling fewer patients than this says too little about others; with fewer nothing is decided."""


class Part(NamedTuple):
    """One inequality of a claim: what it is about, its estimate, the threshold, and what the interval says."""

    name: str
    estimate: Estimate
    threshold: str
    verdict: Verdict

    def __str__(self) -> str:
        e = self.estimate
        return f"{self.name}: {e.value:.4g} [{e.low:.4g}, {e.high:.4g}], {self.threshold}: {self.verdict}"


def above(name: str, estimate: Estimate, threshold: float = 0.0) -> Part:
    """Holds where the whole interval is above the threshold, does not where the whole is below."""
    verdict = OPEN
    if _known(estimate):
        verdict = HOLDS if estimate.low > threshold else FAILS if estimate.high < threshold else OPEN
    return Part(name, estimate, f"claimed above {threshold:g}", verdict)


def below(name: str, estimate: Estimate, threshold: float = 0.0) -> Part:
    """Holds where the whole interval is below the threshold, does not where the whole is above."""
    verdict = OPEN
    if _known(estimate):
        verdict = HOLDS if estimate.high < threshold else FAILS if estimate.low > threshold else OPEN
    return Part(name, estimate, f"claimed below {threshold:g}", verdict)


def within(name: str, estimate: Estimate, margin: float) -> Part:
    """An equivalence: holds where the whole interval lies within ± margin, does not where it lies outside.

    The two one-sided tests of Schuirmann (Journal of Pharmacokinetics and Biopharmaceutics 15, 1987), at
    the interval's level. So `no difference seen` in few images is not taken for `no difference`.
    """
    verdict = OPEN
    if _known(estimate):
        inside = -margin < estimate.low and estimate.high < margin
        outside = estimate.low > margin or estimate.high < -margin
        verdict = HOLDS if inside else FAILS if outside else OPEN
    return Part(name, estimate, f"claimed within ±{margin:g}", verdict)


def same_sign(name: str, estimate: Estimate, reference: Estimate, of: str) -> Part:
    """Holds where both intervals exclude zero on the same side, does not where on opposite sides."""
    verdict = OPEN
    if _known(estimate) and _known(reference):
        signs = [1 if e.low > 0 else -1 if e.high < 0 else 0 for e in (estimate, reference)]
        if all(signs):
            verdict = HOLDS if signs[0] == signs[1] else FAILS
    beside = f"{reference.value:.4g} [{reference.low:.4g}, {reference.high:.4g}]"
    return Part(name, estimate, f"claimed of the sign of {of}, {beside}", verdict)


def together(parts: Sequence[Part], fewest_seeds: int = FEWEST_SEEDS) -> tuple[Verdict, str]:
    """The verdict on a claim and the reason where it is open.

    Holds where every part holds; does not hold where some part does not; open otherwise, and always where
    a part rests on fewer than `fewest_seeds` seeds or `FEWEST_PATIENTS` patients. For `holds` this is an
    intersection-union test, which needs no correction for the number of parts (Berger, Technometrics 24,
    1982).
    """
    if not parts:
        return OPEN, "the run has no data for it"
    seeds = min(part.estimate.seeds for part in parts)
    if seeds < fewest_seeds:
        return OPEN, f"rests on {seeds} seed{'' if seeds == 1 else 's'}; {fewest_seeds} are needed"
    patients = min(part.estimate.clusters for part in parts)
    if patients < FEWEST_PATIENTS:
        return OPEN, f"rests on {patients} patients; {FEWEST_PATIENTS} are needed"
    verdicts = [part.verdict for part in parts]
    if FAILS in verdicts:
        return FAILS, ""
    if OPEN in verdicts:
        return OPEN, UNDECIDED
    return HOLDS, ""


def deciding(parts: Sequence[Part]) -> Part:
    """The part that a one-line table shows: the first that does not hold, else the first open, else the first."""
    order = {FAILS: 0, OPEN: 1, HOLDS: 2}
    return min(parts, key=lambda part: order[part.verdict])


def _known(estimate: Estimate) -> bool:
    return all(math.isfinite(value) for value in (estimate.value, estimate.low, estimate.high))
