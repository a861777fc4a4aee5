"""Data sets: one adapter a source, all handing over the same two tables.

`acquire` is the door: it downloads, unpacks or finds the images of one source and writes images.csv and
missing.csv into the raw folder. A new source is one module here with a function `collect`, one options model in
`sluguq.config.sources`, and one entry of the registry if it is published.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from sluguq.config.sources import Source
from sluguq.datasets.base import Acquired, AcquisitionError, read_images, read_missing, write_tables
from sluguq.datasets.registry import Registry

__all__ = ["Acquired", "AcquisitionError", "acquire", "is_synthetic", "read_images", "read_missing"]

ADAPTERS = {
    "folder": "sluguq.datasets.folder",
    "phantom": "sluguq.datasets.phantom",
    "fitzpatrick17k": "sluguq.datasets.fitzpatrick17k",
    "fitzpatrick17k_c": "sluguq.datasets.fitzpatrick17k_c",
    "passion": "sluguq.datasets.passion",
    "isic2017": "sluguq.datasets.isic",
    "isic2018": "sluguq.datasets.isic",
    "isic2019": "sluguq.datasets.isic",
    "padufes20": "sluguq.datasets.padufes20",
    "ddi": "sluguq.datasets.ddi",
    "scin": "sluguq.datasets.scin",
}
"""Module of each source; imported only when its source is acquired."""

OWN_SOURCES = frozenset({"folder", "phantom"})
"""Sources that nobody published."""


def acquire(options: Source, raw_folder: str | os.PathLike[str], *, registry: Registry | None = None) -> Acquired:
    """Acquire a data set: write `images.csv` and `missing.csv` into its raw folder, each whole or not at all.

    Originals that were downloaded or unpacked stay under the raw folder, and a second call uses them again.

    Args:
        options: Options of the source.
        raw_folder: Folder of the data set's originals, created if need be.
        registry: Entries of published data sets, in place of the packaged registry.

    Returns:
        The rows of both tables.

    Raises:
        AcquisitionError: Nothing can be acquired; the message says what to do.
    """
    raw = Path(raw_folder).resolve()
    raw.mkdir(parents=True, exist_ok=True)
    adapter = importlib.import_module(ADAPTERS[options.source])
    acquired: Acquired = (
        adapter.collect(options, raw) if options.source in OWN_SOURCES else adapter.collect(options, raw, registry)
    )
    if not acquired.images:
        reasons = acquired.missing_table()["reason"].value_counts().head(3)
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "its table is empty"
        raise AcquisitionError(f"no image of the source {options.source!r} could be had: {listed}")
    write_tables(acquired, raw)
    return acquired


def is_synthetic(options: Source) -> bool:
    """Whether a source's images are drawn rather than photographed."""
    return options.source == "phantom"
