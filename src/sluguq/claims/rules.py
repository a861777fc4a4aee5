"""The four verdicts, and the rules by which an interval decides.

A claim is a conjunction of parts, each an estimate with an interval against a threshold and a smallest effect of
interest that were written down before the numbers. Nothing here looks at data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from scipy.optimize import brentq
from scipy.stats import t as student

from sluguq.analysis.estimates import Estimate

Verdict = Literal["holds", "does not hold", "not decided at this size", "cannot be asked of this run"]

HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
OPEN: Verdict = "not decided at this size"
UNASKED: Verdict = "cannot be asked of this run"

UNDECIDED = "an interval holds the threshold"
"""The usual reason why a claim is open."""

BETWEEN = "an effect is seen, and it may be smaller than the smallest of interest"
"""Why a claim is open whose intervals leave the threshold out."""

_MOST = 1000.0
"""How many times larger a run is thought at most."""

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

FEWEST_A_SIDE = 5
"""Of two groups that are compared the smaller one needs at least so many, as Kish's effective number of patients: of
three that happen to be alike, or of one with nearly all images, no resampling tells how others are."""

# The smallest effects of interest: an effect that is shown to be smaller refutes a claim, however surely it is not 0.

SMALLEST_RATIO = math.log(1.05)
"""Of a ratio of means, as its logarithm: 5 %. Retraining with another seed moves a group's mean error by 2 to 5 %."""

SMALLEST_SHARE = 0.05
"""Of a difference of errors over the mean error: the same 5 %."""

SMALLEST_CORRELATION = 0.1
"""Of a correlation: less than what Cohen (1988, section 3.2) calls small."""

SMALLEST_ADVANTAGE = 0.2
"""Of a difference of two rank correlations: about one pair of images in fifteen more in the right order."""

SMALLEST_DELTA = 0.147
"""Of Cliff's delta, or a difference of two: negligible below this (Romano et al., 2006)."""

SMALLEST_AUROC = 0.05
"""Of a difference of two AUROCs: one pair of pixels in twenty more in the right order."""

SMALLEST_TONE = 3.0
"""Of a difference of skin tones, in degrees (ITA): less than a quarter of the narrowest class of skin colour."""

WELL_RECONSTRUCTED = 2.0
"""An artefact is reconstructed well where the error of its pixels is less than so many times that of the same pixels
without it: on intensities, within a factor of 1.4 of what the network does to skin."""

CAPTURED = 0.25
"""What follows the error must have at least this share of the error's own effect, a gap, a trend or a fall: SLUG is a
variance in the error's own units, so one that knew all would have the whole."""


class Inside(NamedTuple):
    """That the interval of an estimate lies between two numbers, and its value between two others."""

    estimate: Estimate
    low: float = -math.inf
    high: float = math.inf
    least: float = -math.inf
    most: float = math.inf

    def at(self, level: float) -> bool:
        """Whether they do with the interval at a level, 0 to 1; not where a number is unknown."""
        e = self.estimate.at(level)
        return self._replace(estimate=e).around() and self.least <= e.value <= self.most

    def around(self) -> bool:
        """Whether the interval as it is lies between its two numbers."""
        e = self.estimate
        return _known(e) and self.low < e.low and e.high < self.high


Condition = tuple[tuple[Inside, ...], ...]
"""Fulfilled where all of some row are; a row without any always is."""


class Part(NamedTuple):
    """One inequality of a claim: what it is about, its estimate, the threshold, and what the interval says.

    shown, refuted: when it holds, and when it does not. aim: how near the interval's end must come to the
    estimate for the part to be decided; NaN where that cannot be said.
    """

    name: str
    estimate: Estimate
    threshold: str
    shown: Condition
    refuted: Condition
    aim: float = math.nan
    verdict: Verdict = OPEN

    def __str__(self) -> str:
        e = self.estimate
        return f"{self.name}: {e.value:.4g} [{e.low:.4g}, {e.high:.4g}], {self.threshold}: {self.verdict}"

    def holds(self, level: float) -> bool:
        """Whether the interval at a level shows it."""
        return _fulfilled(self.shown, level)

    def fails(self, level: float) -> bool:
        """Whether the interval at a level refutes it."""
        return _fulfilled(self.refuted, level)

    def seen(self) -> bool:
        """Whether its intervals alone would show it, however small the effect."""
        return any(all(inside.around() for inside in row) for row in self.shown)

    def at(self, level: float) -> Verdict:
        """The verdict by the interval at a level."""
        return FAILS if self.fails(level) else HOLDS if self.holds(level) else OPEN


def _fulfilled(condition: Condition, level: float) -> bool:
    return any(all(inside.at(level) for inside in row) for row in condition)


def above(name: str, estimate: Estimate, threshold: float = 0.0, smallest: float = 0.0) -> Part:
    """Holds where the whole interval is above the threshold, does not where it shows less than the smallest effect.

    :param smallest: the smallest effect of interest, beyond the threshold. An interval that lies wholly below it
        refutes the claim, also where it excludes the threshold: one-sided, as a test of equivalence is. A claim whose
        estimate is smaller does not hold either: between the two lies what is not decided.
    """
    edge = threshold + smallest
    shown, refuted = ((Inside(estimate, low=threshold, least=edge),),), ((Inside(estimate, high=edge),),)
    return _part(
        name, estimate, _words("above", threshold, edge), shown, refuted, _aim(estimate.value, threshold, edge)
    )


def below(name: str, estimate: Estimate, threshold: float = 0.0, smallest: float = 0.0) -> Part:
    """Holds where the whole interval is below the threshold, does not where it shows less than the smallest effect."""
    edge = threshold - smallest
    shown, refuted = ((Inside(estimate, high=threshold, most=edge),),), ((Inside(estimate, low=edge),),)
    aim = _aim(-estimate.value, -threshold, -edge)
    return _part(name, estimate, _words("below", threshold, edge), shown, refuted, aim)


def within(name: str, estimate: Estimate, margin: float) -> Part:
    """An equivalence: holds where the whole interval lies within ± margin, does not where it lies outside.

    The two one-sided tests of Schuirmann (Journal of Pharmacokinetics and Biopharmaceutics 15, 1987), at
    the interval's level. So `no difference seen` in few images is not taken for `no difference`.
    """
    shown = ((Inside(estimate, -margin, margin),),)
    refuted = ((Inside(estimate, low=margin),), (Inside(estimate, high=-margin),))
    return _part(name, estimate, f"claimed within ±{margin:g}", shown, refuted, abs(margin - abs(estimate.value)))


def follows(name: str, estimate: Estimate, reference: Estimate, shortfall: Estimate, of: str) -> Part:
    """Holds where both intervals exclude zero on the same side, does not where too little of the reference is there.

    :param shortfall: of the estimate less ``CAPTURED`` times the reference, image by image. Where the reference
        excludes zero and this lies wholly on the other side, what should follow it does so by less than that share, not
        at all, or the other way. Where only its value does, nothing is decided.
    """
    shown = (
        (Inside(reference, low=0.0), Inside(estimate, low=0.0), Inside(shortfall, least=0.0)),
        (Inside(reference, high=0.0), Inside(estimate, high=0.0), Inside(shortfall, most=0.0)),
    )
    refuted = (
        (Inside(reference, low=0.0), Inside(shortfall, high=0.0)),
        (Inside(reference, high=0.0), Inside(shortfall, low=0.0)),
    )
    beside = f"{reference.value:.4g} [{reference.low:.4g}, {reference.high:.4g}]"
    words = f"claimed of the sign of {of}, {beside}, and at least {CAPTURED:g} of it"
    lost = max(e.undefined for e in (estimate, reference, shortfall))
    return _part(name, estimate._replace(undefined=lost), words, shown, refuted, abs(estimate.value))


def counted(name: str, share: float, number: int, threshold: float) -> Part:
    """A share of a whole that was counted: it is below the threshold or it is not, and no interval says otherwise."""
    estimate = Estimate(share, share, share, 0.0, 0, number, number)
    return certain(name, estimate, f"claimed below {threshold:g}", share < threshold)


def certain(name: str, estimate: Estimate, threshold: str, holds: bool) -> Part:
    """A part that no interval decides: it holds, or it does not."""
    always: Condition = ((),)
    return _part(name, estimate, threshold, always if holds else (), () if holds else always, math.nan)


def _words(side: str, threshold: float, edge: float) -> str:
    return f"claimed {side} {threshold:g}" + (f" (smallest effect of interest {edge:.3g})" if edge != threshold else "")


def _aim(value: float, threshold: float, edge: float) -> float:
    """The half-width under which an interval about this value is decided."""
    return value - threshold if value >= edge else edge - value


def _part(name: str, estimate: Estimate, threshold: str, shown: Condition, refuted: Condition, aim: float) -> Part:
    part = Part(name, estimate, threshold, shown, refuted, aim)
    return part._replace(verdict=part.at(LEVEL))


def corrected(parts: Sequence[Part]) -> list[Part]:
    """The parts, where one that does not hold must not hold at the level 1 - (1 - LEVEL) / number of parts.

    A claim does not hold where any of its parts does not: with k parts at `LEVEL` each that would be decided
    by chance up to k times as often as for a claim of one part (Bonferroni's inequality).
    """
    level = failing_level(len(parts))
    return [
        part._replace(verdict=HOLDS if part.holds(LEVEL) else OPEN)
        if part.verdict == FAILS and not part.fails(level)
        else part
        for part in parts
    ]


def failing_level(parts: int) -> float:
    """The level at which a part among so many must lie wholly on the other side of its threshold."""
    return 1 - (1 - LEVEL) / max(parts, 1)


def together(parts: Sequence[Part], fewest_seeds: int = FEWEST_SEEDS) -> tuple[Verdict, str]:
    """The verdict on a claim and the reason where it is open.

    Holds where every part holds; does not hold where some part does not, at the level of `failing_level`; open
    otherwise, and always where a part rests on fewer than `fewest_seeds` seeds, or on fewer than `FEWEST_PATIENTS`
    patients, or `FEWEST_A_SIDE` in the smaller of two groups (images or what may not be parted, where patients are
    unknown; a part that rests on no image is spared). Nor does it hold where a value is not known in some seed. For
    `holds` this is an intersection-union test, which needs no correction for the number of parts (Berger, Technometrics
    24, 1982).
    """
    if not parts:
        return OPEN, "the run has no data for it"
    reason = _too_few(parts, fewest_seeds)
    if reason:
        return OPEN, reason
    seeds = min(part.estimate.seeds for part in parts)
    verdicts = [part.verdict for part in corrected(parts)]
    if FAILS in verdicts:
        return FAILS, ""
    if OPEN in verdicts:
        valueless = [part.name for part in parts if not math.isfinite(part.estimate.value)]
        if valueless:
            return OPEN, f"has no value in this run: {', '.join(valueless)}"
        if any(part.verdict == FAILS for part in parts):
            level = f"{100 * failing_level(len(parts)):.3g} %, the level for {len(parts)} parts"
            return OPEN, f"some part is on the other side at 95 %, none at {level}"
        small = all(part.seen() for part in parts if part.verdict == OPEN)
        return OPEN, BETWEEN if small else UNDECIDED
    lost = max(part.estimate.undefined for part in parts)
    if lost:
        return OPEN, f"not known in {lost} of {seeds + lost} seeds"
    return HOLDS, ""


def _too_few(parts: Sequence[Part], fewest_seeds: int) -> str:
    """Why parts rest on too little for any verdict, empty where they do not."""
    least = min((part.estimate for part in parts), key=lambda e: e.seeds)
    if least.seeds < fewest_seeds:
        if least.undefined:
            return f"not known in {least.undefined} of {least.seeds + least.undefined} seeds"
        return f"rests on {least.seeds} seed{'' if least.seeds == 1 else 's'}; {fewest_seeds} are needed"
    sampled = [part.estimate for part in parts if part.estimate.images and part.estimate.variances]
    if not sampled:
        return ""
    fewest = min(sampled, key=lambda e: e.clusters)
    who = "images, patients unknown" if fewest.patients is None else "patients"
    if fewest.clusters < FEWEST_PATIENTS:
        return f"rests on {fewest.clusters} {who}; {FEWEST_PATIENTS} are needed"
    side = min(estimate.side for estimate in sampled)
    if side < FEWEST_A_SIDE:
        return f"one side of a comparison counts as {side:.2g} {who}, by their images; {FEWEST_A_SIDE} are needed"
    return ""


def deciding(parts: Sequence[Part]) -> Part:
    """The part that a one-line table shows: the first that does not hold, else the first open, else the first."""
    order = {FAILS: 0, OPEN: 1, HOLDS: 2}
    return min(parts, key=lambda part: order[part.verdict])


def p_value(parts: Sequence[Part], verdict: Verdict) -> float:
    """The smallest 1 - level at which a claim has its verdict; of one that is open, at which it would be decided.

    At most 0.05 where the claim is decided, more where it is open. NaN for a count, and where something else than the
    intervals keeps a claim open. A claim holds at the largest of its parts' values, and fails at the smallest times
    their number.
    """
    if not parts or all(not part.estimate.variances for part in parts):
        return math.nan
    holds = max(_smallest(part.holds) for part in parts)
    fails = min(1.0, len(parts) * min(_smallest(part.fails) for part in parts))
    if verdict == OPEN:
        p = min(holds, fails)
        return p if p > 1 - LEVEL else math.nan
    return fails if verdict == FAILS else holds


def _smallest(decided: Callable[[float], bool]) -> float:
    """The smallest 1 - level at which an interval decides, by bisection of its logarithm; 1 where none does."""
    least, most = -14.0, 0.0
    if not decided(1 - math.exp(-0.01)):
        return 1.0
    while most - least > 0.02:
        middle = (least + most) / 2
        least, most = (least, middle) if decided(1 - math.exp(middle)) else (middle, most)
    return math.exp(most)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted values (Scandinavian Journal of Statistics 6, 1979); NaN stay and do not count."""
    order = sorted((value, place) for place, value in enumerate(p) if math.isfinite(value))
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(order):
        largest = max(largest, min(1.0, value * (len(order) - rank)))
        adjusted[place] = largest
    return adjusted


def what_would_decide(parts: Sequence[Part]) -> str:
    """How many times the seeds, or the images, of this run would decide a claim, if the estimates stay as they are."""
    needs = [_times(part) for part in parts if part.verdict == OPEN]
    known = [need for need in needs if math.isfinite(need[0])]
    if not needs:
        return ""
    if len(known) < len(needs):
        return "an estimate lies at its threshold; hardly any size would tell"
    times, of = max(known)
    return f"about {max(math.ceil(times), 2)} times the {of}"


def _times(part: Part) -> tuple[float, str]:
    """The factor, and of what: whichever part of the variance is larger.

    So many times the seeds divide the variance, and are known with so many times the degrees of freedom.
    """
    e = part.estimate
    if not e.variances or not math.isfinite(part.aim) or part.aim <= 0:
        return math.inf, ""
    between = e.variances[0][0] if len(e.variances) > 1 or not e.images else 0.0
    shared = e.variances[-1][0] if e.images else 0.0
    aim = min(1.0, part.aim / max(e.value - e.low, e.high - e.value)) * _half_width(e, 1.0)
    if _half_width(e, _MOST) > aim:
        return math.inf, ""
    factor = brentq(lambda times: _half_width(e, times) - aim, 1.0, _MOST)
    return round(float(factor), 3), "seeds" if between > shared else "images"


def _half_width(estimate: Estimate, factor: float) -> float:
    """Of the interval, as far as the variance goes, with so many times the seeds or images."""
    tail = 0.5 + LEVEL / 2
    parts = ((part / factor, (freedom + 1) * factor - 1) for part, freedom in estimate.variances)
    return math.sqrt(sum(float(student.ppf(tail, freedom)) ** 2 * part for part, freedom in parts))


def _known(estimate: Estimate) -> bool:
    return all(math.isfinite(value) for value in (estimate.value, estimate.low, estimate.high))
