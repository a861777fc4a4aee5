"""Data sets: one adapter a source, all handing over the same two tables.

`acquire` is the door: it imports the module named as the source, which downloads, unpacks or finds the images, and
writes images.csv and missing.csv into the raw folder. A new source is one module here with a function `collect`, one
options model in `sluguq.config.sources`, and one entry of the registry if it is published.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from sluguq.config.sources import PublishedSource, Source, is_synthetic, registry_name
from sluguq.datasets.base import Acquired, AcquisitionError, read_images, read_missing, write_tables
from sluguq.datasets.registry import Entry, Registry, load_registry

__all__ = ["Acquired", "AcquisitionError", "acquire", "entry_of", "is_synthetic", "read_images", "read_missing"]


def acquire(options: Source, raw_folder: str | os.PathLike[str], *, registry: Registry | None = None) -> Acquired:
    """Acquire a data set: write ``images.csv`` and ``missing.csv`` into its raw folder, each whole or not at all.

    Originals that were downloaded or unpacked stay under the raw folder, and a second call uses them again.

    :param options: options of the source.
    :param raw_folder: folder of the data set's originals, created if need be.
    :param registry: entries of published data sets, in place of the packaged registry.
    :returns: the rows of both tables.
    :raises AcquisitionError: where nothing can be acquired; the message says what to do, missing.csv why.
    """
    raw = Path(raw_folder).resolve()
    raw.mkdir(parents=True, exist_ok=True)
    adapter = importlib.import_module(f"sluguq.datasets.sources.{options.source}")
    acquired: Acquired = (
        adapter.collect(options, raw, registry)
        if isinstance(options, PublishedSource)
        else adapter.collect(options, raw)
    )
    write_tables(acquired, raw)
    if not acquired.images:
        reasons = acquired.missing_table()["reason"].value_counts().head(3)
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "its table is empty"
        raise AcquisitionError(f"no image of the source {options.source!r} could be had: {listed}")
    return acquired


def entry_of(options: Source, registry: Registry | None = None) -> Entry | None:
    """What the registry says of a source; None for one that nobody published."""
    name = registry_name(options)
    return None if name is None else (registry or load_registry())[name]
