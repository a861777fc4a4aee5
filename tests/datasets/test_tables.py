"""Skin types, signs for nothing, and the workflow's own tables."""

from __future__ import annotations

import pandas as pd
import pytest

from sluguq.datasets.acquisition import write_tables
from sluguq.datasets.base import Acquired
from sluguq.datasets.nothing import is_nothing, said
from sluguq.datasets.skin_types import parse_fst
from sluguq.stores.files import DamagedFile
from sluguq.stores.tables import TableError, read_images, read_missing, read_numbers, read_split, write_table


@pytest.mark.parametrize(
    ("value", "fst"),
    [
        ("3", 3),
        (3, 3),
        ("3.0", 3),
        (" 6 ", 6),
        ("III", 3),
        ("vi", 6),
        ("FST4", 4),
        ("type 2", 2),
        ("Fitzpatrick skin type V", 5),
        ("skin_type-1", 1),
        ("", -1),
        ("-1", -1),
        ("-1.0", -1),
        ("NaN", -1),
        ("NONE_SELECTED", -1),
        *((sign, -1) for sign in ("#N/A", "NULL", "-", "unknown", "None", "n/a", "type: unknown")),
        *((minus, -1) for minus in ("type -1", "FST: -1", "fst_-1")),
        *(
            (three, 3)
            for three in ("FST type 3", "phototype III", "SPT III", "Ⅲ", "３", "3,0", "(3)", "F3", "type-iii")
        ),
        ("ii white skin", 2),
        ("Typ IV", 4),
        ("Phototyp IV", 4),
        ("\u200bIV\u00a0", 4),
        ("skin type (V)", 5),
    ],
)
def test_skin_types_are_read(value, fst):
    assert parse_fst(value) == fst


@pytest.mark.parametrize(
    "value", ["0", "7", "2.5", "dark", "12", "IIII", "inf", "1-2", "I-II", "iv or v", "i am unsure", "9", "type", "3 4"]
)
def test_what_is_no_skin_type_is_refused(value):
    with pytest.raises(ValueError, match="no Fitzpatrick skin type"):
        parse_fst(value)


@pytest.mark.parametrize(
    "value", ["2026-02-01", "2026-02-01 00:00:00", "01.02.2026", "3/4/2026", "1-Feb", "Feb-01", "1. März", "02.Jan"]
)
def test_a_date_is_called_what_a_spreadsheet_made_of_a_range(value):
    with pytest.raises(ValueError, match=r"dates of ranges such as 1-2; say under `fst_values`"):
        parse_fst(value, {})


@pytest.mark.parametrize("value", ["3.4", "seven", "i am unsure", "45293"])
def test_what_is_no_date_is_not_called_one(value):
    with pytest.raises(ValueError, match=r"\(1 to 6, or empty\)$"):
        parse_fst(value)


NOTHINGS = [
    "",
    " ",
    "NA",
    "n/a",
    "nan",
    "None",
    "unknown",
    "-1",
    "#N/A",
    "NULL",
    "-",
    -1,
    None,
    "–",
    "—",
    "??",
    "#REF!",
    "#VALUE!",
    "\ufeffNA",
    "\u200b",
]


@pytest.mark.parametrize("cell", NOTHINGS)
def test_what_says_nothing(cell):
    assert is_nothing(cell)
    assert said(cell) == ""


@pytest.mark.parametrize("cell", ["0", "1", "-2", "Nana", "none of these", "P-1", "x"])
def test_what_says_something(cell):
    assert not is_nothing(cell)
    assert said(f" {cell} ") == cell


def test_a_mapping_comes_first():
    assert parse_fst("dark", {"dark": 5}) == 5
    assert parse_fst("1", {"1": 6}) == 6
    assert parse_fst("34.0", {"34": 3}) == 3
    assert parse_fst("1.0", {"1.0": 2, "1": 6}) == 2


def test_tables_round_trip_and_a_repeated_id_is_lost(tmp_path):
    acquired = Acquired(
        images=[
            {"id": "007", "file": "a.jpg", "fst": 2, "label_x": "1"},
            {"id": "007", "file": "b.jpg", "fst": 5},
            {"id": "NA", "file": "c.jpg", "fst": -1, "patient": "p"},
        ]
    )
    write_tables(acquired, tmp_path)
    images, missing = read_images(tmp_path / "images.csv"), read_missing(tmp_path / "missing.csv")
    assert images[["id", "file", "fst", "patient", "label_x"]].to_numpy().tolist() == [
        ["007", "a.jpg", 2, "", "1"],
        ["NA", "c.jpg", -1, "p", ""],
    ]
    assert missing["file"].tolist() == ["b.jpg"]
    assert missing["fst"].tolist() == [5]
    assert "appears twice" in missing["reason"][0]


def test_only_a_sealed_table_has_a_checksum_and_an_edit_of_it_is_refused(tmp_path):
    split = pd.DataFrame({"id": ["001"], "role": ["train_A"]})
    write_table(tmp_path / "open.csv", split, sealed=False)
    assert [path.name for path in tmp_path.iterdir()] == ["open.csv"]
    write_table(tmp_path / "split.csv", split)
    pd.testing.assert_frame_equal(read_split(tmp_path / "split.csv"), split, check_dtype=False)
    for name in ("open.csv", "split.csv"):
        (tmp_path / name).write_text("id,role\n002,train_A\n")
    assert read_split(tmp_path / "open.csv")["id"].tolist() == ["002"]
    with pytest.raises(DamagedFile, match=r"split\.csv"):
        read_split(tmp_path / "split.csv")


def test_tables_of_results_are_numbers_but_for_named_columns(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("configuration,id,seed,loss\n1,001,0,0.5\n2,NA,1,nan\n3,nan,2,\n", encoding="utf-8")
    table = read_numbers(path, texts=("configuration", "id"))
    assert table["configuration"].tolist() == ["1", "2", "3"]
    assert table["id"].tolist() == ["001", "NA", "nan"]
    assert table["seed"].tolist() == [0, 1, 2]
    assert table["loss"].isna().tolist() == [False, True, True]
    path.write_text("", encoding="utf-8")
    with pytest.raises(TableError, match="cannot be read"):
        read_numbers(path)
