"""Whole files, or none: what is written appears under its name only when it is complete and on the disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sluguq.machine.disk import full_disk_told
from sluguq.machine.errors import SluguqError
from sluguq.machine.owner import owned


class DamagedFile(SluguqError, ValueError):
    """A file is not as it was written; the message names it and says what to do."""


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    :param path: the file.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], *, sealed: bool = False) -> Iterator[Path]:
    """A name to write to; the file appears under `path` only if the block ends without an error.

    What killed runs left of the same file is removed. The bytes are on the disk before the name is.

    :param path: the file.
    :param sealed: write a checksum beside it, for :func:`check_seal`.
    :raises Occupied: where another live process is writing the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with owned(path) as certain:
        if certain:
            remove_partials(path)
        try:
            with full_disk_told(path):
                yield partial
                synchronise(partial)
                if sealed:
                    with whole_file(_seal(path)) as seal:
                        seal.write_text(f"{file_sha256(partial)}  {path.name}\n", encoding="utf-8")
                partial.replace(path)
                synchronise(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def check_seal(path: str | os.PathLike[str]) -> None:
    """Refuse a file that has changed since it was written; one without a checksum beside it passes.

    :param path: the file.
    :raises DamagedFile: with the path and what to do.
    """
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        digest = _seal(path).read_text(encoding="utf-8", errors="replace").split(" ", 1)[0]
        if path.exists() and digest != file_sha256(path):
            raise DamagedFile(
                f"{path} is not as it was written (its checksum differs): delete it and run its rule again, or, where "
                f"you changed it on purpose, delete {_seal(path)}"
            )


def remove_partials(path: Path) -> None:
    """Remove what killed runs left of a result; only its owner may.

    :param path: of the result, whole or not.
    """
    for partial in path.parent.glob(f".{_literal(path.name)}.partial-*"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def synchronise(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, before going on.

    :param path: file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems do not know it of folders
            raise
    finally:
        os.close(descriptor)


def _seal(path: Path) -> Path:
    """Where the checksum of a file lies, as `sha256sum --check` reads it."""
    return path.with_name(f".{path.name}.sha256")


def _literal(name: str) -> str:
    """A name as a pattern that stands for itself."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
