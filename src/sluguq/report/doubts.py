"""What a reviewer asks of a finding, answered from the run's tables: who labelled, what else differs, what if."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sluguq.analysis.annotations import ANNOTATIONS, OTHER_TYPES
from sluguq.analysis.fairness import FEWEST, TOGETHER
from sluguq.claims.catalogue import CLAIMS, added_claims
from sluguq.figures.words import bracketed, listed, plural

Tables = Mapping[str, pd.DataFrame]


def whose_labels(tables: Tables, masks: Collection[str] = ()) -> list[str]:
    """Lines of a page: the ratio of errors, and of SLUG, by who says what an image's skin is.

    :param tables: of a data set; no lines where none is called ``gaps_by_annotation`` or it has one annotation alone.
    :param masks: the masks that its store has; skin tone is measured outside of them.
    """
    table = tables.get("gaps_by_annotation", pd.DataFrame())
    if table.empty or len(set(table["by"])) < 2:
        return []
    ratios = table[table["measure"] == "log_ratio"]
    lines = [
        "## Does it depend on who labelled?",
        "",
        "The darkest group over the lightest, ratios of means with 95 % intervals. Measured tone takes the darkest "
        "third of a seed's test images against the lightest, by the individual typology angle (ITA) of the median "
        f"colour of {_measured(masks)}; the angle depends on light and camera too.",
        "",
    ]
    for variable, words in (("mse", "Mean squared error:"), ("slug", "SLUG:")):
        rows = ratios[ratios["variable"] == variable]
        if len(rows):
            lines += [words, "", *_ratios(rows, "by", ANNOTATIONS, "who says so", "images per seed")]
    shown: dict[str, list[str]] = {}
    for configuration, part in ratios[ratios["variable"] == "mse"].groupby("configuration", sort=False):
        shown.setdefault(_sides(part), []).append(str(configuration))
    lines += [f"Under {listed(names)} {sides}" for sides, names in shown.items()]
    return [*lines, ""]


def _measured(masks: Collection[str]) -> str:
    names = {"lesion_mask": "the lesion", "artefact_mask": "what is not skin"}
    outside = [words for mask, words in names.items() if mask in masks]
    if not outside:
        return "all pixels, lesion and background among them, for these photographs have no masks"
    return f"the pixels outside the masks of {listed(outside)}, of all pixels where a photograph has none"


def confounding(tables: Tables) -> list[str]:
    """Lines of a page: the gap plain and adjusted for every label that both groups share, and what remains.

    :param tables: of a data set; no lines where none is called ``gaps_within`` or it is empty.
    """
    table = tables.get("gaps_within", pd.DataFrame())
    if table.empty:
        return []
    group, reference = list(dict.fromkeys(table["group"]))[-1], table["reference"].iloc[0]
    gaps = table[(table["group"] == group) & (table["variable"] == "mse")]
    # Another annotation of the skin is no confounder, and one level alone adjusts for nothing.
    shared = gaps[gaps["measure"] == "within"].groupby("label")["level"].nunique()
    gaps = gaps[gaps["label"].isin(shared[shared > 1].index) & (gaps["label"] != OTHER_TYPES.removeprefix("label_"))]
    if gaps.empty:
        return []
    lines = [
        "## Is it skin, or what is photographed?",
        "",
        f"Mean squared error of {group} over {reference}: of all images whose level of a label has at least {FEWEST} "
        "images of either group, and adjusted, as the weighted mean of the gaps within levels.",
        "",
        "| label | levels | images of the smaller group | configuration | plain | adjusted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for label, part in gaps.groupby("label", sort=False):
        levels = part.loc[part["measure"] == "within", "level"].nunique()
        for configuration, rows in part.groupby("configuration", sort=False):
            cells = [_ratio(rows[rows["measure"] == measure]) for measure in ("all", "adjusted")]
            smaller = int(rows.loc[rows["measure"] == "all", "smallest"].max())
            lines.append(
                f"| {label.replace('_', ' ')} | {levels} | {smaller:,} | {configuration} | {cells[0]} | {cells[1]} |"
            )
    together = (
        f"`{TOGETHER}` has a level for every combination of the labels"
        if TOGETHER in set(gaps["label"])
        else "the labels are adjusted for one at a time"
    )
    return [
        *lines,
        "",
        "What remains: levels that one group hardly has are left out, so an adjusted gap speaks of the images that "
        "overlap alone. Within one condition and one source, photographs still differ in body site, camera, light and "
        f"stage, and {together}. None of this tells skin from how it was photographed.",
        "",
    ]


def other_ways(tables: Tables) -> list[str]:
    """Lines of a page: which verdicts change where the test images are taken in another way.

    :param tables: of a data set; no lines where none is called ``robustness`` (`snakemake robustness`).
    """
    table = tables.get("robustness", pd.DataFrame())
    if table.empty:
        return []
    variants = list(dict.fromkeys(table["variant"]))
    first = table[table["variant"] == variants[0]].set_index("claim")["verdict"]
    statements = {claim.key: claim.statement.rstrip(".") for claim in (*CLAIMS, *added_claims())}

    def said(key: str) -> str:
        return statements.get(key, key)

    lines = [
        "## Do verdicts stand where the test images are taken another way?",
        "",
        "| the test images | claims judged | verdicts that change |",
        "| --- | --- | --- |",
    ]
    for variant in variants[1:]:
        part = table[table["variant"] == variant]
        changes = part[part["verdict"] != part["claim"].map(first)]
        words = "; ".join(f"“{said(row.claim)}”: {first[row.claim]} → {row.verdict}" for row in changes.itertuples())
        lines.append(f"| {variant} | {len(part)} | {words or 'none'} |")
    if len(variants) == 1:
        return []
    return [*lines, "", f"{plural(len(first), 'claim')} can be asked of the test images as they are.", ""]


def _ratios(rows: pd.DataFrame, column: str, words: Mapping[str, str], head: str, count: str) -> list[str]:
    """A table with one line per value of a column, and a ratio per configuration."""
    configurations = list(dict.fromkeys(rows["configuration"]))
    lines = [
        f"| {head} | {count} | " + " | ".join(configurations) + " |",
        "| --- |" + " --- |" * (1 + len(configurations)),
    ]
    for value, part in rows.groupby(column, sort=False):
        cells = [_ratio(part[part["configuration"] == name]) for name in configurations]
        lines.append(f"| {words.get(str(value), value)} | {int(part['images'].max())} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _ratio(rows: pd.DataFrame) -> str:
    """The first row's logarithm of a ratio as the ratio with its interval."""
    if rows.empty:
        return ""
    return bracketed(*np.exp(rows.iloc[0][["value", "low", "high"]].astype(float)))


def _side(row: Mapping[Any, Any]) -> str:
    """Which group the interval of a logarithm of a ratio says is worse."""
    return "The darkest fare worse" if row["low"] > 0 else "The lightest fare worse" if row["high"] < 0 else "Undecided"


def _sides(rows: pd.DataFrame) -> str:
    """What the intervals show, with whose labels show it."""
    whose: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        whose.setdefault(_side(row), []).append(ANNOTATIONS.get(row["by"], str(row["by"])))
    if len(whose) == 1:
        return f"all of them say the same of the error. {next(iter(whose))}."
    said = " ".join(f"{side}: {'; '.join(names)}." for side, names in whose.items())
    return f"the gap of the error depends on who says so. {said}"
