"""Every claim of both papers, judged by rules that were written before the numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import xarray as xr

from sluguq.analysis.tables import REPLICATES
from sluguq.claims.catalogue import CLAIMS, Claim
from sluguq.claims.rules import OPEN, Part, corrected, deciding, together
from sluguq.claims.run import NotInRun, Run

COLUMNS = (
    "claim",
    "paper",
    "where",
    "statement",
    "statistic",
    "rule",
    "about",
    "estimate",
    "low",
    "high",
    "images",
    "distinct_images",
    "patients",
    "units",
    "seeds",
    "published",
    "verdict",
    "reason",
    "parts",
)


def judge(
    datasets: Mapping[str, xr.Dataset],
    labels: pd.DataFrame | None = None,
    replicates: int = REPLICATES,
    models: xr.Dataset | None = None,
) -> pd.DataFrame:
    """Judge every claim on the stores of one experiment.

    One row a claim: claim (its key), paper, where, statement, statistic, rule, then of the deciding part
    (the first that does not hold, else the first open one, else the first) about, estimate, low, high
    (95 % interval), images (of the seed with most), distinct_images (over all seeds), patients (over all
    seeds; empty where images do not name them), units (what the bootstrap draws: patients, else lesions, groups
    of near duplicates, images), seeds; then published (the paper's own figure, where it gives one), verdict,
    reason (why it is open), parts (all of them as text). Where the run cannot speak to a claim the verdict is
    ``not decided at this size`` and the reason says what is missing.

    :param datasets: opened aggregated stores by name, see :class:`sluguq.claims.run.Run`.
    :param labels: the label table of the training data set, with columns fst and state.
    :param replicates: of the bootstrap.
    :param models: the opened store of models, with the histories of training.
    """
    run = Run(datasets, labels, replicates, models)
    table = pd.DataFrame([_row(claim, run) for claim in CLAIMS], columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("images", "distinct_images", "patients", "units", "seeds"), "Int64"))


def _row(claim: Claim, run: Run) -> dict[str, object]:
    row: dict[str, object] = {
        "claim": claim.key,
        "paper": claim.paper,
        "where": claim.where,
        "statement": claim.statement,
        "statistic": claim.statistic,
        "rule": claim.rule,
        "published": claim.published,
    }
    try:
        parts = claim.parts(run)
    except NotInRun as missing:
        empty = {"about": "", "parts": "", "images": 0, "distinct_images": 0, "units": 0, "seeds": 0}
        return {**row, **empty, "verdict": OPEN, "reason": str(missing)}
    verdict, reason = together(parts, claim.fewest_seeds)
    parts = corrected(parts)
    shown = deciding(parts)
    estimate = shown.estimate
    return {
        **row,
        "about": shown.name,
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "images": estimate.images,
        "distinct_images": estimate.images if estimate.distinct is None else estimate.distinct,
        "patients": estimate.patients,
        "units": estimate.clusters,
        "seeds": estimate.seeds,
        "verdict": verdict,
        "reason": reason,
        "parts": "; ".join(map(str, parts)),
    }


__all__ = ["CLAIMS", "COLUMNS", "Claim", "NotInRun", "Part", "Run", "judge"]
