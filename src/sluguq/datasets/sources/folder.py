"""A folder of images and a csv: how a user brings data of their own.

Rows without a file, files without a row and skin types that are none are listed with the reason, and the rest
goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sluguq.config.sources import FolderSource
from sluguq.datasets.archives import opened
from sluguq.datasets.base import Acquired, AcquisitionError, FileIndex, read_csv
from sluguq.datasets.skin_types import parse_fst


def collect(options: FolderSource, raw_folder: Path) -> Acquired:
    """Read the table and match it with the files.

    :raises AcquisitionError: where the folder or table does not exist, or the table lacks a named column.
    """
    folder = opened(options.folder, raw_folder)
    table_path = options.table if options.table.is_absolute() else folder / options.table
    if not table_path.is_file():
        # A relative path may also start where the run was started.
        if not options.table.is_file():
            raise AcquisitionError(
                f"there is no table {table_path}; name the csv with the key `table` of this data set"
            )
        table_path = options.table
    columns = options.columns
    named = [columns.file, columns.fst, columns.id, columns.patient, columns.lesion, columns.mask, *columns.labels]
    table = read_csv(table_path, separator=options.separator, columns=[name for name in named if name])
    index = FileIndex(folder)
    if not index.files:
        raise AcquisitionError(f"{folder} holds no image file")

    acquired = Acquired()
    used: set[Path] = set()
    for number, row in enumerate(table.to_dict("records"), start=2):
        _collect_row(options, row, f"row {number} of {table_path.name}", index, used, acquired)
    for path in index.files:
        if path not in used:
            name = index.relative[path].as_posix()
            acquired.lose(f"the file has no row in {table_path.name}", id=name, file=str(path))
    return acquired


def _collect_row(
    options: FolderSource,
    row: dict[Any, str],
    place: str,
    index: FileIndex,
    used: set[Path],
    acquired: Acquired,
) -> None:
    columns = options.columns
    name = row[columns.file].strip()
    identity = (row[columns.id].strip() if columns.id else "") or name
    mask = None
    if columns.mask and row[columns.mask].strip():
        mask = _file(index, row[columns.mask])
        if isinstance(mask, Path):
            used.add(mask)
    path = _file(index, name)
    if isinstance(path, Path):
        used.add(path)
    try:
        fst = parse_fst(row[columns.fst], options.fst_values) if columns.fst else -1
    except ValueError as error:
        acquired.lose(f"{place}: {error}", id=identity, file=name)
        return
    if options.fst is not None and fst not in options.fst:
        return
    for found, what in ((path, ""), (mask, "mask: ")):
        if isinstance(found, LookupError):
            acquired.lose(f"{place}: {what}{found}", id=identity, file=name, fst=fst)
            return
    acquired.images.append(
        {
            "id": identity,
            "file": str(path),
            "fst": fst,
            "patient": row[columns.patient].strip() if columns.patient else "",
            "lesion": row[columns.lesion].strip() if columns.lesion else "",
            "mask": "" if mask is None else str(mask),
            **{f"label_{label}": row[label].strip() for label in columns.labels},
        }
    )


def _file(index: FileIndex, name: str) -> Path | LookupError:
    """The file a cell names, or why there is none."""
    if Path(name.strip()).is_absolute():
        path = Path(name.strip())
        return path if path.is_file() else LookupError("there is no such file")
    try:
        return index.find(name)
    except LookupError as error:
        return error
