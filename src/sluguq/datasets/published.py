"""What the adapters of published data sets share: licence, downloads, local copies."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from sluguq.config.sources import PublishedSource
from sluguq.datasets.archives import Limits, opened, passed_over, unpack, with_inner
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.download import Downloader, DownloadError, Request
from sluguq.datasets.files import LEADS_OUT, FileIndex
from sluguq.datasets.registry import Entry, RegisteredFile, Registry, load_registry


class Published:
    """One published data set on its way into a raw folder."""

    def __init__(self, name: str, options: PublishedSource, raw_folder: Path, registry: Registry | None = None):
        self.name = name
        self.raw = raw_folder
        self.entry: Entry = (registry or load_registry())[name]
        self._options = options
        self._registry = registry
        self._shown = False
        self._passed_over: dict[str, str] = {}

    def beside(self, name: str) -> Published:
        """Another registered data set that this one is made from, under the same options."""
        return Published(name, self._options, self.raw, self._registry)

    def by_request(self, folder: Path | None, table: str) -> tuple[list[Path], Path]:
        """The folders and the table of a data set that no program can download.

        :param folder: where the user has put it, or None.
        :param table: name of the table.
        :raises AcquisitionError: where there is no folder, saying how to obtain one, or no such table in it.
        """
        if folder is None:
            raise AcquisitionError(
                f"{self.entry.title} cannot be downloaded by a program.\n"
                f"  {self.entry.obtain}\n"
                f"  Licence: {self.entry.licence.name} ({self.entry.licence.url})\n"
                f"  Then set the key `folder` of this data set to the folder or zip."
            )
        folders = self.local(folder)
        path = find_table(folders, table)
        if path is None:
            raise AcquisitionError(f"{folder} holds no {table}. {self.entry.obtain}")
        return folders, path

    def local(self, folder: Path) -> list[Path]:
        """The user's folder, or archive unpacked, and what the zip files in it hold, each as a folder.

        :raises AcquisitionError: where there is no such folder or archive.
        """
        limits = Limits.of(self._options.unpacking)
        return with_inner(opened(folder, self.raw, limits=limits), self.raw, limits=limits)

    def index(self, *folders: Path) -> FileIndex:
        """The pictures in some folders; links lead only where the options allow."""
        index = FileIndex(*folders, roots=self._options.links, not_unpacked=passed_over(folders))
        self._passed_over |= index.passed_over
        return index

    def explain_losses(self, acquired: Acquired, *, all_are_wanted: bool = False) -> None:
        """Say with every loss why its file was passed over, such as a link or a broken member of an archive.

        :param acquired: what was collected from the indices.
        :param all_are_wanted: list the other files that were passed over too, as no table says which are wanted.
        """
        rest = acquired.explain_losses(self._passed_over)
        for name, reason in rest.items():
            # Behind a folder that is not followed there may be all that the tables name.
            if not (all_are_wanted or reason.startswith(LEADS_OUT)):
                continue
            acquired.lose(reason, id=PurePosixPath(name).stem, file=name)

    def file(self, key: str) -> Path:
        """A registered file, downloaded once.

        :raises AcquisitionError: where the licence is not accepted.
        :raises DownloadError: where the file cannot be had.
        """
        registered = self.entry.files[key]
        target = self.raw / registered.name
        if not target.is_file():
            self._show_licence()
            with Downloader(self._options.downloads) as downloader:
                try:
                    downloader.fetch(
                        Request(
                            registered.url,
                            target,
                            md5=registered.md5,
                            sha256=registered.sha256,
                            archive=target.suffix.lower() in (".zip", ".tar", ".tgz", ".gz"),
                            table=target.suffix.lower() in (".csv", ".tsv"),
                        )
                    )
                except DownloadError as error:
                    raise DownloadError(
                        f"{registered.url} could not be downloaded: {error}. Run again to go on where it stopped, or "
                        f"put the file at {target}, or set the key `folder`. {self.entry.obtain}"
                    ) from error
        return target

    def unpacked(self, key: str) -> list[Path]:
        """A registered archive, downloaded and unpacked once, and what the zip files in it hold."""
        registered = self.entry.files[key]
        target = self.raw / Path(registered.name).stem
        limits = Limits.of(self._options.unpacking)
        if not target.is_dir():
            unpack(self.file(key), target, limits=limits)
        return with_inner(target, self.raw, limits=limits)

    def pictures(self, wanted: Sequence[Request]) -> dict[Path, DownloadError]:
        """Download many pictures; the reason for each that could not be had.

        :raises AcquisitionError: where the licence is not accepted.
        """
        if any(not request.target.is_file() for request in wanted):
            self._show_licence()
        with Downloader(self._options.downloads) as downloader:
            return downloader.fetch_all(wanted, title=self.name)

    def registered(self, key: str) -> RegisteredFile:
        """The registry's words on a file."""
        return self.entry.files[key]

    def _show_licence(self) -> None:
        """Show the licence before the first download; refuse where it must be accepted and is not.

        :raises AcquisitionError: with the licence and the key to set.
        """
        if self._shown:
            return
        licence = self.entry.licence
        kind = "no commercial use" if licence.non_commercial else "open"
        notice = (
            f"{self.entry.title}: licence {licence.name} ({kind}), {licence.url}\n  Cite: {self.entry.citation.strip()}"
        )
        if licence.to_be_accepted and not self._options.accept_licence:
            raise AcquisitionError(
                f"{notice}\n  Nothing was downloaded. Read the licence; if you accept it, set accept_licence: true for "
                "this data set in the configuration."
            )
        print(notice, file=sys.stderr)
        self._shown = True


def by_stem(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by their name without the ending."""
    paths: dict[str, list[Path]] = {}
    for path in files:
        paths.setdefault(path.stem, []).append(path)
    return paths


def the_one(files: Mapping[str, list[Path]], stem: str) -> Path:
    """The one file of a name without its ending.

    :raises LookupError: where there is none, or several; the message is a reason for missing.csv.
    """
    paths = files.get(stem, [])
    if not paths:
        raise LookupError("there is no such file")
    if len(paths) > 1:
        names = ", ".join("/".join(path.parts[-2:]) for path in paths[:3])
        raise LookupError(f"{len(paths)} files are called so ({names}): remove all but the photograph")
    return paths[0]


def photographs(index: FileIndex) -> list[Path]:
    """The pictures of a folder but those that are called masks, or lie among them: they often have the same names."""
    return [path for path, relative in index.relative.items() if "mask" not in relative.as_posix().lower()]


def list_without_row(acquired: Acquired, index: FileIndex, table: str, names: Iterable[str]) -> None:
    """List the pictures of a folder that no row of the table names; masks beside them pass.

    :param acquired: what was collected.
    :param index: the pictures.
    :param table: name of the table.
    :param names: of the photographs, as all its rows have them, those that are not wanted too.
    """
    known = {PurePosixPath(name.strip().replace("\\", "/")).stem.casefold() for name in names}
    for path in photographs(index):
        if path.stem.casefold() not in known:
            acquired.lose(f"the file has no row in {table}", id=index.relative[path].as_posix(), file=str(path))


def find_table(folders: Sequence[Path], *names: str) -> Path | None:
    """The first of the named tables that one of the folders holds, at any depth."""
    for name in names:
        for folder in folders:
            paths = sorted(folder.rglob(name))
            if paths:
                return paths[0]
    return None
