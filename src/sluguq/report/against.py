"""What of a run speaks against SLUG, in sentences: rivals that do better, maps that find more, gaps that it misses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from sluguq.analysis.drawn_artefacts import MAPS, MASKED
from sluguq.analysis.signals import ENSEMBLE
from sluguq.analysis.tables import signal_label
from sluguq.claims.rules import SMALLEST_CORRELATION, SMALLEST_RATIO
from sluguq.figures.words import bracketed, decimal

Tables = Mapping[str, pd.DataFrame]
Rows = list[dict[Any, Any]]

_BARE = "slug_bare"  # a control, no rival


def against(training: Tables, all_tables: Mapping[str, Tables]) -> list[str]:
    """Sentences that speak against SLUG; none where nothing does.

    :param training: tables of the data set that was trained on.
    :param all_tables: of every data set by name, for what maps find.
    """
    signals, gaps, tones = (_rows(training, name) for name in ("signals", "gaps", "gaps_by_annotation"))
    found = _by_kind(all_tables)
    return [
        *_better_signals([row for row in signals if row["test"] == "spearman"]),
        *_left_over([row for row in signals if row["test"] == "partial_reverse"]),
        *_smaller_gaps([row for row in gaps if row["measure"] == "log_ratio"]),
        *_other_tones([row for row in tones if row["measure"] == "log_ratio" and row["by"] == "measured tone"]),
        *_better_maps(found),
        *_chance(found),
    ]


def _rows(tables: Tables, name: str) -> Rows:
    return tables[name].to_dict("records") if name in tables else []


def _better_signals(ranks: Rows) -> list[str]:
    of_slug = {(row["configuration"], row["among"]): row["value"] for row in ranks if row["signal"] == "slug"}
    higher: dict[str, list[str]] = {}
    for row in ranks:
        name, configuration = row["signal"], row["configuration"]
        slug = of_slug.get((configuration, ENSEMBLE if name == ENSEMBLE else "all"), math.nan)
        if name != "slug" and row["value"] > slug:
            higher.setdefault(name, []).append(f"{configuration} {decimal(row['value'])} against {decimal(slug)}")
    found = [
        f"{signal_label(name)} ({', '.join(pairs)}{', on the images that have one' if name == ENSEMBLE else ''})"
        for name, pairs in higher.items()
    ]
    return [f"Signals with a higher rank correlation with the error than SLUG: {'; '.join(found)}."] if found else []


def _left_over(partial: Rows) -> list[str]:
    """Signals that order images by error among images of one SLUG."""
    by_signal: dict[str, Rows] = {}
    for row in partial:
        by_signal.setdefault(row["signal"], []).append(row)
    found = [
        f"{_range(row['value'] for row in rows)} ({signal_label(name)})"
        for name, rows in by_signal.items()
        if all(row["low"] > SMALLEST_CORRELATION for row in rows)
    ]
    if not found:
        return []
    return [
        "Signals that know of the error what SLUG does not, in every configuration: with SLUG held constant, their "
        f"rank correlation with it is {', '.join(found)}."
    ]


def _smaller_gaps(ratios: Rows) -> list[str]:
    """Where SLUG's gap between groups is smaller than the error's, or has not its sign."""
    of_slug = {(row["configuration"], row["group"]): row for row in ratios if row["variable"] == "slug"}
    found = []
    for error in (row for row in ratios if row["variable"] == "mse"):
        slug = of_slug.get((error["configuration"], error["group"]))
        shown = error["low"] > 0 or error["high"] < 0
        short = abs(error["value"]) - math.copysign(1, error["value"]) * slug["value"] if slug else 0.0
        if slug and shown and short > SMALLEST_RATIO:
            found.append(
                f"{error['group']} over {error['reference']} under {error['configuration']} {_ratio(slug)} in SLUG, "
                f"{_ratio(error)} in the error"
            )
    return [f"SLUG shows less of a gap than there is in the error: {'; '.join(found)}."] if found else []


def _other_tones(ratios: Rows) -> list[str]:
    """Where SLUG is surely lower for the darkest by measured tone, and the error is not."""
    errors = {row["configuration"]: row for row in ratios if row["variable"] == "mse"}
    found = []
    for slug in (row for row in ratios if row["variable"] == "slug"):
        error = errors.get(slug["configuration"])
        if error and slug["high"] < 0 and not error["high"] < 0:
            found.append(
                f"under {slug['configuration']} {_ratio(slug)} times, while the error is {_ratio(error)} times"
            )
    if not found:
        return []
    return [f"By measured skin tone SLUG is lower for the darkest third than for the lightest: {'; '.join(found)}."]


def _better_maps(kinds: Sequence[tuple[str, Mapping[str, Rows]]]) -> list[str]:
    found = []
    for what, maps in kinds:
        slug = {row["configuration"]: row["value"] for row in maps["slug_map"]}
        better = [
            name
            for name in MAPS
            if name in maps
            and name not in ("slug_map", _BARE)
            and all(row["value"] > slug.get(row["configuration"], math.inf) for row in maps[name])
        ]
        if better:
            words = [f"{MAPS[name]} {_range(row['value'] for row in maps[name])}" for name in better]
            found.append(f"{what}: {', '.join(words)}, SLUG map {_range(slug.values())}")
    if not found:
        return []
    return [
        "Maps that find what is not skin better than the SLUG map in every configuration (pixel AUROC): "
        f"{'; '.join(found)}."
    ]


def _chance(kinds: Sequence[tuple[str, Mapping[str, Rows]]]) -> list[str]:
    found = [
        f"{what} under {row['configuration']} {bracketed(row['value'], row['low'], row['high'])}"
        for what, maps in kinds
        for row in maps["slug_map"]
        if not row["low"] > 0.5
    ]
    return [f"The SLUG map is not surely better than chance (pixel AUROC 0.5): {'; '.join(found)}."] if found else []


def _by_kind(all_tables: Mapping[str, Tables]) -> list[tuple[str, dict[str, Rows]]]:
    """What is to be found, in words, and the pixel AUROCs by map."""
    found: dict[tuple[str, str], dict[str, Rows]] = {}
    for name, tables in all_tables.items():
        for row in _rows(tables, "drawn_artefacts"):
            if row["measure"] == "auroc" and math.isfinite(row["value"]):
                found.setdefault((name, str(row["artefact"])), {}).setdefault(row["map"], []).append(row)
    return [
        (f"content outlined by people ({name})" if kind == MASKED else kind, maps)
        for (name, kind), maps in found.items()
        if "slug_map" in maps
    ]


def _ratio(row: Mapping[Any, Any]) -> str:
    """A logarithm of a ratio as the ratio with its interval."""
    return bracketed(*(math.exp(row[name]) for name in ("value", "low", "high")))


def _range(values: Iterable[float]) -> str:
    """The values of several configurations: `0.61 to 0.70`."""
    ordered = sorted(values)
    low, high = decimal(ordered[0]), decimal(ordered[-1])
    return low if low == high else f"{low} to {high}"
