"""Unpacking zip and tar files without trusting them.

No member leaves the folder, no link or device is made, sizes and compression ratios are bounded, and the folder
appears under its name only when all of it is there. A member that is merely peculiar (encrypted, packed in a way that
Python does not read, broken, a name that is too long) never stops the rest: it is remembered with the reason.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sluguq.config.sources import Unpacking
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.member_names import name_of_member
from sluguq.images.signatures import kind_of_file
from sluguq.machine.disk import tell_full_disk
from sluguq.stores.files import file_sha256

_BLOCK = 2**20
_DEEPEST = 3
_LONGEST_NAME = 255
_PASSED_OVER = "passed_over.json"

_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 97: "WavPack", 98: "PPMd", 99: "AES"}


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

    @classmethod
    def of(cls, options: Unpacking) -> Limits:
        """The bounds that a data set's options set."""
        return cls(total_bytes=int(options.gigabytes * 2**30), ratio=options.ratio)


@dataclass(frozen=True)
class _Member:
    """One member of an archive.

    :ivar name: its path within the archive.
    :ivar open: gives its content.
    :ivar link: the path within the archive that it is a link to; empty for a file.
    :ivar fault: why it cannot be unpacked; empty where it can.
    """

    name: str
    open: Callable[[], IO[bytes]] | None = None
    link: str = ""
    fault: str = ""


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
    target = raw_folder / "unpacked" / _name_of(path)
    if not target.is_dir():
        unpack(path, target, limits=limits)
    entries = [entry for entry in target.iterdir() if entry.name != "__MACOSX" and not entry.name.startswith(".")]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else target


def with_inner(folder: Path, raw_folder: Path, *, limits: Limits | None = None) -> list[Path]:
    """The folder, and a folder for each zip file inside it; nothing is written into a user's folder.

    A zip file that cannot be opened is remembered with the reason, and the rest goes on.

    :raises UnsafeArchiveError: where one must not be unpacked.
    """
    folders = [folder]
    below = raw_folder / "unpacked" / f"{folder.name}-inner"
    pending = [(folder, below, 1)]
    while pending:
        parent, inner, depth = pending.pop()
        for archive in sorted(path for path in parent.rglob("*") if path.suffix.lower() == ".zip"):
            if not archive.is_file() or archive.name.startswith(".") or "__MACOSX" in archive.parts:
                continue
            target = inner / archive.relative_to(parent).with_name(_name_of(archive))
            if not target.is_dir():
                _unpack_if_possible(archive, target, limits, too_deep=depth > _DEEPEST)
            folders.append(target)
            pending.append((target, target.with_name(f"{target.name}-inner"), depth + 1))
    return folders


def _name_of(archive: Path) -> str:
    """The name of the folder that an archive is unpacked into: another one where the archive has changed.

    Its path, size and time say so; the whole archive may be too large to hash.
    """
    state = archive.stat()
    mark = hashlib.sha256(os.fsencode(f"{archive}|{state.st_size}|{state.st_mtime_ns}")).hexdigest()[:12]
    return f"{archive.stem}-{mark}"


def _unpack_if_possible(archive: Path, target: Path, limits: Limits | None, *, too_deep: bool) -> None:
    try:
        if too_deep:
            raise AcquisitionError(f"a zip file in {_DEEPEST} others, which is not opened: unpack it into the folder")
        unpack(archive, target, limits=limits)
    except UnsafeArchiveError:
        raise
    except AcquisitionError as error:
        target.mkdir(parents=True)
        _remember(target, {archive.name: str(error)})


def passed_over(folders: Iterable[Path]) -> dict[str, str]:
    """Reasons by name of what the archives that were unpacked into some folders hold besides.

    :param folders: as :func:`with_inner` gives them.
    """
    reasons: dict[str, str] = {}
    for folder in folders:
        # Where all of an archive lies in one folder, that folder is meant, and the note lies beside its parent.
        for target in (folder, folder.parent):
            note = _note_of(target)
            if note.is_file():
                reasons |= json.loads(note.read_text(encoding="utf-8"))
    return reasons


def _note_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.{_PASSED_OVER}")


def _remember(target: Path, reasons: dict[str, str]) -> None:
    note = _note_of(target)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(reasons, ensure_ascii=True, indent=1), encoding="utf-8")


def unpack(archive: Path, target: Path, *, limits: Limits | None = None) -> None:
    """Unpack a zip or tar file into a folder that must not exist yet, all that can be had of it or nothing.

    Links to members are unpacked as the files that they mean. Of two members of one name the last one counts, as for
    other programs.

    :raises AcquisitionError: where the file is no archive, or nothing of it can be unpacked.
    :raises UnsafeArchiveError: where a member would leave the folder, or a bound is exceeded.
    """
    limits = limits or Limits()
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            faults = _write_members(_zip_members(archive), archive, partial, limits)
        elif tarfile.is_tarfile(archive):
            faults = _write_members(_tar_members(archive), archive, partial, limits)
        else:
            raise AcquisitionError(f"{archive} is {no_archive(archive)}")
        if faults:
            if not any(path.is_file() for path in partial.rglob("*")):
                name, reason = next(iter(faults.items()))
                raise AcquisitionError(f"{archive} cannot be unpacked: {name!r}: {reason}")
            _remember(target, faults)
        partial.rename(target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise AcquisitionError(f"{archive} cannot be unpacked ({error}); delete it and get it again") from error
    except OSError as error:
        tell_full_disk(error, target)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def no_archive(file: Path) -> str:
    """What a file is that is neither a zip nor a tar file, and what to do."""
    with file.open("rb") as opened_file:
        kind = kind_of_file(opened_file.read(1024))
    if kind in ("a RAR file", "a 7-Zip file"):
        return f"{kind}, which is not opened here: unpack it, and give the folder"
    if kind == "a zip file":
        return "a zip file that is cut off, as the list at its end is lacking: get it again"
    told = f"{kind}, and " if kind else ""
    return f"{told}neither a zip nor a tar file: give the folder of the images, or a zip or tar file of it"


def safe_member(name: str, archive: Path) -> PurePosixPath:
    """The relative path of a member.

    :raises UnsafeArchiveError: where the path is absolute, climbs with ``..``, or holds a drive or a null byte.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or (path.parts and path.parts[0].endswith(":")):
        raise UnsafeArchiveError(
            f"{archive} was not unpacked: its member {name!r} would leave the folder. If you trust it, unpack it "
            "yourself, and give the folder"
        )
    return path


class _Writer:
    """Writes members below a folder, and counts their bytes against the bounds."""

    def __init__(self, archive: Path, target: Path, limits: Limits):
        self.archive, self.target, self.limits = archive, target, limits
        self._most = min(limits.total_bytes, int(limits.ratio * max(archive.stat().st_size, 2**20)))
        self._total = 0
        self.twice: list[str] = []

    def write(self, member: _Member) -> str:
        """Write one member; why it could not be written, or nothing."""
        path = self.target / safe_member(member.name, self.archive)
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.relative_to(self.target).parts):
            return f"its name is longer than {_LONGEST_NAME} bytes: rename it in the archive"
        assert member.open is not None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = _content(path)
            with member.open() as stream, path.open("wb") as out:
                self._copy(stream, out, member.name)
            if before and before != _content(path):
                self.twice.append(member.name)
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            return "a file and a folder of one name"
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return "its path is too long for this machine: shorten it in the archive"
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            path.unlink(missing_ok=True)
            if isinstance(error, AcquisitionError):
                raise
            return f"broken ({error}); delete the archive and get it again"
        return ""

    def _copy(self, stream: IO[bytes], out: IO[bytes], name: str) -> None:
        written = 0
        # Sizes are counted as they come: what an archive says about itself may be a lie.
        while block := stream.read(_BLOCK):
            written += len(block)
            self._total += len(block)
            if written > self.limits.member_bytes or self._total > self._most:
                raise UnsafeArchiveError(
                    f"{self.archive} was not unpacked: {name!r} takes it over {self._most} bytes in all or "
                    f"{self.limits.member_bytes} bytes a member, as a decompression bomb does; if it is honest, raise "
                    "`unpacking.ratio` of this data set"
                )
            out.write(block)

    def link(self, member: _Member) -> str:
        """Give the file that a link means the link's name too; why it could not be done, or nothing."""
        aim = posixpath.normpath(member.link.replace("\\", "/"))
        if posixpath.isabs(aim) or aim.split("/")[0] == "..":
            return f"a link or a device: it leads out of the archive, to {member.link}"
        source, path = self.target / aim, self.target / safe_member(member.name, self.archive)
        if not source.is_file():
            return f"a link to {aim}, which is no file of the archive"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.link(source, path)
        return ""


def _write_members(members: Iterator[_Member], archive: Path, target: Path, limits: Limits) -> dict[str, str]:
    """Write all members; reasons by name of those that could not be written."""
    writer = _Writer(archive, target, limits)
    faults: dict[str, str] = {}
    links = []
    for count, member in enumerate(members, start=1):
        if count > limits.members:
            raise UnsafeArchiveError(f"{archive} holds more than {limits.members} members")
        safe_member(member.name, archive)
        if member.link:
            links.append(member)
            continue
        reason = member.fault or writer.write(member)
        if reason:
            faults[member.name] = reason
    # Links of links come last, each where what it means is there by then.
    for _ in range(len(links)):
        waiting = [(member, writer.link(member)) for member in links]
        if len([member for member, reason in waiting if reason]) == len(links):
            break
        links = [member for member, reason in waiting if reason]
    faults |= {member.name: writer.link(member) for member in links}
    if writer.twice:
        names = ", ".join(map(repr, writer.twice[:3])) + (" ..." if len(writer.twice) > 3 else "")
        print(f"{archive} has {len(writer.twice)} members twice, with other content ({names}): the last one counts")
    return faults


def _content(path: Path) -> str:
    """SHA-256 of a file that was unpacked before; empty where there is none."""
    return file_sha256(path) if path.is_file() else ""


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened_zip:
        infos = [(name_of_member(info), info) for info in opened_zip.infolist()]
        parents = {str(parent) for name, _ in infos for parent in PurePosixPath(name.replace("\\", "/")).parents}
        for name, info in infos:
            is_folder = name.endswith(("/", "\\")) or (info.file_size == 0 and name.replace("\\", "/") in parents)
            if not is_folder:
                yield _zip_member(opened_zip, name, info)


def _zip_member(opened_zip: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1 or info.compress_type == 99:
        return _Member(name, fault="it is encrypted: unpack the archive with its password, and give the folder")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        return _Member(
            name, fault=f"it is packed with {method}, which is not read here: unpack it with 7-Zip, and give the folder"
        )
    if kind == stat.S_IFLNK:
        try:
            aim = opened_zip.read(info)[:4096].decode("utf-8", "surrogateescape") if info.file_size < 4096 else ""
        except (zipfile.BadZipFile, zlib.error):
            aim = ""
        if not aim:
            return _Member(name, fault="a link or a device: it leads nowhere")
        return _Member(name, link=aim if aim.startswith("/") else posixpath.join(posixpath.dirname(name), aim))
    if kind not in (0, stat.S_IFREG):
        return _Member(name, fault="a link or a device, not a file")
    return _Member(name, lambda: opened_zip.open(info))


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as opened_tar:
        for info in opened_tar:
            if info.isdir():
                continue
            if info.islnk():
                yield _Member(info.name, link=info.linkname)
            elif info.issym():
                aim = info.linkname
                yield _Member(
                    info.name, link=aim if aim.startswith("/") else posixpath.join(posixpath.dirname(info.name), aim)
                )
            elif info.isreg():
                yield _Member(info.name, functools.partial(_stream, opened_tar, info))
            else:
                yield _Member(info.name, fault="a link or a device, not a file")


def _stream(opened_tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = opened_tar.extractfile(info)
    assert stream is not None
    return stream
