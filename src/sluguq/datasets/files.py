"""Files of a data set, found by the names that tables use for them.

Links are followed only within the folder and within roots that the user states. What is passed over is remembered with
the reason, so that it can be listed.
"""

from __future__ import annotations

import functools
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

LEADS_OUT = "a link that leads out of the folder"
"""With this begins why such a link is not followed."""

_PICTURES = "jpg jpeg jpe jfif jfi png apng webp tif tiff bmp dib gif avif jp2 j2k jpc jpx jpf ppm pgm pbm pnm mpo"
_SPECIAL = "heic heif hif jxl dcm dicom cr2 cr3 nef arw dng raf orf rw2 pef srw jpg_original"
IMAGE_SUFFIXES = frozenset(f".{ending}" for ending in f"{_PICTURES} {_SPECIAL}".split())
"""Endings of files that are taken for pictures, whether or not they can be decoded."""

_OTHERS = (
    "csv tsv tab txt md rst json jsonl yaml yml xml html htm pdf doc docx xls xlsx xlsm ods parquet pq db ini log py r "
    "ipynb zip tar gz bz2 xz tgz 7z rar mat npy npz h5 hdf5 pkl sh bib cff toml lnk url part validator"
)
_NO_PICTURES = frozenset(f".{ending}" for ending in _OTHERS.split())

_CLOSED = (".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip.001")
"""Archives that are not opened where they lie in a folder, or within another archive."""

Folders = Sequence[Path]

_BARE = 6
"""Place among the spellings from which on bare names are compared."""


def printable(name: str | os.PathLike[str]) -> str:
    """A file's name as text that can be written anywhere: what is no UTF-8 in it is shown as ``\\xe4``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class FileIndex:
    """Finds the files of one or several folders by the names that tables use for them.

    A table may give the path relative to the folder, the bare name, or the name without its suffix or with another one
    (`.png` for what is now `.jpg`). A name that is exactly that of a file means that file; else names are compared in
    Unicode's composed form, and then without regard to case. Hidden files are not seen.

    :param folders: the folders.
    :param roots: folders outside into which links may lead.
    :param suffixes: endings of the files that are seen.
    :param any_ending: see files of all endings but those of tables and documents.
    :param not_unpacked: reasons by name of what an archive holds and could not be unpacked.
    :ivar relative: path below its folder of every picture, by its ending or (``any_ending``) whatever it ends in.
    :ivar passed_over: reasons by the printable name of links that lead nowhere or out of the folder, of files whose
        name is no UTF-8, of pipes and devices, of archives that are not opened, and of what was not unpacked.
    """

    def __init__(
        self,
        *folders: Path,
        roots: Folders = (),
        suffixes: Iterable[str] = IMAGE_SUFFIXES,
        any_ending: bool = False,
        not_unpacked: Mapping[str, str] | None = None,
    ):
        allowed = frozenset(suffixes)
        self._folders = folders
        self._roots = tuple(root.expanduser().resolve() for root in roots)
        self.passed_over: dict[str, str] = dict(not_unpacked or {})
        self.relative: dict[Path, Path] = {}
        for folder in folders:
            for path in sorted(self._walk(folder)):
                suffix = path.suffix.lower()
                if suffix in allowed or (any_ending and suffix not in _NO_PICTURES):
                    self.relative[path] = path.relative_to(folder)
        # From the most to the least telling: as _spellings has them.
        self._found: tuple[dict[str, list[Path]], ...] = tuple(defaultdict(list) for _ in range(_BARE + 2))
        for path, relative in self.relative.items():
            bare = relative.with_suffix("").as_posix()
            for place, name in enumerate(_spellings(relative.as_posix(), bare)):
                self._found[place][PurePosixPath(name).name if place >= _BARE else name].append(path)

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
        plain = name.strip().replace("\\", "/").removeprefix("./")
        suffix = PurePosixPath(plain).suffix.lower()
        bare = plain[: -len(suffix)] if suffix in IMAGE_SUFFIXES else plain
        for found_by, name in zip(self._found, _spellings(plain, bare), strict=True):
            matches = found_by.get(name, [])
            exact = [path for path in matches if path.suffix.lower() == suffix]
            # What phones and programs put beside a picture has its name, and an ending of its own.
            pictures = [path for path in matches if path.suffix.lower() in IMAGE_SUFFIXES]
            for fitting in (matches, exact, pictures):
                if len(fitting) == 1:
                    return fitting[0]
            if matches:
                places = ", ".join(self.relative[path].as_posix() for path in matches[:3])
                raise LookupError(f"the name fits {len(matches)} files ({places}); give the path within the folder")
        return self._at(plain)

    def _at(self, wanted: str) -> Path:
        """The file at a path within a folder that no index lists, such as one without a known ending."""
        if reason := self._reason_of(wanted):
            raise LookupError(reason)
        if PurePosixPath(wanted).is_absolute() or ".." in PurePosixPath(wanted).parts:
            raise LookupError(f"the path does not lie within the folder{self._hint(wanted)}")
        hidden = any(part.startswith(".") for part in PurePosixPath(wanted).parts)
        for folder in self._folders:
            path = folder / wanted
            # Unlike Path.is_file, this holds a name that is too long for no file.
            if not hidden and path.suffix.lower() not in _NO_PICTURES and os.path.isfile(path):  # noqa: PTH113
                if not self._is_allowed(path, folder.resolve()):
                    raise LookupError(_leading_out(path))
                return path
        if hidden and any(os.path.isfile(folder / wanted) for folder in self._folders):  # noqa: PTH113
            raise LookupError("a hidden file, as its name or its folder's begins with a point: rename it")
        raise LookupError(f"there is no such file{self._hint(wanted)}")

    def _reason_of(self, wanted: str) -> str:
        """Why what a name means was passed over; by its path, its name, or its name without the ending."""
        return self.passed_over.get(wanted) or self._reasons.get(_folded(PurePosixPath(wanted).name), "")

    @functools.cached_property
    def _reasons(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        for name, reason in self.passed_over.items():
            path = PurePosixPath(name.replace("\\", "/"))
            reasons |= {_folded(path.stem): reason, _folded(path.name): reason}
        return reasons

    def _hint(self, wanted: str) -> str:
        """Where a path of another machine ends in a name that the folder has: that name."""
        matches = self._found[_BARE].get(_folded(PurePosixPath(wanted).name), []) if "/" in wanted else []
        if len(matches) != 1:
            return ""
        return f", but the folder has {self.relative[matches[0]].as_posix()}: give the path within the folder"

    def within(self, path: Path) -> bool:
        """Whether a file lies, links followed, in one of the folders or stated roots."""
        return any(self._is_allowed(path, folder.resolve()) for folder in self._folders)

    def _is_allowed(self, path: Path, folder: Path) -> bool:
        try:
            target = path.resolve()
        except (OSError, RuntimeError):
            return False
        return any(target.is_relative_to(root) for root in (folder, *self._roots))

    def _walk(self, folder: Path) -> Iterator[Path]:
        root = folder.resolve()
        folders_seen = {root}
        pending = [folder]
        while pending:
            parent = pending.pop()
            try:
                entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
            except OSError as error:
                self._pass_over(parent, folder, f"the folder cannot be read ({error.strerror})")
                continue
            for entry in entries:
                path = parent / entry.name
                if entry.name.startswith((".", "__MACOSX")) or entry.name.lower() in ("thumbs.db", "desktop.ini"):
                    continue
                if not _is_text(entry.name):
                    self._pass_over(path, folder, "the name is no UTF-8, the encoding of names here: rename it")
                    continue
                if entry.is_symlink() and (reason := self._fault_of_link(path, root)):
                    self._pass_over(path, folder, reason)
                    continue
                if not entry.is_dir():
                    if not entry.is_file():
                        self._pass_over(path, folder, "a pipe or a device, not a file")
                    elif entry.name.lower().endswith(_CLOSED):
                        self._pass_over(path, folder, "an archive that is not opened here: unpack it into the folder")
                    else:
                        yield path
                    continue
                target = path.resolve()
                # A link to a folder that is seen anyway, or to one above it, which would lead round in circles.
                if target not in folders_seen and not (entry.is_symlink() and target.is_relative_to(root)):
                    folders_seen.add(target)
                    pending.append(path)

    def _fault_of_link(self, path: Path, root: Path) -> str | None:
        """Why a link is not followed; None where it is."""
        try:
            path.resolve(strict=True)
        except FileNotFoundError:
            return f"a link to nothing ({printable(path.readlink())})"
        except (OSError, RuntimeError):
            return "a link that leads in a circle"
        return None if self._is_allowed(path, root) else _leading_out(path)

    def _pass_over(self, path: Path, folder: Path, reason: str) -> None:
        self.passed_over[printable(path.relative_to(folder).as_posix())] = reason


def _leading_out(path: Path) -> str:
    target = printable(path.resolve().parent)
    return f"{LEADS_OUT}, to {target}: name that folder under `links` to follow it"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spellings(path: str, bare: str) -> tuple[str, ...]:
    """A path and the same without its suffix: as written, in Unicode's composed form, without regard to case.

    Last, those that a bare name is compared with: two files of one name in two folders are never told by their case.
    """
    exact = (path, unicodedata.normalize("NFC", path), _folded(path))
    return (*exact, bare, unicodedata.normalize("NFC", bare), _folded(bare), _folded(path), _folded(bare))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
