"""Tables as spreadsheets, R, phones and hospitals write them."""

from __future__ import annotations

import bz2
import csv
import datetime
import gzip
import io
import lzma
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.datasets.label_tables import LabelTableError, dated_by_spreadsheet, read_labels, rounded_by_spreadsheet

ROWS = [{"file": "ü.jpg", "fst": "1", "site": "Rücken"}, {"file": "b.jpg", "fst": "5", "site": ""}]


def text_of(separator: str = ",") -> str:
    return "".join(f"{separator.join(cells)}\n" for cells in (ROWS[0].keys(), *(row.values() for row in ROWS)))


def written(tmp_path, content: bytes | str, name: str = "labels.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_encoding_and_separator(tmp_path, encoding, separator):
    path = written(tmp_path, text_of(separator).encode(encoding))
    assert read_labels(path, columns=("file", "fst")).rows == ROWS


def test_windows_signs_are_those_of_cp1252(tmp_path):
    path = written(tmp_path, "file,fst\nJohn’s – mole.jpg,1\n".encode("cp1252"))
    assert read_labels(path).rows[0]["file"] == "John’s – mole.jpg"


def test_encodings_that_cannot_be_found_are_told(tmp_path):
    path = written(tmp_path, "file,fst\n皮肤.jpg,1\n".encode("gb18030"))
    assert read_labels(path, encoding="gb18030").rows[0]["file"] == "皮肤.jpg"
    with pytest.raises(LabelTableError, match="no encoding 'gb'"):
        read_labels(path, encoding="gb")
    with pytest.raises(LabelTableError, match="not encoded as utf-8"):
        read_labels(path, encoding="utf-8")


def test_text_that_cannot_be_windows_is_told(tmp_path):
    """Macs and Japanese programs write bytes that cp1252 has no sign for; read as Latin-1 they were nonsense."""
    for name, encoding in (("thèse.jpg", "mac_roman"), ("写真.jpg", "shift_jis")):
        path = written(tmp_path, f"file,fst\n{name},1\n".encode(encoding))
        with pytest.raises(LabelTableError, match="neither as UTF-8 nor as Windows' cp1252: set `encoding`") as error:
            read_labels(path)
        assert error.value.key == "encoding"
        assert cells(path, "file", encoding=encoding) == [(name,)]
    assert cells(written(tmp_path, text_of().encode("utf-32")), "file") == [("ü.jpg",), ("b.jpg",)]
    with pytest.raises(LabelTableError, match="it is no text"):
        read_labels(written(tmp_path, bytes(range(1, 9)) + b"\0\0\1\n"))


def test_blanks_and_signs_without_width_around_cells(tmp_path):
    path = written(tmp_path, '\u200bfile, "fst\u00a0"\n"a, b.jpg", "1"\n')
    assert cells(path, "file", "fst") == [("a, b.jpg", "1")]


def test_a_header_that_lacks_the_name_of_the_first_column(tmp_path):
    path = written(tmp_path, '"file","fst"\n"1","a.jpg",3\n"2","b.jpg",4\n')
    with pytest.raises(LabelTableError, match=r"3 cells in every row, and 2 in its header.*name the first column"):
        read_labels(path, columns=("file", "fst"))


def test_a_row_with_another_separator_is_refused(tmp_path):
    table = read_labels(written(tmp_path, "file,fst\na.jpg,1\nb.jpg;2\nc;d.jpg,3\nalone.jpg\n"))
    assert [row["file"] for row in table.rows] == ["a.jpg", "c;d.jpg", "alone.jpg"]
    assert table.refused == [(3, "its cells are separated by ';', those of the header by ','")]


@pytest.mark.parametrize("told", ["\t", "\\t", "tab"])
def test_a_tab_however_it_is_told(tmp_path, told):
    assert read_labels(written(tmp_path, text_of("\t")), separator=told).rows == ROWS


def test_a_first_line_that_tells_the_separator(tmp_path):
    assert read_labels(written(tmp_path, "sep=;\r\nfile;fst\r\na,b.jpg;1\r\n")).rows == [
        {"file": "a,b.jpg", "fst": "1"}
    ]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_tables(tmp_path, pack):
    assert read_labels(written(tmp_path, pack(text_of().encode()), "labels.csv.packed")).rows == ROWS


def test_a_packed_table_that_is_cut(tmp_path):
    with pytest.raises(LabelTableError, match="cannot be unpacked"):
        read_labels(written(tmp_path, gzip.compress(text_of().encode() * 1000)[:-40], "labels.csv.gz"))


def test_blanks_around_names_of_columns_and_blank_lines(tmp_path):
    table = read_labels(written(tmp_path, " file , fst \n\n,\na.jpg,1\n\nb.jpg,2\n"), columns=("file", "fst"))
    assert [row["file"] for row in table.rows] == ["a.jpg", "b.jpg"]
    # Places are lines of the file, so that a person finds them.
    assert [table.place(n) for n in range(2)] == ["row 4 of labels.csv", "row 6 of labels.csv"]


def test_empty_cells_at_the_end_shift_nothing(tmp_path):
    table = read_labels(written(tmp_path, "file,thumb,fst,grade\np0.jpg,t0.jpg,1,4,\np1.jpg,t1.jpg,2\n"))
    assert table.rows == [
        {"file": "p0.jpg", "thumb": "t0.jpg", "fst": "1", "grade": "4"},
        {"file": "p1.jpg", "thumb": "t1.jpg", "fst": "2", "grade": ""},
    ]


def test_a_row_with_more_cells_than_columns_is_refused_alone(tmp_path):
    table = read_labels(written(tmp_path, "file,fst\na.jpg,1\nb, the second.jpg,2\nc.jpg,3\n"))
    assert [row["file"] for row in table.rows] == ["a.jpg", "c.jpg"]
    assert table.refused == [(3, "the row has 3 cells for 2 columns: quote cells that hold a comma")]


@pytest.mark.parametrize(
    "content",
    [
        'file,note\na.jpg,"5 in\nb.jpg,x\nc.jpg,"y"\n',
        'file,note\na.jpg,"5 in\nb.jpg,6 in\n',
        'file,note\na.jpg,"5 in\nb.jpg,x\nc.jpg,6 in"\n',
    ],
)
def test_a_quote_that_swallows_rows_is_told(tmp_path, content):
    with pytest.raises(LabelTableError, match="line 2"):
        read_labels(written(tmp_path, content))


def test_honest_quotes(tmp_path):
    table = read_labels(written(tmp_path, 'file,note\na.jpg,"two\nlines, ""quoted"""\nb.jpg,5" wide\n'))
    assert [row["note"] for row in table.rows] == ['two\nlines, "quoted"', '5" wide']


def test_a_long_cell_and_a_null_byte(tmp_path):
    long = "x" * 400_000
    limit = csv.field_size_limit()
    assert read_labels(written(tmp_path, f"file,note\na.jpg,{long}\n")).rows[0]["note"] == long
    assert csv.field_size_limit() == limit
    assert len(read_labels(written(tmp_path, "file,note\na.jpg,\0\n")).rows) == 1


def test_a_column_that_stands_twice_is_refused_where_it_is_asked_for(tmp_path):
    path = written(tmp_path, "file,fst,fst,note,note\na.jpg,1,2,x,y\n")
    assert read_labels(path, columns=("file",)).rows[0]["note"] == "x"
    with pytest.raises(LabelTableError, match="has the column 'fst' 2 times"):
        read_labels(path, columns=("file", "fst"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ("<!DOCTYPE html><html>", "it is an HTML page, not a table"),
        ("version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        ("a;b\n1;2\n", r"has no column 'file'; it has \['a', 'b'\]"),
        ("File,fst\na,1\n", r"has no column 'file'; it has \['File', 'fst'\]; did you mean 'File'\?"),
    ],
)
def test_what_is_no_table_of_images(tmp_path, content, message):
    with pytest.raises(LabelTableError, match=message):
        read_labels(written(tmp_path, content), columns=("file",))


def test_a_wrong_separator_is_told_with_the_right_one(tmp_path):
    with pytest.raises(LabelTableError, match="separated by ';'") as caught:
        read_labels(written(tmp_path, text_of(";")), columns=("file", "fst"), separator=",")
    assert caught.value.key == "columns"


def test_a_missing_table_names_those_that_are_there(tmp_path):
    written(tmp_path, text_of(), "liste.csv")
    with pytest.raises(LabelTableError, match=r"no table .*labels\.csv; .* has liste\.csv"):
        read_labels(tmp_path / "labels.csv")


def test_workbooks_and_parquet_files(tmp_path):
    pytest.importorskip("openpyxl")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "fst": [1, None], "patient": ["007", "NA"]})
    frame.to_excel(tmp_path / "labels.xlsx", index=False)
    frame.to_parquet(tmp_path / "labels.parquet")
    expected = [{"file": "a.jpg", "fst": "1", "patient": "007"}, {"file": "b.jpg", "fst": "", "patient": "NA"}]
    for name in ("labels.xlsx", "labels.parquet"):
        assert read_labels(tmp_path / name, columns=("file", "fst")).rows == expected


def test_a_workbook_that_cannot_be_read_says_what_to_do(tmp_path, monkeypatch):
    path = written(tmp_path, b"PK\3\4" + bytes(range(256)), "labels.xlsx")
    with pytest.raises(LabelTableError, match=r"Excel workbook.*save the table as csv"):
        read_labels(path)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(LabelTableError, match="needs the package openpyxl"):
        read_labels(path)


def workbook(tmp_path, *sheets: list[tuple], change=lambda book: None):
    """A workbook of these sheets, changed before it is saved."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(list(row))
    change(book)
    book.save(tmp_path / "labels.xlsx")
    return tmp_path / "labels.xlsx"


def cells(path, *columns: str, **keys: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in columns) for row in read_labels(path, columns=columns, **keys).rows]


PATIENTS = [("patient", "file", "fst"), ("A", "a.jpg", 1), (None, "b.jpg", 2), ("B", "c.jpg", 5)]


def test_a_merged_cell_holds_for_all_its_rows(tmp_path):
    path = workbook(tmp_path, PATIENTS, change=lambda book: book.worksheets[0].merge_cells("A2:A3"))
    assert cells(path, "patient", "file") == [("A", "a.jpg"), ("A", "b.jpg"), ("B", "c.jpg")]


def test_the_sheet_with_the_columns_is_read(tmp_path):
    about = [("Photographs of 2024",), ("by the clinic",)]
    assert len(cells(workbook(tmp_path, about, PATIENTS), "file", "fst")) == 3
    assert len(read_labels(workbook(tmp_path, about, PATIENTS)).rows) == 3
    with pytest.raises(LabelTableError, match=r"in 2 sheets \(sheet 0, sheet 1\): keep one"):
        cells(workbook(tmp_path, PATIENTS, PATIENTS[:2]), "file", "fst")


def test_a_hidden_sheet_is_not_meant(tmp_path):
    def hide(book):
        book.worksheets[0].sheet_state = "hidden"
        book.active = 1

    path = workbook(tmp_path, [("file", "fst"), ("a.jpg", 6)], [("file", "fst"), ("a.jpg", 1)], change=hide)
    assert cells(path, "file", "fst") == [("a.jpg", "1")]


def test_cells_of_a_workbook_are_read_as_they_are_shown(tmp_path):
    def dress(book):
        shown_as = [(7, "000"), (12, "General"), (8, '"P"000'), (9, "\\P0"), (1234567890123456789, "0")]
        for row, (value, shown) in enumerate(shown_as, start=2):
            book.worksheets[0].cell(row, 1, value).number_format = shown

    path = workbook(tmp_path, [("patient",)], change=dress)
    *short, (long,) = cells(path, "patient")
    assert short == [("007",), ("12",), ("P008",), ("P9",)]
    assert rounded_by_spreadsheet(long)


def test_a_formula_that_was_never_calculated_is_no_empty_cell(tmp_path):
    path = workbook(tmp_path, [("file", "fst"), ("a.jpg", "=1+2")])
    with pytest.raises(LabelTableError, match=r"formula in cell B2 of the sheet 'sheet 0'.*save it"):
        cells(path, "file", "fst")
    all_by_formula = workbook(tmp_path, [("file", "fst"), ("a.jpg", 1), ("=A2", "=B2")])
    with pytest.raises(LabelTableError, match="formula in cell A3"):
        cells(all_by_formula, "file", "fst")
    with pytest.raises(LabelTableError, match="formula in cell B1"):
        cells(workbook(tmp_path, [("file", "=A1"), ("a.jpg", 1)]), "file", "fst")


def test_formulas_that_nobody_asks_for_stop_nothing(tmp_path):
    path = workbook(tmp_path, [("file", "fst", "age"), ("a.jpg", 1, "=B2+1")], [("sums",), ("=1+1",)])
    assert cells(path, "file", "fst") == [("a.jpg", "1")]


def test_dates_are_shown_without_the_hour_that_nobody_wrote(tmp_path):
    path = workbook(tmp_path, [("file", "seen"), ("a.jpg", datetime.datetime(2024, 1, 2))])
    assert cells(path, "seen") == [("2024-01-02",)]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("patient", [{"id": "a"}, None], "no single values in the column 'patient'.*give each value a column"),
        ("fst", [[1], [5, 6]], "no single values in the column 'fst'"),
        ("file", [{"bytes": b"\x89PNG", "path": "a.jpg"}] * 2, "write the pictures to files"),
    ],
)
def test_nested_columns_of_parquet_are_refused_where_they_are_asked_for(tmp_path, column, values, reason):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"file": ["a.jpg", "b.jpg"], "fst": [1, 5], "patient": ["p", "q"], column: values, "more": [[1], [2]]}
    parquet.write_table(arrow.table(columns), tmp_path / "labels.parquet")
    with pytest.raises(LabelTableError, match=reason):
        cells(tmp_path / "labels.parquet", "file", "fst", "patient")
    rest = [name for name in ("file", "fst", "patient") if name != column]
    assert len(cells(tmp_path / "labels.parquet", *rest)) == 2


def test_a_column_twice_in_parquet_is_refused(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    arrays = [arrow.array(values) for values in (["a.jpg"], [1], [6])]
    parquet.write_table(arrow.Table.from_arrays(arrays, ["file", "fst", "fst"]), tmp_path / "labels.parquet")
    with pytest.raises(LabelTableError, match="the column 'fst' 2 times: rename"):
        cells(tmp_path / "labels.parquet", "file", "fst")


@pytest.mark.parametrize("name", ["2024-01-02", "2-Jan", "02. Mrz", "2024-01-02 00:00:00"])
def test_names_that_a_spreadsheet_made_dates(name):
    assert dated_by_spreadsheet(name)


@pytest.mark.parametrize("name", ["1-2", "12-ABC", "P-2024", "Jan-1", "may-12", "2024-1", "003"])
def test_names_that_are_no_dates(name):
    assert not dated_by_spreadsheet(name)


def test_a_table_that_begins_further_down(tmp_path):
    rows = [(None, None), ("Photographs of 2024", None), ("file", "fst"), ("a.jpg", 1)]
    with pytest.raises(LabelTableError, match=r"its header in row 3.*remove the rows above"):
        cells(workbook(tmp_path, rows), "file", "fst")
    assert cells(workbook(tmp_path, [rows[0], *rows[2:]]), "file", "fst") == [("a.jpg", "1")]
    with pytest.raises(LabelTableError, match=r"its header in row 2.*remove the rows above"):
        cells(written(tmp_path, "Photographs of 2024\nfile,fst\na.jpg,1\n"), "file", "fst")


def test_what_was_the_index_of_a_frame_is_a_column(tmp_path):
    pytest.importorskip("pyarrow")
    index = pd.Index([b"a.jpg", b"b.jpg"], name="file")
    frame = pd.DataFrame({"fst": pd.Categorical(["III", None])}, index=index)
    frame.to_parquet(tmp_path / "labels.parquet")
    assert cells(tmp_path / "labels.parquet", "file", "fst") == [("a.jpg", "III"), ("b.jpg", "")]


@pytest.mark.parametrize("name", ["-1.00060035414850E+18", "1,0006E+18", "9e15"])
def test_numbers_that_a_spreadsheet_rounded(name):
    assert rounded_by_spreadsheet(name)


@pytest.mark.parametrize("name", ["1e5", "E12", "12", "1.5", "2E-10", "ISIC_0000001"])
def test_names_that_only_look_so(name):
    assert not rounded_by_spreadsheet(name)


# What a csv cannot hold: lone carriage returns are ends of lines, and surrogates are no text.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.sampled_from([",", ";", "\t"]))
def test_whatever_python_writes_is_read_back(tmp_path_factory, rows, separator):
    path = tmp_path_factory.mktemp("t") / "labels.csv"
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("file", "fst"), *rows])
    path.write_bytes(out.getvalue().encode())
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    try:
        table = read_labels(path, columns=("file", "fst"), separator=separator)
    except LabelTableError as error:
        # Cells of several lines that look like rows may be refused, never misread.
        assert "a quote opens a cell" in str(error)  # noqa: PT017
        return
    assert [(row["file"], row["fst"]) for row in table.rows] == kept


def test_cells_that_keep_their_zeros_from_a_spreadsheet(tmp_path):
    path = written(tmp_path, 'file,patient\na.jpg,="007"\nb.jpg,"=""0""""8"""\n')
    assert cells(path, "patient") == [("007",), ('0"8',)]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_table_that_ends_within_a_row_is_told(tmp_path, end):
    table = read_labels(written(tmp_path, f"file,site,fst\na.jpg,arm,1\nb.jpg,leg{end}"))
    assert len(table.rows) == (2 if end else 1)
    assert [line for line, _ in table.refused] == ([] if end else [3])
    # Where other rows are short too, such are meant.
    assert len(read_labels(written(tmp_path, "file,site,fst\na.jpg,arm\nb.jpg,leg")).rows) == 2


def test_a_broken_byte_does_not_change_all_letters(tmp_path):
    path = written(tmp_path, "file,site\nHände.jpg,Rücken\nb.jpg,".encode() + b"\xff\n")
    with pytest.raises(LabelTableError, match="UTF-8 but for a byte in line 3") as error:
        read_labels(path)
    assert error.value.key == "encoding"
