"""The door to all data sets: originals on the disk, and two tables of what is there and what is not.

`acquire` imports the module named as the source, which downloads, unpacks or finds the images, and writes images.csv
and missing.csv into the raw folder. A new source is one module of ``sources/`` with a function `collect`, one options
model in `sluguq.config.sources`, and one entry of the registry if it is published.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from pathlib import Path

from sluguq.config.sources import PublishedSource, Source, labels_stored_as_one, registry_name, storable
from sluguq.datasets.attempts import attempt, counted
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.registry import Entry, Registry, load_registry
from sluguq.stores.tables import IMAGE_COLUMNS, MISSING_COLUMNS, OPTIONAL_COLUMNS, as_table, write_table


def acquire(
    options: Source,
    raw_folder: str | os.PathLike[str],
    *,
    registry: Registry | None = None,
    number: int | None = None,
) -> Acquired:
    """Acquire a data set: write ``images.csv`` and ``missing.csv`` into its raw folder, each whole or not at all.

    Originals that were downloaded or unpacked stay under the raw folder, and a second call uses them again.

    :param options: options of the source.
    :param raw_folder: folder of the data set's originals, created if need be.
    :param registry: entries of published data sets, in place of the packaged registry.
    :param number: number of this acquisition, see :mod:`sluguq.datasets.attempts`; None: the next.
    :returns: the rows of both tables.
    :raises AcquisitionError: where nothing can be acquired; the message says what to do, missing.csv why.
    """
    raw = Path(raw_folder).resolve()
    raw.mkdir(parents=True, exist_ok=True)
    with counted(raw, attempt(raw) if number is None else number) as to_be_asked_again:
        acquired = _acquired(options, raw, registry)
        if acquired.may_pass:
            to_be_asked_again()
            print(f"{acquired.may_pass} losses may pass, as they were the server's; {raw / 'missing.csv'} has all")
        return acquired


def _acquired(options: Source, raw: Path, registry: Registry | None) -> Acquired:
    adapter = importlib.import_module(f"sluguq.datasets.sources.{options.source}")
    acquired: Acquired = (
        adapter.collect(options, raw, registry)
        if isinstance(options, PublishedSource)
        else adapter.collect(options, raw)
    )
    if acquired.images or not (raw / "images.csv").exists():
        write_tables(acquired, raw)
    if not acquired.images:
        reasons = Counter(str(row["reason"]) for row in acquired.missing).most_common(3)
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons)
        listed = listed or "its table is empty, or `fst` leaves nothing of it"
        raise AcquisitionError(f"no image of the source {options.source!r} could be had: {listed}")
    return acquired


def write_tables(acquired: Acquired, raw_folder: Path) -> None:
    """Write missing.csv and, unless there is no image, images.csv, each whole or not at all.

    :raises AcquisitionError: where two labels would be stored under one name.
    """
    acquired.lose_repeated_ids()
    for row in acquired.images:
        for column in ("file", "mask", "artefact_mask"):
            path = Path(row.get(column, ""))
            # Relative, so that the raw folder can be moved.
            if path.is_absolute() and path.is_relative_to(raw_folder):
                row[column] = path.relative_to(raw_folder).as_posix()
    labels = sorted({key for row in acquired.images for key in row if key.startswith("label_")})
    if twins := labels_stored_as_one(labels):
        raise AcquisitionError(f"the labels {twins[0]!r} and {twins[1]!r} would be stored under one name: rename one")
    acquired.images = [{storable(key): value for key, value in row.items()} for row in acquired.images]
    labels = [storable(label) for label in labels]
    # Last written: a run that comes to nothing leaves the images.csv of the one before.
    write_table(raw_folder / "missing.csv", as_table(acquired.missing, MISSING_COLUMNS))
    if acquired.images:
        optional = [column for column in OPTIONAL_COLUMNS if any(row.get(column) for row in acquired.images)]
        write_table(raw_folder / "images.csv", as_table(acquired.images, [*IMAGE_COLUMNS, *optional, *labels]))


def entry_of(options: Source, registry: Registry | None = None) -> Entry | None:
    """What the registry says of a source; None for one that nobody published."""
    name = registry_name(options)
    return None if name is None else (registry or load_registry())[name]
