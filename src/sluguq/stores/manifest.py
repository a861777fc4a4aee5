"""Checksums of a store's files, written with it and looked at whenever it is read.

Zarr takes a chunk that is not there for fill values, and most of what it reads carries no checksum: a lost file or a
flipped bit would be computed with. The manifest is a hidden file in the store with size and CRC-32C of every other
file. Each file is looked at once, when something of it is first read.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c
from zarr.storage import LocalStore

from sluguq.machine.errors import SluguqError
from sluguq.stores.files import synchronise

MANIFEST = ".manifest.json"
MENTION = "checksums"
"""Attribute of a store that says it has a manifest, so that a lost one is noticed."""

_BLOCK = 2**20  # of a file, twice in memory for each of the files that are looked at side by side
_AT_ONCE = 32
_MISSING = "is missing"

Files = Mapping[str, tuple[int, int]]


class StoreError(SluguqError, RuntimeError):
    """A store cannot be read or written as asked; the message names its path."""


def write_manifest(folder: Path, known: Files = {}) -> None:  # noqa: B006
    """Have all files of a finished store on the disk, and write down their sizes and checksums.

    :param folder: the store.
    :param known: entries of files that another store's manifest has; they are not read again.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    fresh = {name: path for name, path in paths.items() if name not in known}
    # Side by side: the disk commits what waits together at once.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        entries = pool.map(_synchronised, fresh.values())
        files = {**known, **dict(zip(fresh, entries, strict=True))}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"crc32c": files}, sort_keys=True), encoding="utf-8")
    synchronise(manifest)


def _synchronised(path: Path) -> tuple[int, int]:
    synchronise(path)
    return path.stat().st_size, _checksum(path)


def read_manifest(folder: Path) -> dict[str, tuple[int, int]] | None:
    """Sizes and checksums by file name; None where there is none, as in stores of earlier versions.

    :param folder: of the store.
    :raises StoreError: where it cannot be read.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: (int(size), int(checksum)) for name, (size, checksum) in content["crc32c"].items()}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, MANIFEST, f"cannot be read: {error}") from None


def check_files(folder: Path, files: Files) -> None:
    """Look at every file of a store.

    :param folder: of the store.
    :param files: from :func:`read_manifest`.
    :raises StoreError: for the first that is missing or changed.
    """
    for name in files:
        check_file(folder, name, files)


def check_file(folder: Path, name: str, files: Files) -> None:
    """Look at one file of a store.

    :param folder: of the store.
    :param name: of the file, relative to the folder.
    :param files: from :func:`read_manifest`.
    :raises StoreError: where it is missing or changed.
    """
    path = folder / name
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise damaged(folder, name, _MISSING) from None
    _compare(folder, name, files, size, lambda: _checksum(path))


def _compare(folder: Path, name: str, files: Files, found: int, checksum_of: Callable[[], int]) -> None:
    size, checksum = files[name]
    if found != size:
        raise damaged(folder, name, f"has {found} bytes, {size} were written")
    if checksum_of() != checksum:
        raise damaged(folder, name, "is not as it was written (its checksum differs)")


def damaged(folder: Path, name: str, reason: str) -> StoreError:
    """The error of a damaged store.

    :param folder: of the store.
    :param name: of the file.
    :param reason: what is wrong with it, after its name.
    """
    return StoreError(f"{folder} is damaged: {name} {reason}; delete {folder} and run again, its rule makes it anew")


class CheckedStore(LocalStore):
    """A store in a folder whose files are looked at before they are first read."""

    def __init__(self, root: Path | str, *, files: Files, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self._files = files
        self._checked: set[str] = set()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        if key not in self._files or key in self._checked:
            return await super().get(key, prototype, byte_range)
        if byte_range is not None:
            await asyncio.to_thread(self._check, key)
            return await super().get(key, prototype, byte_range)
        # A file that is read whole is not read twice.
        content = await super().get(key, prototype)
        if content is None:
            raise damaged(Path(self.root), key, _MISSING)
        await asyncio.to_thread(self._check_content, key, content)
        return content

    def _check(self, key: str) -> None:
        with self._locks[key]:
            if key not in self._checked:
                check_file(Path(self.root), key, self._files)
                self._checked.add(key)

    def _check_content(self, key: str, content: Any) -> None:
        _compare(Path(self.root), key, self._files, len(content), lambda: google_crc32c.value(content.to_bytes()))
        self._checked.add(key)

    def with_read_only(self, read_only: bool = False) -> CheckedStore:
        return CheckedStore(self.root, files=self._files, read_only=read_only)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_locks": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = {**state, "_locks": defaultdict(threading.Lock)}


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = google_crc32c.extend(checksum, block)
    return int(checksum)
