"""Unpacking zip and tar files without trusting them.

No member leaves the folder, no link or device is made, sizes and compression ratios are bounded, and the
folder appears under its name only when all of it is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sluguq.datasets.base import AcquisitionError

_BLOCK = 2**20


class UnsafeArchiveError(AcquisitionError):
    """An archive holds what no honest archive of images holds."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what an archive may unpack to.

    :ivar total_bytes: size of all members together, unpacked.
    :ivar member_bytes: size of one member, unpacked.
    :ivar members: number of members.
    :ivar ratio: unpacked over packed size of the whole; pictures hardly compress, bombs do a thousandfold.
    """

    total_bytes: int = 200 * 2**30
    member_bytes: int = 2 * 2**30
    members: int = 1_000_000
    ratio: float = 100.0


def opened(path: Path, raw_folder: Path, *, limits: Limits | None = None) -> Path:
    """A folder as it is; a zip or tar file unpacked once under ``raw_folder/unpacked/``.

    Where all of an archive lies in one folder, that folder is meant.

    :raises AcquisitionError: where there is nothing at ``path``, or it is neither folder nor archive.
    :raises UnsafeArchiveError: where the archive must not be unpacked.
    """
    path = path.expanduser().resolve()
    if path.is_dir():
        return path
    if not path.is_file():
        raise AcquisitionError(f"there is no folder or archive {path}; correct the key `folder` of this data set")
    # Name, size and time say whether it was unpacked before; the whole archive may be too large to hash.
    state = path.stat()
    mark = hashlib.sha256(f"{path}|{state.st_size}|{state.st_mtime_ns}".encode()).hexdigest()[:12]
    target = raw_folder / "unpacked" / f"{path.stem}-{mark}"
    if not target.is_dir():
        unpack(path, target, limits=limits)
    entries = [entry for entry in target.iterdir() if entry.name != "__MACOSX" and not entry.name.startswith(".")]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else target


def unpack(archive: Path, target: Path, *, limits: Limits | None = None) -> None:
    """Unpack a zip or tar file into a folder that must not exist yet, all of it or nothing.

    :raises AcquisitionError: where the file is no archive, or a broken one.
    :raises UnsafeArchiveError: where a member would leave the folder, is a link or a device, or a bound is exceeded.
    """
    limits = limits or Limits()
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            members = _zip_members(archive)
        elif tarfile.is_tarfile(archive):
            members = _tar_members(archive)
        else:
            raise AcquisitionError(f"{archive} is neither a zip nor a tar file")
        _write_members(members, archive, partial, limits)
        partial.rename(target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, AcquisitionError):
            raise
        raise AcquisitionError(f"{archive} cannot be unpacked ({error}); delete it and get it again") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_members(members: Iterator[tuple[str, IO[bytes]]], archive: Path, target: Path, limits: Limits) -> None:
    largest_total = min(limits.total_bytes, int(limits.ratio * max(archive.stat().st_size, 2**20)))
    total = 0
    for count, (name, stream) in enumerate(members, start=1):
        if count > limits.members:
            raise UnsafeArchiveError(f"{archive} holds more than {limits.members} members")
        path = target / safe_member(name, archive)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        # Sizes are counted as they come: what an archive says about itself may be a lie.
        with stream, path.open("xb") as out:
            while block := stream.read(_BLOCK):
                written += len(block)
                total += len(block)
                if written > limits.member_bytes or total > largest_total:
                    raise UnsafeArchiveError(
                        f"{archive} was not unpacked: {name!r} takes it over {largest_total} bytes in all or "
                        f"{limits.member_bytes} bytes a member, as a decompression bomb does"
                    )
                out.write(block)


def safe_member(name: str, archive: Path) -> PurePosixPath:
    """The relative path of a member.

    :raises UnsafeArchiveError: where the path is absolute, climbs with ``..``, or holds a drive or a null byte.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or (path.parts and path.parts[0].endswith(":")):
        raise UnsafeArchiveError(f"{archive} was not unpacked: its member {name!r} would leave the folder")
    return path


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened_zip:
        for info in opened_zip.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise UnsafeArchiveError(f"{archive} was not unpacked: {info.filename!r} is a link or a device")
            yield info.filename, opened_zip.open(info)


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive) as opened_tar:
        for info in opened_tar:
            if info.isdir():
                continue
            stream = opened_tar.extractfile(info) if info.isreg() else None
            if stream is None:
                raise UnsafeArchiveError(f"{archive} was not unpacked: {info.name!r} is a link or a device")
            yield info.name, stream
