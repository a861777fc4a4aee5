"""Data sets: one adapter a source, all handing over the same two tables.

`acquire` is the door: it downloads, unpacks or finds the images of one source and writes images.csv and
missing.csv into the raw folder. A new source is one module here with a function `collect`, one options model in
`sluguq.config.sources`, and one entry of the registry if it is published.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from sluguq.config.sources import Source
from sluguq.datasets.base import Acquired, AcquisitionError, read_images, read_missing, write_tables

__all__ = ["Acquired", "AcquisitionError", "acquire", "is_synthetic", "read_images", "read_missing"]

ADAPTERS = {
    "folder": "sluguq.datasets.folder",
    "phantom": "sluguq.datasets.phantom",
}
"""Module of each source; imported only when its source is acquired."""


def acquire(options: Source, raw_folder: str | os.PathLike[str], **tools: Any) -> Acquired:
    """Acquire a data set: write `images.csv` and `missing.csv` into its raw folder, each whole or not at all.

    Originals that were downloaded or unpacked stay under the raw folder, and a second call uses them again.

    Args:
        options: Options of the source.
        raw_folder: Folder of the data set's originals, created if need be.
        tools: Passed on to the adapter; published sources take `registry=` (entries in place of the
            packaged registry).

    Returns:
        The rows of both tables.

    Raises:
        AcquisitionError: Nothing can be acquired; the message says what to do.
    """
    raw = Path(raw_folder).resolve()
    raw.mkdir(parents=True, exist_ok=True)
    adapter = importlib.import_module(ADAPTERS[options.source])
    acquired: Acquired = adapter.collect(options, raw, **tools)
    if not acquired.images:
        reasons = acquired.missing_table()["reason"].value_counts().head(3)
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "its table is empty"
        raise AcquisitionError(f"no image of the source {options.source!r} could be had: {listed}")
    write_tables(acquired, raw)
    return acquired


def is_synthetic(options: Source) -> bool:
    """Whether a source's images are drawn rather than photographed."""
    return options.source == "phantom"
