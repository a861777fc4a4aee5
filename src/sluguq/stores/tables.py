"""The workflow's own tables of images: what was acquired, lost, rejected, split. They are read here alone.

All cells are text, so that the id 001 stays 001 and the patient NA stays what it is; only the FST is a number. Tables
of results hold numbers but for the columns that their readers name.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sluguq.machine.errors import SluguqError
from sluguq.stores.files import check_seal, whole_file

IMAGE_COLUMNS = ("id", "file", "fst", "patient", "lesion", "mask")
"""Columns of images.csv, before any ``label_<name>``."""

OPTIONAL_COLUMNS = ("artefact_mask",)
"""Columns of images.csv that only some data sets have."""

MISSING_COLUMNS = ("id", "file", "fst", "url", "reason")
"""Columns of missing.csv."""

REJECTED_COLUMNS = ("id", "file", "fst", "reason")
"""Columns of the table of rejected files."""

SPLIT_COLUMNS = ("id", "role")
"""Columns of a split; an image drawn n times for one role has n rows."""


class TableError(SluguqError, RuntimeError):
    """A table of the workflow is not there or not whole; the message names it and says what to run again."""


def as_table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    """Rows as text under the columns; ``fst`` as int, -1 where a row has none.

    :param rows: of the table, by column; what a row lacks is empty.
    :param columns: in order.
    """
    rows = list(rows)
    return pd.DataFrame(
        {
            column: pd.Series([_type_of(row) for row in rows], dtype=int)
            if column == "fst"
            else pd.Series([str(row.get(column, "")) for row in rows], dtype=object)
            for column in columns
        }
    )


def _type_of(row: Mapping[str, Any]) -> int:
    fst, name = row.get("fst", -1), row.get("id", "")
    if not isinstance(fst, int | np.integer):
        raise TableError(f"image {name!r}: fst is {fst!r}; give a whole number, -1 where there is no label")
    return int(fst)


def write_table(path: str | os.PathLike[str], table: pd.DataFrame, *, sealed: bool = True) -> None:
    """Write a table as csv, whole or not at all.

    :param sealed: write its checksum beside it, for the readers below; not for tables of results.
    """
    with whole_file(path, sealed=sealed) as partial:
        # A path on the disk need not be UTF-8; it is written as it is. A bare carriage return would end a row.
        quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if _has_carriage_return(table) else csv.QUOTE_MINIMAL
        table.to_csv(partial, index=False, errors="surrogateescape", quoting=quoting)


def _has_carriage_return(table: pd.DataFrame) -> bool:
    texts = [table.columns, *(table[name] for name in table.columns if table[name].dtype.kind == "O")]
    return any("\r" in value for values in texts for value in values if isinstance(value, str))


def read_images(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read images.csv: ``fst`` as int, all else as text, empty where there is nothing.

    :param path: of the table.
    :raises TableError: where it is not there, or lacks a column.
    :raises DamagedFile: where it has changed since it was written.
    """
    return _read(path, IMAGE_COLUMNS, "delete it and acquire the data set again")


def read_missing(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read missing.csv, as :func:`read_images`.

    :param path: of the table.
    """
    return _read(path, MISSING_COLUMNS, "delete it and acquire the data set again")


def read_rejected(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the table of rejected files, as :func:`read_images`.

    :param path: of the table.
    """
    return _read(path, REJECTED_COLUMNS, "delete it and prepare the data set again")


def read_split(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a split: the columns id and role as text.

    :param path: of the split.
    :raises TableError: where it is not there, or lacks a column.
    """
    return _read(path, SPLIT_COLUMNS, "delete it and split again")


def read_numbers(path: str | os.PathLike[str], texts: Collection[str] = ()) -> pd.DataFrame:
    """Read a table of results: numbers, NaN where a cell is empty or says nan, and some columns of text.

    :param path: csv, as :func:`write_table` or a training writes it.
    :param texts: columns that stay text, also where they look like numbers or like nothing.
    :raises TableError: where it is not there, or is no table.
    """
    remedy = "delete it and run again"
    nothing = {name: ["", "nan"] for name in _csv(path, remedy, nrows=0).columns if name not in texts}
    return _csv(path, remedy, dtype=dict.fromkeys(texts, str), na_values=nothing)


def _read(path: str | os.PathLike[str], expected: Iterable[str], remedy: str) -> pd.DataFrame:
    check_seal(path)
    table = _csv(path, remedy, dtype=str)
    absent = sorted(set(expected) - set(table.columns))
    if absent:
        raise TableError(f"{path} lacks the columns {absent}; {remedy}")
    if "fst" in table:
        table["fst"] = table["fst"].astype(int)
    return table


def _csv(path: str | os.PathLike[str], remedy: str, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(Path(path), keep_default_na=False, encoding_errors="surrogateescape", **options)
    except FileNotFoundError:
        raise TableError(f"there is no table {path}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TableError(f"{path} cannot be read ({str(error).strip()}); {remedy}") from error
