"""What every source adapter hands over: a table of the images it has and a table of those it has not.

An adapter is a module with one function `collect(options, raw_folder, ...) -> Acquired`. It downloads or
unpacks under the raw folder, reads the data set's own labels and says what they mean; writing the tables is
done here, for all alike.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sluguq.datasets.skin_types import UNLABELLED

_ENDINGS = "jpg jpeg jpe jfif png webp tif tiff bmp gif avif jp2 ppm heic heif"
IMAGE_SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Endings of files that are taken for pictures, whether or not they can be decoded."""


class AcquisitionError(RuntimeError):
    """A data set cannot be acquired at all; the message says what to do."""


@dataclass
class Acquired:
    """What an adapter found: rows of images.csv, rows of missing.csv.

    :ivar images: one dictionary an image with the keys of IMAGE_COLUMNS (all but ``id``, ``file`` and ``fst`` may be
        left out) and any ``label_<name>``. ``file`` and ``mask`` are absolute, or relative to the raw folder.
    :ivar missing: one dictionary a loss with the keys of MISSING_COLUMNS; all but ``reason`` may be left out.
    :ivar synthetic: whether the images are drawn rather than photographed.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)
    synthetic: bool = False

    def lose(self, reason: str, *, id: str = "", file: str = "", fst: int = UNLABELLED, url: str = "") -> None:
        """List an image that could not be had."""
        self.missing.append({"id": id, "file": file, "fst": fst, "url": url, "reason": reason})

    def lose_repeated_ids(self) -> None:
        """Move every image whose id appeared before to `missing`."""
        kept: dict[str, dict[str, Any]] = {}
        for row in self.images:
            first = kept.setdefault(row["id"], row)
            if first is not row:
                self.lose(
                    f"id {row['id']!r} appears twice; the first one ({first['file']}) was kept",
                    id=row["id"],
                    file=str(row["file"]),
                    fst=row["fst"],
                )
        self.images = list(kept.values())


def read_csv(path: Path, *, separator: str = ",", columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a csv as text, empty cells as empty strings, whatever of UTF-8 (with or without mark) or Latin-1.

    :raises AcquisitionError: where the file is missing, is no csv, or lacks a column of ``columns``.
    """
    if not path.is_file():
        raise AcquisitionError(f"there is no table {path}")
    try:
        try:
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except UnicodeDecodeError:
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="latin-1")
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise AcquisitionError(f"{path} cannot be read as a csv: {str(error).strip()}") from error
    # A short row leaves cells that are missing rather than empty.
    table = table.rename(columns=lambda name: str(name).strip()).fillna("")
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise AcquisitionError(f"{path} has no column {', '.join(map(repr, absent))}; it has {list(table.columns)}")
    return table


class FileIndex:
    """Finds the files of one or several folders by the names that tables use for them.

    A table may give the path relative to the folder, the bare name, or the name without its suffix or with
    another one (`.png` for what is now `.jpg`). Names are compared in Unicode's composed form without regard to
    case. Hidden files and links that lead out of the folder are not seen.
    """

    def __init__(self, *folders: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES):
        allowed = frozenset(suffixes)
        self.relative: dict[Path, Path] = {
            path: path.relative_to(folder)
            for folder in folders
            for path in sorted(_walk(folder))
            if path.suffix.lower() in allowed
        }
        # From the most to the least telling name: path, path without suffix, name, name without suffix.
        self._found: tuple[dict[str, list[Path]], ...] = tuple(defaultdict(list) for _ in range(4))
        for path, relative in self.relative.items():
            names = (relative.as_posix(), relative.with_suffix("").as_posix(), path.name, path.stem)
            for found, name in zip(self._found, names, strict=True):
                found[_key(name)].append(path)

    @property
    def files(self) -> list[Path]:
        """All files, in order of their paths."""
        return list(self.relative)

    def find(self, name: str) -> Path:
        """The file that ``name`` means.

        :raises LookupError: where there is none, or the name fits several; the message is a reason for missing.csv.
        """
        if not name.strip():
            raise LookupError("the row names no file")
        wanted = name.strip().replace("\\", "/").removeprefix("./")
        suffix = Path(wanted).suffix.lower()
        bare = wanted[: -len(suffix)] if suffix in IMAGE_SUFFIXES else wanted
        for found_by, name in zip(self._found, (wanted, bare, wanted, bare), strict=True):
            found = found_by.get(_key(name), [])
            exact = [path for path in found if path.suffix.lower() == suffix]
            for fitting in (found, exact):
                if len(fitting) == 1:
                    return fitting[0]
            if found:
                places = ", ".join(self.relative[path].as_posix() for path in found[:3])
                raise LookupError(f"the name fits {len(found)} files ({places}); give the path within the folder")
        raise LookupError("there is no such file")


def _walk(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in files:
            path = Path(parent, name)
            if name.startswith(".") or (path.is_symlink() and not path.resolve().is_relative_to(root)):
                continue
            yield path


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
