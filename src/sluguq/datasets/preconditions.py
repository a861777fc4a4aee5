"""What a data set needs and has not, told by key before any job starts; nothing is downloaded or unpacked for it."""

from __future__ import annotations

import difflib
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from sluguq.config.sources import FolderSource, PublishedSource, Source, registry_name
from sluguq.datasets.archives import no_archive
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.files import printable
from sluguq.datasets.label_tables import LabelTable, LabelTableError
from sluguq.datasets.registry import Entry, load_registry
from sluguq.datasets.sources.folder import read_table

_FILES = {
    "table": "label table",
    "split_table": "table of the split",
    "keep": "list of images to keep",
    "images": "list of images",
    "artefacts": "table of artefact labels",
    "masks": "folder or archive of lesion masks",
}


def unmet(options: Source) -> dict[str, str]:
    """Folders, tables, columns and files that a data set names and that are not there, by key, with what is instead."""
    if isinstance(options, FolderSource):
        return dict(_unmet_by_folder(options))
    if isinstance(options, PublishedSource):
        return dict(_unmet_by_published(options))
    return {}


def table_of_folder(options: FolderSource) -> LabelTable | None:
    """The table of a folder; None where it lies in an archive that is not unpacked yet.

    :raises AcquisitionError: where there is no such table, or it lacks a column.
    """
    folder = options.folder.expanduser()
    try:
        return read_table(options, [folder])
    except LabelTableError as error:
        is_packed = folder.is_file() or any(path.suffix.lower() == ".zip" for path in folder.glob("*"))
        there = options.table.expanduser().is_file() or (folder / options.table).is_file()
        if is_packed and not there and error.key == "table":
            return None
        raise


def _unmet_by_folder(options: FolderSource) -> Iterator[tuple[str, str]]:
    yield from _links(options.links)
    missing = _missing_folder(options.folder)
    if missing:
        yield "folder", missing
        return
    try:
        table_of_folder(options)
    except LabelTableError as error:
        yield error.key, str(error)
    except AcquisitionError as error:
        yield "table", str(error)


def _unmet_by_published(options: PublishedSource) -> Iterator[tuple[str, str]]:
    yield from _links(options.links)
    for key, what in _FILES.items():
        path = getattr(options, key, None)
        if isinstance(path, Path) and not path.expanduser().exists():
            yield key, f"there is no {what} {path}{_instead(path)}"
    if options.folder is not None:
        missing = _missing_folder(options.folder)
        if missing:
            yield "folder", missing


def consents_wanted(options: Source, raw_folder: Path) -> dict[str, str]:
    """What must be agreed to or asked for before a data set can be acquired, by key; empty where nothing is lacking.

    :param options: options of the data set.
    :param raw_folder: folder of its originals; what was acquired into it before needs no consent again.
    """
    if not isinstance(options, PublishedSource) or options.folder is not None:
        return {}
    name = registry_name(options)
    assert name is not None
    entry = load_registry()[name]
    if _has_any(entry, raw_folder):
        return {}
    if entry.licence.by_request:
        obtain = " ".join(entry.obtain.split())
        return {"folder": f"{entry.title} is given by request, and not here. {obtain} Then set `folder` to where it is"}
    if entry.licence.to_be_accepted and not options.accept_licence:
        return {
            "accept_licence": f"read the licence of {entry.title} ({entry.licence.name}, {entry.licence.url}); if you "
            "accept it, set this to true, or set `folder` to your copy of the data set"
        }
    return {}


def _has_any(entry: Entry, raw_folder: Path) -> bool:
    """Whether some of a data set was acquired, or put there by hand, before."""
    names = ["images.csv", *(file.name for file in entry.files.values() if file.name)]
    return any((raw_folder / name).exists() for name in names)


def _links(roots: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for root in roots:
        if not root.expanduser().is_dir():
            yield "links", f"there is no folder {root}{_instead(root)}"


def _missing_folder(folder: Path) -> str:
    path = folder.expanduser()
    if path.is_dir():
        return ""
    if not path.exists():
        return f"there is no folder or archive {folder}{_instead(path)}"
    try:
        if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
            return ""
        return f"{folder} is {no_archive(path)}"
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror or error}"


def _instead(path: Path) -> str:
    """What is there instead of a missing path: the deepest folder that is, with names like the one asked for."""
    path = path.expanduser().absolute()
    parent, child = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, child = parent.parent, parent.name
    try:
        names = sorted(printable(entry.name) for entry in parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        return ""
    close = difflib.get_close_matches(child, names, n=3, cutoff=0.5)
    examples = close or names[:5]
    if not examples:
        return f"; {printable(parent)} is empty"
    return f"; {printable(parent)} has {', '.join(examples)}{' ...' if len(names) > len(examples) else ''}"


def lines(unmet_by_dataset: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One line for everything that data sets need and have not: the key's path and what was found instead."""
    return [f"datasets.{name}.{key}: {what}" for name, needs in unmet_by_dataset.items() for key, what in needs.items()]
