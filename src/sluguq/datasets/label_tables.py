"""Tables that other people wrote: read as text, whatever their encoding, separator and packing.

Nothing is guessed in silence that would give wrong labels: a column that stands twice, a row with more cells than
columns, a quote that swallows the rows behind it are refused with their place. The check before a run and the run
itself both read here, with the standard library alone; workbooks and parquet files go through pandas.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import difflib
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.nothing import said, trimmed
from sluguq.datasets.workbooks import PARQUET, WORKBOOKS, WorkbookError, kind_of_workbook, read_records
from sluguq.images.signatures import kind_of_file

SEPARATORS = (",", ";", "\t", "|")
"""What separates columns, from the commonest on."""

LARGEST_TABLE = 2**30
"""Most bytes that a table is unpacked to."""

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt", ".gz", ".bz2", ".xz", *WORKBOOKS, *PARQUET})
"""Endings of files that may be tables."""

_FORMULA = re.compile(r'="((?:[^"]|"")*)"')

_ROUNDED = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+?\d{2,}")

_MONTH = "(?:Jan|Feb|Mar|Mär|Mrz|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez)"
# Those that begin with the month are left alone: people call patients May-12.
_DATED = re.compile(rf"\d{{4}}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?|\d{{1,2}}[.-] ?{_MONTH}\.?")


class LabelTableError(AcquisitionError):
    """A table cannot be used; the message names it, the place, and what to do.

    :ivar key: the key of the configuration that is to be corrected.
    """

    def __init__(self, message: str, key: str = "table"):
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class LabelTable:
    """A table as text.

    :ivar path: the file.
    :ivar columns: names of the columns, without the blanks around them.
    :ivar rows: one dictionary a row, by column; cells that a short row lacks are empty.
    :ivar lines: the line of the file on which each row begins, from 1.
    :ivar refused: lines of rows that cannot be read, with the reason.
    :ivar separator: what separates the columns; empty where the file is no text.
    :ivar encoding: how the text is encoded; empty where the file is no text.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    lines: list[int]
    refused: list[tuple[int, str]] = field(default_factory=list)
    separator: str = ""
    encoding: str = ""

    def place(self, index: int) -> str:
        """Where a row stands, for messages."""
        return f"row {self.lines[index]} of {self.path.name}"

    def first_rows(self, key: str, column: str, acquired: Acquired) -> dict[str, dict[str, str]]:
        """The first row of each key; a later one that says something else in a column is listed as a loss."""
        first: dict[str, dict[str, str]] = {}
        for number, row in enumerate(self.rows):
            kept = first.setdefault(row[key].strip(), row)
            if said(kept[column]) != said(row[column]):
                acquired.lose(
                    f"{self.place(number)}: {column} is {row[column]!r} here, but {kept[column]!r} in an earlier row, "
                    "which was kept; correct one of them",
                    id=row[key].strip(),
                )
        return first


def read_labels(
    path: Path, *, columns: Iterable[str] = (), separator: str | None = None, encoding: str | None = None
) -> LabelTable:
    """Read a csv, tsv, workbook or parquet file, also packed with gzip, bzip2 or xz, as text.

    :param path: the file.
    :param columns: columns that it must have.
    :param separator: what separates the columns; None: found by the header.
    :param encoding: how the text is encoded; None: UTF-8 (with or without mark), UTF-16 or UTF-32 by their marks, else
        Windows' cp1252.
    :raises LabelTableError: where it is missing, is no table, lacks a column, or has it twice.
    """
    path = path.expanduser()
    if not path.is_file():
        what = "is a folder, not a table" if path.is_dir() else "is no file that can be read"
        raise LabelTableError(f"{path} {what}" if path.exists() else f"there is no table {path}{_beside(path)}")
    content = _unpacked(path)
    wanted = list(dict.fromkeys(columns))
    if _is_through_pandas(path, content):
        return _checked(_through_pandas(path, content, wanted), wanted)
    kind = kind_of_file(content[:1024])
    if kind:
        raise LabelTableError(f"{path} cannot be read as a csv: it is {kind}, not a table")
    text, found_encoding = _decoded(content, path, encoding)
    told, text = _told_separator(text)
    separator = _plain(separator) if separator else told or _found_separator(text, wanted)
    return _checked(_parsed(path, text, separator, found_encoding, wanted), wanted)


def rounded_by_spreadsheet(name: str) -> bool:
    """Whether a name is a number that a spreadsheet rounded to a few digits, such as 1.0006E+18."""
    return bool(_ROUNDED.fullmatch(name.strip()))


def dated_by_spreadsheet(name: str) -> bool:
    """Whether a name is a date, as spreadsheets make of names such as 1-2: 2-Jan, 02. Jan or 2024-01-02."""
    return bool(_DATED.fullmatch(name.strip()))


def tables_beside(folder: Path, most: int = 5) -> list[str]:
    """Names of the files in a folder that may be tables."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    except OSError:
        return []
    return names[:most] + (["..."] if len(names) > most else [])


def _beside(path: Path) -> str:
    names = tables_beside(path.parent)
    if names:
        return f"; {path.parent} has {', '.join(names)}"
    return "" if path.parent.is_dir() else "; nor is there such a folder"


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelTableError(f"{path} cannot be read: {error.strerror or error}") from error
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open)):
        if content.startswith(magic):
            try:
                with opener(path, "rb") as file:
                    content = file.read(LARGEST_TABLE + 1)
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise LabelTableError(f"{path} cannot be unpacked: {error}") from error
            break
    if len(content) > LARGEST_TABLE:
        raise LabelTableError(f"{path} holds more than {LARGEST_TABLE} bytes, too much for a table")
    return content


def _decoded(content: bytes, path: Path, encoding: str | None) -> tuple[str, str]:
    """The text, and how it was encoded."""
    if encoding:
        try:
            return content.decode(encoding).removeprefix("\ufeff"), encoding
        except LookupError:
            raise LabelTableError(
                f"{path}: there is no encoding {encoding!r}; for example utf-8, cp1252", "encoding"
            ) from None
        except UnicodeDecodeError as error:
            raise LabelTableError(
                f"{path} is not encoded as {encoding}: {error}; correct `encoding`", "encoding"
            ) from None
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        names: tuple[str, ...] = ("utf-32",)
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        names = ("utf-16",)
    elif content[1:2] == b"\0" and b"\0" in content[3:64:2]:
        names = ("utf-16-le",)
    elif content[:1] == b"\0" and content[2:3] == b"\0":
        names = ("utf-16-be",)
    else:
        names = ("utf-8-sig", "cp1252")
    for name in names:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if name == "cp1252" and (place := _broken_utf8(content)):
            raise LabelTableError(
                f"{path} is UTF-8 but for a byte in line {place}: correct it there, or set `encoding` to what it is",
                "encoding",
            )
        return text, name
    if len(names) == 1:
        raise LabelTableError(f"{path} cannot be read as a csv: its text is broken {names[0]}; save it as UTF-8")
    raise LabelTableError(
        f"{path} is encoded neither as UTF-8 nor as Windows' cp1252: set `encoding` (for example mac_roman, shift_jis, "
        "gb18030), or save it as UTF-8",
        "encoding",
    )


def _broken_utf8(content: bytes) -> int:
    """The first line that is no UTF-8 in a text that otherwise is, with several letters beyond ASCII; 0 where none."""
    good, broken = 0, []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError:
            broken.append(number)
    # Other encodings of Europe hardly ever have a line that is valid UTF-8 by chance.
    return broken[0] if good >= max(1, len(broken)) and broken else 0


def _told_separator(text: str) -> tuple[str, str]:
    """The separator of a first line such as ``sep=;``, as Excel writes it, and the text behind that line."""
    told = re.match(r'"?sep=(.)"?\r?\n', text, re.IGNORECASE)
    return (told[1], text[told.end() :]) if told else ("", text)


def _plain(separator: str) -> str:
    """A separator as it is meant: the two signs ``\\t`` of a YAML text in single quotes are a tab."""
    named = {"\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";"}
    plain = named.get(separator.lower(), separator)
    if len(plain) != 1:
        raise LabelTableError(f"separator {separator!r} is not one sign; for example ',' or ';' or '\\t'", "separator")
    return plain


def _found_separator(text: str, wanted: list[str]) -> str:
    """The separator that gives the columns asked for, else the one that gives most columns."""

    def worth(separator: str) -> tuple[int, int]:
        names = _header(text, separator)
        return len(set(wanted) & set(names)), len(names)

    return max(SEPARATORS, key=worth)


def _header(text: str, separator: str) -> list[str]:
    try:
        reader = csv.reader(io.StringIO(text[: 2**20], newline=""), delimiter=separator, skipinitialspace=True)
        return [trimmed(name) for name in next(reader)]
    except (StopIteration, csv.Error):
        return []


def _parsed(path: Path, text: str, separator: str, encoding: str, wanted: list[str]) -> LabelTable:
    # A cell may hold a whole report.
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        records = list(_records(path, text, separator))
    finally:
        csv.field_size_limit(limit)
    if not records:
        raise LabelTableError(f"{path} cannot be read as a csv: it is empty")
    columns = tuple(trimmed(_value(name)) for name in records[0][1])
    _check_header(path, columns, records, wanted)
    rows, lines, refused = [], [], []
    for line, cells in records[1:]:
        more = [cell for cell in cells[len(columns) :] if cell.strip()]
        if more:
            sign = {",": "comma", ";": "semicolon", "\t": "tab"}.get(separator, separator)
            refused.append(
                (line, f"the row has {len(cells)} cells for {len(columns)} columns: quote cells that hold a {sign}")
            )
            continue
        if other := _other_separator(cells, separator, len(columns)):
            refused.append((line, f"its cells are separated by {other!r}, those of the header by {separator!r}"))
            continue
        if swallowed := next((cell for cell in cells if _holds_rows(cell, separator, len(columns))), None):
            raise LabelTableError(
                f"{path} cannot be read as a csv: in the row of line {line} a quote opens a cell that goes on over the "
                f"next rows ({swallowed[:40]!r}); close it, or double it if it stands for inches"
            )
        if line == records[-1][0] and len(cells) < len(columns) and _is_cut(text, records):
            refused.append((line, "the file ends within the row: it is cut off, so get it again"))
            continue
        row = dict.fromkeys(reversed(columns), "")
        # Of two columns of one name the first one counts; where it is asked for, the table is refused.
        row.update(reversed([(name, _value(cell)) for name, cell in zip(columns, cells, strict=False)]))
        rows.append(row)
        lines.append(line)
    return LabelTable(path, columns, rows, lines, refused, separator, encoding)


def _check_header(
    path: Path, columns: tuple[str, ...], records: list[tuple[int, list[str]]], wanted: list[str]
) -> None:
    """Refuse a header that is none, that stands further down, or that lacks a name for which every row has a cell."""
    if any("\0" in name for name in columns):
        raise LabelTableError(f"{path} cannot be read as a csv: it is no text; save the table as csv (UTF-8)")
    _check_place_of_header(path, columns, records[1:], wanted)
    counts = {_filled(cells) for _, cells in records[1:]}
    if len(counts) == 1 and (count := counts.pop()) > len(columns) and set(wanted) <= set(columns):
        raise LabelTableError(
            f"{path} has {count} cells in every row, and {len(columns)} in its header: name the first column too "
            "(R leaves out that of the row names), remove what stands above the header, or quote cells that "
            "hold the separator"
        )


def _check_place_of_header(
    path: Path, columns: tuple[str, ...], records: Iterable[tuple[int, list[str]]], wanted: list[str]
) -> None:
    """Refuse a table of which another row than the first has the columns asked for."""
    if not wanted or set(wanted) <= set(columns):
        return
    for line, cells in records:
        if set(wanted) <= {trimmed(cell) for cell in cells}:
            raise LabelTableError(
                f"{path} has its header in row {line}, and {_listed(columns)} in the first: remove the rows above it",
                key="columns",
            )


def _filled(cells: list[str]) -> int:
    """Cells of a row up to the last that is not empty."""
    return max((place for place, cell in enumerate(cells, start=1) if cell.strip()), default=0)


def _is_cut(text: str, records: list[tuple[int, list[str]]]) -> bool:
    """Whether a table, whose last row is too short, ends in the middle of it: all others are whole, and end a line."""
    return not text.endswith(("\n", "\r")) and {len(cells) for _, cells in records[:-1]} == {len(records[0][1])}


def _value(cell: str) -> str:
    """What a cell means: programs write ``="007"`` so that a spreadsheet keeps the zeros."""
    formula = _FORMULA.fullmatch(cell.strip())
    return formula[1].replace('""', '"') if formula else cell


def _other_separator(cells: list[str], separator: str, columns: int) -> str:
    """What separates the cells of a row that has one only; empty where it may be whole."""
    if columns < 2 or len(cells) != 1:
        return ""
    others = (sign for sign in SEPARATORS if sign != separator)
    return next((sign for sign in others if cells[0].count(sign) == columns - 1), "")


def _records(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise LabelTableError(
                f"{path} cannot be read as a csv: line {line}: {error}. A quote there is opened and not closed, or "
                "stands within a cell: double it"
            ) from error
        if any(cell.strip() for cell in cells):
            yield line, cells


def _holds_rows(cell: str, separator: str, columns: int) -> bool:
    """Whether a cell of several lines has lines that look like whole rows."""
    inner = cell.splitlines()[1:-1] if columns > 1 else []
    return any(line.count(separator) == columns - 1 for line in inner)


def _checked(table: LabelTable, wanted: list[str]) -> LabelTable:
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise LabelTableError(
            f"{table.path} has no column {', '.join(map(repr, absent))}; it has {_listed(table.columns)}"
            f"{_likely(absent, table)}",
            key="columns",
        )
    twice = sorted({name for name in wanted if table.columns.count(name) > 1})
    if twice:
        raise LabelTableError(
            f"{table.path} has the column {twice[0]!r} {table.columns.count(twice[0])} times; rename all but one",
            key="columns",
        )
    return table


def _listed(columns: tuple[str, ...], most: int = 40) -> str:
    shown = [name[:60] for name in columns[:most]]
    return f"{shown}" + (f" and {len(columns) - most} more" if len(columns) > most else "")


def _likely(absent: list[str], table: LabelTable) -> str:
    """What may have been meant: another separator, or a name that is nearly the same."""
    for other in SEPARATORS:
        if len(table.columns) == 1 and other in table.columns[0] and other != table.separator:
            return f": its columns are separated by {other!r}, so set `separator` to that, or leave it out"
    folded = {name.casefold(): name for name in table.columns}
    for name in absent:
        close = difflib.get_close_matches(name.casefold(), folded, n=1)
        if close:
            return f"; did you mean {folded[close[0]]!r}?"
    return ""


def _is_through_pandas(path: Path, content: bytes) -> bool:
    if content.startswith((b"PAR1", b"\xd0\xcf\x11\xe0")) or path.suffix.lower() in WORKBOOKS | PARQUET:
        return True
    return content.startswith(b"PK\3\4") and (b"[Content_Types].xml" in content[:4096] or b"mimetype" in content[:64])


def _through_pandas(path: Path, content: bytes, wanted: list[str]) -> LabelTable:
    """A sheet of a workbook, or a parquet file."""
    kind = kind_of_workbook(path.suffix, content)
    try:
        records = read_records(content, kind, wanted)
    except ImportError as error:
        raise LabelTableError(
            f"{path} is {kind.words}: reading it needs the package {kind.package} ({error}). Install it, or "
            "save the table as csv (UTF-8)"
        ) from error
    except WorkbookError as error:
        raise LabelTableError(f"{path} {error}") from error
    except Exception as error:
        # Readers of broken workbooks fail in every way.
        raise LabelTableError(
            f"{path} cannot be read as {kind.words}: {error}; save the table as csv (UTF-8)"
        ) from error
    if not records:
        raise LabelTableError(f"{path} cannot be read as {kind.words}: it is empty")
    columns = tuple(trimmed(name) for name in records[0][1])
    _check_place_of_header(path, columns, records[1:], wanted)
    rows = [dict(reversed(list(zip(columns, cells, strict=True)))) for _, cells in records[1:]]
    return LabelTable(path, columns, rows, [line for line, _ in records[1:]])
