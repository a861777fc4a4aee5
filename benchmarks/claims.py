"""How often verdicts are right: simulated experiments of known truth, by seeds and images.

    nice -n 10 python benchmarks/claims.py [--repetitions 40] [--write]
    python benchmarks/claims.py --limit

`--write` replaces docs/claims.md, `--limit` its section on what a size can refute alone. The worlds are in
`claims_worlds.py`; a quick form of this runs with the tests.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from claims_worlds import ASKED, WITHOUT_SLUG, WORLDS, simulated
from slug_common import table
from sluguq.analysis.estimates import over_seeds
from sluguq.analysis.statistics import mean
from sluguq.claims import CLAIMS, Run
from sluguq.claims.parts import dark_worse_everywhere
from sluguq.claims.rules import FAILS, HOLDS, LEVEL, OPEN, SMALLEST_RATIO, failing_level, holm, p_value, together

SIZES = (24, 64, 512)
SEEDS = (2, 3, 5, 10)
REPLICATES = {24: 100, 64: 80, 512: 40}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "claims.md"
LIMIT, AFTER_LIMIT = "## What a size can refute", "## Several claims at once"
_CLAIMS = [claim for claim in CLAIMS if claim.key in ASKED]


def verdicts(world: str, seeds: int, tested: int, repetitions: int) -> pd.DataFrame:
    """Verdict and p of every claim in every repetition; columns repetition, claim, paper, verdict, p."""
    rows = []
    for repetition in range(repetitions):
        rng = np.random.default_rng([repetition, seeds, tested, list(WORLDS).index(world)])
        run = Run({"home": simulated(WORLDS[world], seeds, tested, rng)}, None, REPLICATES[tested])
        for claim in _CLAIMS:
            parts = claim.parts(run)
            verdict, _ = together(parts, claim.fewest_seeds)
            rows.append(
                (repetition, claim.key, claim.paper, verdict, p_value(parts, verdict) if world == "null" else np.nan)
            )
    return pd.DataFrame(rows, columns=["repetition", "claim", "paper", "verdict", "p"])


def judged(world: str, found: pd.DataFrame) -> Counter[str]:
    """How many verdicts are right, wrong and open."""
    truth = found["claim"].isin(WORLDS[world].true)
    wrong = ((found["verdict"] == HOLDS) & ~truth) | ((found["verdict"] == FAILS) & truth)
    undecided = found["verdict"] == OPEN
    return Counter(right=int((~wrong & ~undecided).sum()), wrong=int(wrong.sum()), open=int(undecided.sum()))


def family(found: pd.DataFrame) -> tuple[float, float]:
    """Share of experiments with at least one wrong `holds`, plainly and with Holm's adjustment within a paper."""
    false = found[~found["claim"].isin(WORLDS["null"].true)]
    plain = false.groupby("repetition")["verdict"].agg(lambda v: (v == HOLDS).any()).mean()
    lost = 0
    for _, one in found.groupby("repetition"):
        kept = []
        for _, paper in one.groupby("paper"):
            adjusted = np.array(holm(paper["p"].tolist()))
            kept.append(
                paper["verdict"].eq(HOLDS) & (adjusted <= 1 - LEVEL) & ~paper["claim"].isin(WORLDS["null"].true)
            )
        lost += any(part.any() for part in kept)
    return float(plain), lost / found["repetition"].nunique()


def refutable(seeds: int, tested: int, repetitions: int) -> list[str]:
    """What a size can refute: the SLUG half of `dark_worse_even_under_C` in the blind world, where its gap is 0.

    :returns: seeds, images, the mean standard error of SLUG's gap under C, the mean half-width of its interval at the
        level of a claim of two parts, and how often a normal estimate about 0 would lie that far below the smallest
        effect.
    """
    errors, widths = [], []
    for repetition in range(repetitions):
        rng = np.random.default_rng([repetition, seeds, tested, list(WORLDS).index("blind")])
        run = Run({"home": simulated(WORLDS["blind"], seeds, tested, rng)}, None, REPLICATES[tested])
        estimate = next(part for part in dark_worse_everywhere(run) if part.name.startswith("SLUG")).estimate
        errors.append(estimate.standard_error)
        widths.append(estimate.at(failing_level(2)).high - estimate.value)
    error, width = float(np.mean(errors)), float(np.mean(widths))
    chance = float(norm.cdf((SMALLEST_RATIO - width) / error))
    return [str(seeds), str(tested), f"{error:.3f}", f"{width:.3f}", f"{100 * chance:.0f} %"]


def _limit(repetitions: int) -> str:
    rows = [refutable(10, tested, max(repetitions // (3 if tested > 100 else 1), 4)) for tested in (64, 512)]
    head = ["seeds", "images", "standard error", "half-width", "refuted, about"]
    return f"""{LIMIT}

`dark_worse_even_under_C` asks of SLUG's gap under C alone, the smallest of all. To refute it, the whole interval at
{100 * failing_level(2):.4g} %, the level for two parts, must lie below the smallest effect of interest,
log 1.05 = {SMALLEST_RATIO:.4f}. In the blind world its gap is 0 on the logarithmic scale:

{table(head, rows)}

With {rows[0][1]} images a SLUG that knows nothing is refuted on this claim in about {rows[0][-1]} of experiments,
with {rows[1][1]} in about {rows[1][-1]}: that is of the size, not of the rule.
"""


def coverage(seeds: int, spread: float, same: bool, trials: int = 400) -> float:
    """Share of intervals that hold the mean of simulated experiments: 60 images of 30 patients."""
    rng, hit = np.random.default_rng([seeds, round(100 * spread), same]), 0
    cluster = np.arange(60) // 2
    for trial in range(trials):
        columns, clusters = [], []
        images = _images(rng, cluster)
        for seed in range(seeds):
            values = images if same else _images(rng, cluster)
            columns.append({"x": rng.normal(0, spread) + values})
            clusters.append(cluster if same else cluster + 100 * seed)
        estimate = over_seeds(mean, columns, clusters, replicates=200, key=trial)
        hit += estimate.low <= 0 <= estimate.high
    return hit / trials


def _images(rng: np.random.Generator, cluster: np.ndarray) -> np.ndarray:
    return np.sqrt(0.8) * rng.normal(size=30)[cluster] + np.sqrt(0.2) * rng.normal(size=60)


def main() -> None:
    """Simulate, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=40, help="experiments of 24 and 64 images; a third at 512")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--write", action="store_true", help="replace docs/claims.md")
    parser.add_argument("--limit", action="store_true", help="replace its section on what a size can refute, alone")
    given = parser.parse_args()
    if given.limit:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(LIMIT)
        before, after = (before, rest[rest.index(AFTER_LIMIT) :]) if rest else _parted(before)
        PAGE.write_text(before + _limit(given.repetitions) + "\n" + after, encoding="utf-8")
        return
    rows, blind, errors = [], [], []
    for tested in given.sizes:
        for seeds in SEEDS:
            for world in WORLDS:
                # The blind world twice as often: it is what the smallest effects of interest are for.
                count = max(given.repetitions // (3 if tested > 100 else 1), 2) * (2 if world == "blind" else 1)
                start = time.perf_counter()
                found = verdicts(world, seeds, tested, count)
                tally = judged(world, found)
                total = sum(tally.values())
                cells = [f"{100 * tally[kind] / total:.1f} %" for kind in ("right", "wrong", "open")]
                rows.append([world, str(seeds), str(tested), str(count), *cells])
                if world == "blind":
                    share = found[found["verdict"] == FAILS].groupby("claim").size() / count
                    blind.append([str(seeds), str(tested), *(f"{100 * share.get(c, 0.0):.0f} %" for c in WITHOUT_SLUG)])
                if world == "null":
                    errors.append([str(seeds), str(tested), *(f"{100 * rate:.0f} %" for rate in family(found))])
                print(rows[-1], f"{time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    covered = [
        [str(seeds), f"{spread:g}", "the same" if same else "different", f"{100 * coverage(seeds, spread, same):.1f} %"]
        for seeds in SEEDS
        for spread in (0.0, 0.3, 0.8, 1.5)
        for same in (True, False)
    ]
    rows.sort(key=lambda row: (list(WORLDS).index(row[0]), int(row[2]), int(row[1])))
    for part in (blind, errors):
        part.sort(key=lambda row: (int(row[1]), int(row[0])))
    page = _page(rows, blind, _limit(given.repetitions), errors, covered)
    print(page)
    if given.write:
        PAGE.write_text(page, encoding="utf-8")


def _parted(page: str) -> tuple[str, str]:
    before, _, after = page.partition(AFTER_LIMIT)
    return before, AFTER_LIMIT + after


def _page(rows: list, blind: list, limit: str, errors: list, covered: list) -> str:
    return f"""# How often verdicts are right

<!-- Written by `python benchmarks/claims.py --write`; do not edit. -->

Simulated experiments whose truth is known, judged by the rules of `src/sluguq/claims/` (the claims that need no maps).
Worlds: *true*, errors as in the SLUG paper and SLUG follows them; *false*, the opposite of what both papers say;
*null*, no effect anywhere; *blind*, errors as in the paper and SLUG pure noise. A pool has 15 times as many light and
4.2 times as many dark images as a test set of one group, two of each patient. `images` is a group's test images in a
seed.

*Wrong*: `holds` where the claim is false, or `does not hold` where it is true.

{table(["world", "seeds", "images", "experiments", "right", "wrong", "not decided"], rows)}

## A SLUG that knows nothing

How often each claim comes out `does not hold` in the blind world.

{table(["seeds", "images", *(f"`{claim}`" for claim in WITHOUT_SLUG)], blind)}

{limit}
{AFTER_LIMIT}

Share of experiments of the null world with at least one claim that wrongly holds: by the column `verdict`, and by
`adjusted` (Holm within each paper).

{table(["seeds", "images", "verdict", "adjusted"], errors)}

## Intervals

Share of 95 % intervals of a mean that hold the truth: 400 experiments each, 60 images of 30 patients, the patient
explaining 80 % of the variance between images; the spread of seeds in standard deviations of images.

{table(["seeds", "spread of seeds", "test images of the seeds", "intervals that hold the truth"], covered)}
"""


if __name__ == "__main__":
    main()
