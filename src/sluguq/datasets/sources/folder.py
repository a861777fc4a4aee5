"""A folder of images and a table: how a user brings data of their own.

Rows without a file, files without a row and skin types that are none are listed with the reason, and the rest
goes on.
"""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import FolderSource
from sluguq.datasets.archives import Limits, opened, passed_over, with_inner
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.files import FileIndex
from sluguq.datasets.label_tables import LabelTable, dated_by_spreadsheet, read_labels, rounded_by_spreadsheet
from sluguq.datasets.nothing import said
from sluguq.datasets.skin_types import UNLABELLED, parse_fst


def collect(options: FolderSource, raw_folder: Path) -> Acquired:
    """Read the table and match it with the files.

    :raises AcquisitionError: where the folder or table does not exist, or the table lacks a named column.
    """
    limits = Limits.of(options.unpacking)
    folders = with_inner(opened(options.folder, raw_folder, limits=limits), raw_folder, limits=limits)
    table = read_table(options, folders)
    index = FileIndex(*folders, roots=options.links, any_ending=True, not_unpacked=passed_over(folders))
    if table.encoding == "cp1252":
        print(f"{table.path} is no UTF-8, and was read as Windows' cp1252; set `encoding` if it is another one")
    if not index.files:
        raise AcquisitionError(f"{folders[0]} holds no image file{_reasons(index.passed_over)}")
    rows = _Rows(options, table, index)
    for number in range(len(table.rows)):
        rows.collect(number)
    rows.list_the_rest()
    return rows.acquired


def read_table(options: FolderSource, folders: list[Path]) -> LabelTable:
    """The table of a folder, which must have the columns that are named.

    :param folders: the folder, and those of the archives within it.
    :raises AcquisitionError: where there is no such table, or it lacks a column.
    """
    return read_labels(
        _table_path(options, folders),
        columns=named_columns(options),
        separator=options.separator,
        encoding=options.encoding,
    )


def named_columns(options: FolderSource) -> list[str]:
    """Columns that the options name."""
    columns = options.columns
    named = (columns.file, columns.fst, columns.id, columns.patient, columns.lesion, columns.mask)
    return [name for name in (*named, columns.artefact_mask, *columns.labels) if name]


def _table_path(options: FolderSource, folders: list[Path]) -> Path:
    # A relative path may also start where the run was started.
    for place in (*(folder / options.table for folder in folders), options.table.expanduser()):
        if place.is_file():
            return place
    return folders[0] / options.table


def _reasons(passed: dict[str, str]) -> str:
    return "".join(f"; {name}: {reason}" for name, reason in list(passed.items())[:3])


def _is_word(cell: str) -> bool:
    """Whether a cell says something that is no date."""
    return bool(said(cell)) and not dated_by_spreadsheet(cell)


class _Rows:
    """Rows of a table on their way to images and losses."""

    def __init__(self, options: FolderSource, table: LabelTable, index: FileIndex):
        self.acquired = Acquired()
        self._options, self._table, self._index = options, table, index
        self._used: set[Path] = {table.path.resolve()}
        self._first: dict[Path, tuple[int, str, str]] = {}
        names = options.columns
        self._names = [column for column in (names.id, names.patient, names.lesion) if column]
        # A column of dates alone is one of dates.
        self._of_words = {column for column in self._names if any(map(_is_word, (row[column] for row in table.rows)))}

    def collect(self, number: int) -> None:
        """Take one row, or list it with the reason."""
        row, columns, place = self._table.rows[number], self._options.columns, self._table.place(number)
        name = said(row[columns.file])
        identity = (said(row[columns.id]) if columns.id else "") or name
        # Looked for first: a file that a lost row names is no file without a row.
        path, mask, artefacts = self._file(name), self._mask(row, columns.mask), self._mask(row, columns.artefact_mask)
        try:
            fst = UNLABELLED
            if columns.fst:
                fst = parse_fst(row[columns.fst], self._options.fst_values, self._options.fst_levels)
        except ValueError as error:
            self.acquired.lose(f"{place}: {error}", id=identity, file=name)
            return
        if self._options.fst is not None and fst not in self._options.fst:
            return
        reason = self._fault(row, path, mask, artefacts) or self._contradiction(path, fst, place, identity)
        if reason:
            self.acquired.lose(f"{place}: {reason}", id=identity, file=name, fst=fst)
            return
        self.acquired.images.append(
            {
                "id": identity,
                "file": str(path),
                "fst": fst,
                "patient": said(row[columns.patient]) if columns.patient else "",
                "lesion": said(row[columns.lesion]) if columns.lesion else "",
                "mask": str(mask or ""),
                "artefact_mask": str(artefacts or ""),
                **{f"label_{label}": said(row[label]) for label in columns.labels},
            }
        )

    def list_the_rest(self) -> None:
        """List rows that could not be read, and files that no row names."""
        self.acquired.lose_unread_rows(self._table.path.name, self._table.refused)
        for path in self._index.files:
            if path.resolve() not in self._used:
                name = self._index.relative[path].as_posix()
                self.acquired.lose(f"the file has no row in {self._table.path.name}", id=name, file=str(path))
        for name, reason in self.acquired.explain_losses(self._index.passed_over).items():
            self.acquired.lose(f"no row in {self._table.path.name}, and {reason}", id=name, file=name)

    def _file(self, name: str) -> Path | LookupError:
        """The file a cell names, or why there is none."""
        try:
            path = Path(name)
            inside = path.is_absolute() and self._index.within(path) and path.is_file()
            found = path if inside else self._index.find(name)
        except LookupError as error:
            return error
        except (OSError, ValueError):
            return LookupError("there is no such file")
        self._used.add(found.resolve())
        return found

    def _mask(self, row: dict[str, str], column: str | None) -> Path | LookupError | None:
        """The file that a cell of masks names, why there is none, or None where it names nothing."""
        name = said(row[column]) if column else ""
        return self._file(name) if name else None

    def _fault(self, row: dict[str, str], path: Path | LookupError, *masks: Path | LookupError | None) -> str:
        for file, what in ((path, ""), *((mask, "mask: ") for mask in masks)):
            if isinstance(file, LookupError):
                return f"{what}{file}"
            if what and file == path:
                return f"{what}there is no such file but the photograph itself"
        for column in self._names:
            changed = ""
            if rounded_by_spreadsheet(row[column]):
                changed = "a number that a spreadsheet rounded"
            elif column in self._of_words and dated_by_spreadsheet(row[column]):
                changed = "a date, as a spreadsheet makes of names such as 1-2"
            if changed:
                return f"{row[column]!r} in column {column!r} is {changed}; export the table anew, with it as text"
        return ""

    def _contradiction(self, path: Path | LookupError, fst: int, place: str, identity: str) -> str:
        """Why a photograph that an earlier row named too is not taken again, under another name."""
        assert isinstance(path, Path)
        first, where, known = self._first.setdefault(path.resolve(), (fst, place, identity))
        if where == place:
            return ""
        if first != fst:
            return f"the photograph has FST {fst} here, but FST {first} in {where}, which was kept; correct one of them"
        # What has the same name is told with the other repeated names.
        return "" if known == identity else f"the photograph was taken already as {known!r}, from {where}"
