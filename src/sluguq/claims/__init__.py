"""Every claim of both papers, judged by rules that were written before the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from sluguq.analysis.tables import REPLICATES
from sluguq.claims.catalogue import CLAIMS, Claim, added_claims
from sluguq.claims.registration import standing
from sluguq.claims.rules import (
    LEVEL,
    OPEN,
    UNASKED,
    Part,
    corrected,
    deciding,
    holm,
    p_value,
    together,
    what_would_decide,
)
from sluguq.claims.run import NotInRun, Run
from sluguq.claims.version import rules_version

COLUMNS = (
    "claim",
    "paper",
    "where",
    "statement",
    "statistic",
    "rule",
    "smallest_effect",
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
    "scope",
    "decides",
    "p",
    "p_adjusted",
    "adjusted",
    "rules_version",
    "registered",
    "parts",
)


def judge(
    datasets: Mapping[str, xr.Dataset],
    labels: pd.DataFrame | None = None,
    replicates: int = REPLICATES,
    models: xr.Dataset | None = None,
    registration: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Judge every claim on the stores of one experiment.

    One row a claim: claim (its key), paper, where, statement, statistic, rule, then of the deciding part
    (the first that does not hold, else the first open one, else the first) about, estimate, low, high
    (95 % interval), images (of the seed with most), distinct_images (over all seeds), patients (over all
    seeds; empty where images do not name them), units (what the bootstrap draws: patients, else lesions, groups
    of near duplicates, images), seeds; then published (the paper's own figure, where it gives one), verdict,
    reason (why it is open), scope (``for this pool`` where what seeds have in common by training on one pool is in no
    interval), decides (what would decide it, if the estimates stay as they are), p (the smallest 1 - level at which it
    has its verdict or, where intervals leave it open, would have one; empty for a count, and where something else than
    intervals leaves it open), p_adjusted (Holm's, over the claims of the same paper that were asked), adjusted
    (the verdict by that), rules_version, registered (how the claim stands to the registration), parts (all of them as
    text). Where the run cannot speak to a claim, by its design, the verdict is ``cannot be asked of this run`` and the
    reason says what is missing.

    :param datasets: opened aggregated stores by name, see :class:`sluguq.claims.run.Run`.
    :param labels: the label table of the training data set, with columns fst and state.
    :param replicates: of the bootstrap.
    :param models: the opened store of models, with the histories of training.
    :param registration: what was registered before the run (`sluguq.claims.registration.read_registration`).
    """
    run = Run(datasets, labels, replicates, models)
    claims = (*CLAIMS, *added_claims())
    table = pd.DataFrame([_row(claim, run, registration) for claim in claims], columns=list(COLUMNS))
    for _, part in table.groupby("paper"):
        table.loc[part.index, "p_adjusted"] = holm(part["p"].astype(float).tolist())
    lost = table["p_adjusted"].astype(float) > 1 - LEVEL
    table = table.assign(adjusted=table["verdict"].mask(lost & (table["verdict"] != UNASKED), OPEN))
    table = table.astype(dict.fromkeys(("estimate", "low", "high", "p", "p_adjusted"), float))
    return table.astype(dict.fromkeys(("images", "distinct_images", "patients", "units", "seeds"), "Int64"))


def _row(claim: Claim, run: Run, registration: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    row: dict[str, object] = {
        "claim": claim.key,
        "paper": claim.paper,
        "where": claim.where,
        "statement": claim.statement,
        "statistic": claim.statistic,
        "rule": claim.rule,
        "smallest_effect": claim.smallest,
        "rules_version": rules_version(),
        "registered": standing(claim, registration, run.configuration),
        "published": claim.published,
    }
    try:
        parts = claim.parts(run)
    except NotInRun as missing:
        empty = {"about": "", "parts": "", "images": 0, "distinct_images": 0, "units": 0, "seeds": 0}
        return {**row, **empty, "verdict": UNASKED, "reason": str(missing), "scope": "", "decides": ""}
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
        "scope": run.scope if estimate.seeds else "",
        "decides": what_would_decide(parts) if verdict == OPEN else "",
        "p": p_value(parts, verdict),
        "parts": "; ".join(map(str, parts)),
    }


__all__ = ["CLAIMS", "COLUMNS", "Claim", "NotInRun", "Part", "Run", "judge", "rules_version"]
