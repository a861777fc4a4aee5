"""Tables that are no text: sheets of workbooks, and parquet files, cell by cell as a person sees them.

A merged cell holds for every row that it covers, hidden sheets are passed over, and what a workbook cannot tell (a
formula that was never calculated, one of several sheets, the last digits of a long number) is refused or shown rounded.
"""

from __future__ import annotations

import datetime
import importlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sluguq.datasets.nothing import trimmed
from sluguq.machine.errors import SluguqError

WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
PARQUET = frozenset({".parquet", ".pq"})

Records = list[tuple[int, list[str]]]
"""Number and cells of the header and of every row that says something."""

_ROUNDED_FROM = 10**15
"""Workbooks keep fifteen digits of a number."""


_SHOWN = re.compile(r'((?:"[^"]*"|\\.)*)(0+)')
"""Formats of whole numbers that are shown with a word or zeros in front, such as those of patients."""


class WorkbookError(SluguqError, ValueError):
    """A workbook does not tell what is meant; the message says what to do."""


@dataclass(frozen=True)
class WorkbookKind:
    """What a file is, in words, and the package that reads it."""

    words: str
    package: str


_OF_PARQUET = WorkbookKind("a parquet file", "pyarrow")
_OF_EXCEL = WorkbookKind("an Excel workbook", "openpyxl")
_OF_OTHERS = WorkbookKind("a workbook of another kind, or one with a password", "python-calamine")


def kind_of_workbook(suffix: str, content: bytes) -> WorkbookKind:
    """What a file is, by its first bytes and its ending."""
    if content.startswith(b"PAR1") or suffix.lower() in PARQUET:
        return _OF_PARQUET
    is_other = content.startswith(b"\xd0\xcf\x11\xe0") or b"mimetype" in content[:64] or suffix.lower() == ".ods"
    return _OF_OTHERS if is_other else _OF_EXCEL


def read_records(content: bytes, kind: WorkbookKind, wanted: list[str]) -> Records:
    """The rows of a parquet file, or of the one sheet of a workbook that has the columns asked for.

    :param content: all bytes of the file.
    :param kind: what it is.
    :param wanted: columns asked for; none: the sheet of most cells is meant.
    :raises WorkbookError: where several sheets have them, a cell of them holds a formula that was never calculated, or
        they hold no values.
    :raises ImportError: where the package is not installed.
    """
    if kind is _OF_PARQUET:
        return _of_parquet(content, wanted)
    tables = {name: _saying(rows) for name, rows in _sheets(content, kind).items()}
    fitting = [name for name, records in tables.items() if records and set(wanted) <= {*map(trimmed, records[0][1])}]
    if wanted and len(fitting) > 1:
        raise WorkbookError(
            f"has the columns {', '.join(map(repr, wanted))} in {len(fitting)} sheets ({', '.join(fitting)}): keep one "
            "of them, or save the one that is meant as csv (UTF-8)"
        )
    if kind is _OF_EXCEL and wanted:
        _check_formulas(content, {name: tables[name] for name in fitting or tables}, wanted if fitting else None)
    if wanted and fitting:
        return tables[fitting[0]]
    # The largest: what stands before it says what it is about.
    return max(tables.values(), key=lambda records: sum(map(len, (row for _, row in records))), default=[])


def _of_parquet(content: bytes, wanted: list[str]) -> Records:
    import pandas as pd

    # By its name, as it is an extra that environments of jobs need not have.
    schema = importlib.import_module("pyarrow.parquet").read_schema(io.BytesIO(content))
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise WorkbookError(f"has the column {twice[0]!r} {schema.names.count(twice[0])} times: rename all but one")
    # Pictures within the table, say, are not read.
    flat = [field.name for field in schema if not field.type.num_fields]
    nested = next((field for field in schema if field.name in wanted and field.name not in flat), None)
    if nested is not None:
        way = "write the pictures to files" if "binary" in str(nested.type) else "give each value a column"
        raise WorkbookError(f"has no single values in the column {nested.name!r} ({str(nested.type)[:60]}): {way}")
    frame = pd.read_parquet(io.BytesIO(content), columns=flat, dtype_backend="numpy_nullable")
    # What was the index of the frame is a column like the others, where it has a name.
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return _saying([tuple(frame.columns), *frame.astype(object).itertuples(index=False, name=None)])


def _sheets(content: bytes, kind: WorkbookKind) -> dict[str, list[tuple[object, ...]]]:
    if kind is _OF_EXCEL:
        return _of_excel(content)
    import pandas as pd

    frames = pd.read_excel(io.BytesIO(content), sheet_name=None, dtype=object, header=None, keep_default_na=False)
    return {str(name): list(frame.itertuples(index=False, name=None)) for name, frame in frames.items()}


def _of_excel(content: bytes) -> dict[str, list[tuple[object, ...]]]:
    """Cells of the sheets that are shown; a merged cell holds for all that it covers."""
    # By its name, as it is an extra that environments of jobs need not have.
    openpyxl = importlib.import_module("openpyxl")
    book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    sheets = {}
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        rows = [[_as_shown(cell.value, cell.number_format) for cell in row] for row in sheet.iter_rows()]
        for merged in sheet.merged_cells.ranges:
            value = rows[merged.min_row - 1][merged.min_col - 1]
            for line in range(merged.min_row - 1, merged.max_row):
                rows[line][merged.min_col - 1 : merged.max_col] = [value] * (merged.max_col - merged.min_col + 1)
        sheets[sheet.title] = [tuple(row) for row in rows]
    return sheets


def _check_formulas(content: bytes, tables: dict[str, Records], wanted: list[str] | None) -> None:
    """Refuse formulas that were never calculated.

    :param tables: rows of the sheets that matter, by name.
    :param wanted: columns that matter; None: all.
    """
    book = importlib.import_module("openpyxl").load_workbook(io.BytesIO(content))
    for sheet, records in tables.items():
        known, header = dict(records), records[0][1] if records else []
        columns = [place for place, name in enumerate(header) if wanted is None or trimmed(name) in wanted]
        for row in book[sheet].iter_rows():
            for cell in row:
                place = cell.column - 1
                if cell.data_type != "f" or (wanted is not None and place not in columns):
                    continue
                if not known.get(cell.row, [""] * cell.column)[place]:
                    raise WorkbookError(
                        f"holds a formula in cell {cell.coordinate} of the sheet {sheet!r} that was never "
                        "calculated: open and save it in a spreadsheet, or save the table as csv (UTF-8)"
                    )


def _as_shown(value: object, number_format: str) -> object:
    """A cell's value; a whole number with what its format shows in front, or rounded where it is too long."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if abs(value) >= _ROUNDED_FROM:
        return f"{value:.14e}"
    shown = _SHOWN.fullmatch(number_format)
    if shown is None:
        return value
    word = re.sub(r'"([^"]*)"|\\(.)', lambda part: part[1] or part[2] or "", shown[1])
    return f"{word}{value:0{len(shown[2])}d}"


def _saying(rows: Iterable[Iterable[object]]) -> Records:
    """Number and text of the rows that say something."""
    cells = ([_cell(value) for value in row] for row in rows)
    return [(line, row) for line, row in enumerate(cells, start=1) if any(row)]


def _lacks(value: object) -> bool:
    return value is None or str(value) in ("<NA>", "NaT") or (isinstance(value, float) and value != value)


def _cell(value: object) -> str:
    """A cell as text; whole numbers without a point, as a person sees them."""
    if _lacks(value):
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
