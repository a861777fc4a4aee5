"""Fitzpatrick17k-C: Fitzpatrick17k less its duplicates and outliers, as a list of images to keep."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sluguq.config.sources import Fitzpatrick17kCSource
from sluguq.datasets.base import Acquired, read_csv
from sluguq.datasets.published import Published
from sluguq.datasets.registry import Registry
from sluguq.datasets.sources.fitzpatrick17k import collect_rows


def collect(options: Fitzpatrick17kCSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Read the keep-list and collect those rows of Fitzpatrick17k."""
    cleaned = Published("fitzpatrick17k_c", options, raw_folder, registry)
    keep = read_csv(options.keep or cleaned.file("keep"), columns=("md5hash",))["md5hash"].str.lower()

    def chosen(table: pd.DataFrame, acquired: Acquired) -> pd.DataFrame:
        for unknown in sorted(set(keep) - set(table["md5hash"])):
            acquired.lose("on the keep-list, but not in the label table", id=unknown)
        return table[table["md5hash"].isin(set(keep))]

    return collect_rows(options, cleaned.beside("fitzpatrick17k"), chosen)
