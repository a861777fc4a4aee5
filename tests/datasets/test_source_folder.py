"""A user's own folder, with everything that real folders hold."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.base import AcquisitionError
from sluguq.stores.tables import read_images, read_missing
from tests.datasets.misbehaving import picture


def options(**keys: object):
    return TypeAdapter(Source).validate_python({"source": "folder", **keys})


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "mine"
    for number, name in enumerate(["a.jpg", "sub/b.jpg", "c.jpg", "d.jpg", "unlisted.jpg", "masks/a.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number))
    (root / "labels.csv").write_text(
        "picture,skin,who,mask,site\n"
        "a.jpg,1,p1,masks/a.png,arm\n"
        "sub/b.jpg,VI,p1,,leg\n"
        "c.jpg,seven,p2,,arm\n"
        "gone.jpg,5,p2,,arm\n"
        "d.jpg,,p3,masks/gone.png,arm\n"
        ",2,p4,,arm\n"
        "a.jpg,1,p1,,arm\n"
    )
    return root


COLUMNS = {"file": "picture", "fst": "skin", "patient": "who", "mask": "mask", "labels": ["site"]}


def test_good_rows_go_on_and_bad_ones_are_listed(folder, tmp_path):
    acquire(options(folder=folder, columns=COLUMNS), tmp_path / "raw")
    images = read_images(tmp_path / "raw" / "images.csv").set_index("id")
    assert images.index.tolist() == ["a.jpg", "sub/b.jpg"]
    assert images["fst"].tolist() == [1, 6]
    assert images["patient"].tolist() == ["p1", "p1"]
    assert images["label_site"].tolist() == ["arm", "leg"]
    assert Path(images.loc["sub/b.jpg", "file"]) == folder / "sub/b.jpg"
    assert Path(images.loc["a.jpg", "mask"]) == folder / "masks/a.png"
    reasons = read_missing(tmp_path / "raw" / "missing.csv").set_index("id")["reason"].to_dict()
    assert reasons == {
        "c.jpg": "row 4 of labels.csv: 'seven' is no Fitzpatrick skin type (1 to 6, or empty)",
        "gone.jpg": "row 5 of labels.csv: there is no such file",
        "d.jpg": "row 6 of labels.csv: mask: there is no such file",
        "": "row 7 of labels.csv: the row names no file",
        "a.jpg": f"id 'a.jpg' appears twice; the first one ({folder / 'a.jpg'}) was kept",
        "unlisted.jpg": "the file has no row in labels.csv",
    }


def test_values_of_ones_own_for_skin_types(folder, tmp_path):
    acquire(options(folder=folder, columns=COLUMNS, fst_values={"seven": 6}), tmp_path / "raw")
    images = read_images(tmp_path / "raw" / "images.csv").set_index("id")
    assert images.loc["c.jpg", "fst"] == 6


def test_only_some_skin_types(folder, tmp_path):
    acquire(options(folder=folder, columns=COLUMNS, fst=[6]), tmp_path / "raw")
    assert read_images(tmp_path / "raw" / "images.csv")["id"].tolist() == ["sub/b.jpg"]


def test_a_folder_without_skin_types(folder, tmp_path):
    acquire(options(folder=folder, columns={"file": "picture", "fst": None}), tmp_path / "raw")
    assert set(read_images(tmp_path / "raw" / "images.csv")["fst"]) == {-1}


def test_the_raw_folder_can_be_moved_with_what_was_unpacked_in_it(folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path, "mine")
    acquire(options(folder=archive, columns=COLUMNS), tmp_path / "raw")
    (tmp_path / "raw").rename(tmp_path / "moved")
    images = read_images(tmp_path / "moved" / "images.csv").set_index("id")
    for column in ("file", "mask"):
        assert (tmp_path / "moved" / images.loc["a.jpg", column]).is_file()


def test_a_zip_and_a_table_beside_it(folder, tmp_path):
    table = tmp_path / "elsewhere.csv"
    shutil.move(folder / "labels.csv", table)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
    acquire(options(folder=tmp_path / "mine.zip", table=table, columns=COLUMNS), tmp_path / "raw")
    assert read_images(tmp_path / "raw" / "images.csv")["id"].tolist() == ["a.jpg", "sub/b.jpg"]


def test_separator_and_id(folder, tmp_path):
    (folder / "labels.csv").write_text("n;file;fst\n7;a;2\n8;sub/b;5\n")
    acquire(options(folder=folder, separator=";", columns={"id": "n"}), tmp_path / "raw")
    images = read_images(tmp_path / "raw" / "images.csv")
    assert images[["id", "fst"]].to_numpy().tolist() == [["7", 2], ["8", 5]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"table": "nowhere.csv"}, r"there is no table .*nowhere.csv; .* has labels.csv"),
        ({"columns": {"file": "pictures"}}, "has no column 'pictures'"),
        ({"columns": {**COLUMNS, "labels": ["age"]}}, "has no column 'age'"),
    ],
)
def test_what_stops_the_run_says_which_key(folder, tmp_path, keys, message):
    with pytest.raises(AcquisitionError, match=message):
        acquire(options(folder=folder, **{"columns": COLUMNS, **keys}), tmp_path / "raw")


def test_nothing_usable_stops_with_the_reasons(folder, tmp_path):
    (folder / "labels.csv").write_text("file,fst\ngone.jpg,1\n")
    with pytest.raises(AcquisitionError, match=r"no image of the source 'folder'.*no row in labels"):
        acquire(options(folder=folder), tmp_path / "raw")
    assert len(read_missing(tmp_path / "raw" / "missing.csv")) == 7
    assert not (tmp_path / "raw" / "images.csv").exists()


def test_what_was_acquired_before_outlives_a_mistake(folder, tmp_path):
    raw = tmp_path / "raw"
    acquire(options(folder=folder, columns=COLUMNS), raw)
    before = {path.name: path.read_bytes() for path in raw.iterdir() if path.is_file()}
    with pytest.raises(AcquisitionError, match="there is no folder"):
        acquire(options(folder=tmp_path / "mien", columns=COLUMNS), raw)
    (folder / "labels.csv").write_text("picture,skin,who,mask,site\ngone.jpg,1,,,\n")
    with pytest.raises(AcquisitionError, match="no image of the source"):
        acquire(options(folder=folder, columns=COLUMNS), raw)
    assert {path.name: path.read_bytes() for path in raw.iterdir() if path.is_file()} == before


def test_a_mistyped_key_is_refused(folder):
    with pytest.raises(ValidationError, match="colums"):
        options(folder=folder, colums={})
    with pytest.raises(ValidationError, match="fst_values"):
        options(folder=folder, fst_values={"x": 7})


def test_real_photographs_through_the_folder_adapter(shared, tmp_path):
    keys = {
        "folder": shared / "padufes20",
        "columns": {"fst": "fitspatrick", "patient": "patient_id", "mask": "lesion_mask", "labels": ["diagnostic"]},
    }
    acquire(options(**keys), tmp_path / "raw")
    images = read_images(tmp_path / "raw" / "images.csv")
    counts = images["fst"].value_counts().to_dict()
    assert counts == {1: 32, 2: 190, 3: 107, 4: 20, 5: 2, 6: 1, -1: 212}
    assert len(read_missing(tmp_path / "raw" / "missing.csv")) == 0
