"""Tables that no figure of the page is drawn from, folded away on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sluguq.analysis.catalogue import TABLES
from sluguq.figures.words import number

WITHOUT_FIGURE = ("appearance", "tone_trend", "calibration", "variability", "skin_types", "intersections")
"""Tables of a data set that are shown as they are."""

PLANNING = {
    "robustness": "Every claim judged again on the test images taken in other ways: is its verdict the same?",
    "power": "How likely so many seeds and images are to decide each claim, from what this run tells of variances.",
}
"""Tables that are made where they are asked for (`snakemake robustness`, `snakemake power`)."""

MOST_ROWS = 60
"""Rows of a table on the page; the csv has all."""

_LEFT_OUT = frozenset({"low", "high", "undefined", "clusters", "paper"})


class Folded(NamedTuple):
    """A table as the page shows it: name, what it says, header, rows of text, how many it has, and where the csv is."""

    name: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    total: int
    address: str


def folded(name: str, table: pd.DataFrame, address: str) -> Folded:
    """A table in words: an estimate with its interval is one cell, and what is the same for people is left out.

    :param name: of `sluguq.analysis.catalogue.TABLES`, or of `PLANNING`.
    :param table: as it was read.
    :param address: of its csv.
    """
    caption = PLANNING[name] if name in PLANNING else TABLES[name].caption
    estimate = next((column for column in ("value", "estimate") if column in table), None)
    columns = [str(column) for column in table.columns if column not in _LEFT_OUT]
    header = [f"{c} [95 % interval]" if c == estimate else c.replace("_", " ") for c in columns]
    records = table.head(MOST_ROWS).to_dict("records")
    rows = [[_cell(row, column, estimate) for column in columns] for row in records]
    return Folded(name.replace("_", " "), caption, header, rows, len(table), address)


def _cell(row: Mapping[Any, Any], column: str, estimate: str | None) -> str:
    value = row[column]
    if column == estimate and "low" in row:
        is_known = isinstance(value, int | float) and np.isfinite(value)
        return f"{number(value)} [{number(row['low'])}, {number(row['high'])}]" if is_known else "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value) if np.isfinite(value) else "–"
    return str(value)
