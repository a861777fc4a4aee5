"""Fitzpatrick17k-C: Fitzpatrick17k less its duplicates and outliers, as a list of images to keep."""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import Fitzpatrick17kCSource
from sluguq.datasets.base import Acquired
from sluguq.datasets.label_tables import read_labels
from sluguq.datasets.published import Published
from sluguq.datasets.registry import Registry
from sluguq.datasets.sources.fitzpatrick17k import Row, collect_rows


def collect(options: Fitzpatrick17kCSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Read the keep-list and collect those rows of Fitzpatrick17k."""
    cleaned = Published("fitzpatrick17k_c", options, raw_folder, registry)
    table = read_labels(options.keep or cleaned.file("keep"), columns=("md5hash",))
    keep = {row["md5hash"].strip().lower() for row in table.rows}

    def chosen(rows: list[Row], acquired: Acquired) -> list[Row]:
        for unknown in sorted(keep - {row["md5hash"] for row in rows}):
            acquired.lose("on the keep-list, but not in the label table", id=unknown)
        return [row for row in rows if row["md5hash"] in keep]

    return collect_rows(options, cleaned.beside("fitzpatrick17k"), chosen)
