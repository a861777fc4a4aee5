"""A user's own folder, with everything that real folders hold."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire, write_tables
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.stages.prepare import prepare
from sluguq.stores.store import open_store
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
        "c.jpg": "row 4 of labels.csv: 'seven' is no Fitzpatrick skin type (1 to 6, or empty; say under `fst_values` "
        "what it means)",
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
    assert (raw / ".failures").read_text() == "0"
    (raw / ".failures").unlink()
    before = {path.name: path.read_bytes() for path in raw.iterdir() if path.is_file()}
    with pytest.raises(AcquisitionError, match="there is no folder"):
        acquire(options(folder=tmp_path / "mien", columns=COLUMNS), raw)
    (folder / "labels.csv").write_text("picture,skin,who,mask,site\ngone.jpg,1,,,\n")
    with pytest.raises(AcquisitionError, match="no image of the source"):
        acquire(options(folder=folder, columns=COLUMNS), raw)
    # Counted, so that the workflow tries again.
    assert (raw / ".failures").read_text() == "2"
    (raw / ".failures").unlink()
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


def listed(raw: Path) -> tuple[dict[str, int], dict[str, str]]:
    images, missing = read_images(raw / "images.csv"), read_missing(raw / "missing.csv")
    return dict(zip(images["id"], images["fst"], strict=True)), dict(zip(missing["id"], missing["reason"], strict=True))


def test_signs_for_nothing_in_every_column(folder, tmp_path):
    (folder / "labels.csv").write_text(
        "n,file,fst,patient,lesion,mask,site\nNA,a.jpg,NA,NA,NA,NA,NA\n2,sub/b.jpg,#N/A,unknown,nan,None,-\n"
    )
    columns = {name: name for name in ("file", "fst", "patient", "lesion", "mask")} | {"id": "n", "labels": ["site"]}
    acquire(options(folder=folder, columns=columns), tmp_path / "raw")
    images = read_images(tmp_path / "raw" / "images.csv")
    assert images["id"].tolist() == ["a.jpg", "2"]
    for column in ("patient", "lesion", "mask", "label_site"):
        assert images[column].tolist() == ["", ""]


def test_one_photograph_with_two_skin_types_is_listed(folder, tmp_path):
    (folder / "labels.csv").write_text("n,file,fst\n1,a.jpg,1\n2,./A.JPG,6\n3,c.jpg,2\n4,c.jpg,2\n")
    acquire(options(folder=folder, columns={"id": "n"}), tmp_path / "raw")
    images, missing = listed(tmp_path / "raw")
    assert images == {"1": 1, "3": 2}
    assert missing["4"] == "row 5 of labels.csv: the photograph was taken already as '3', from row 4 of labels.csv"
    assert missing["2"].endswith(
        "the photograph has FST 6 here, but FST 1 in row 2 of labels.csv, which was kept; correct one of them"
    )


def test_files_that_no_row_names_are_always_listed(folder, tmp_path):
    for name in ("shot.CR2", "scan.dcm", "noending", "old.jpg_original", "b.jxl", "readme.txt"):
        (folder / name).write_bytes(picture())
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (folder / "labels.csv").write_text("file,fst\na.jpg,1\n")
    acquire(options(folder=folder), tmp_path / "raw")
    images, missing = listed(tmp_path / "raw")
    assert images == {"a.jpg": 1}
    assert {"shot.CR2", "scan.dcm", "noending", "old.jpg_original", "b.jxl", "unlisted.jpg", "gone.jpg"} <= set(missing)
    assert "readme.txt" not in missing
    assert "a link to nothing" in missing["gone.jpg"]


def test_links_into_a_stated_folder_are_followed(folder, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "x").write_bytes(picture(7))
    (folder / "linked.jpg").symlink_to(store / "x")
    (folder / "labels.csv").write_text(f"file,fst\nlinked.jpg,1\na.jpg,2\n{store / 'x'},3\n{folder / 'c.jpg'},4\n")
    acquire(options(folder=folder), tmp_path / "raw")
    images, missing = listed(tmp_path / "raw")
    assert images == {"a.jpg": 2, str(folder / "c.jpg"): 4}
    assert "a link that leads out of the folder" in missing["linked.jpg"]
    acquire(options(folder=folder, links=[store]), tmp_path / "raw")
    assert listed(tmp_path / "raw")[0] == {"linked.jpg": 1, "a.jpg": 2, str(folder / "c.jpg"): 4}


def test_numbers_that_a_spreadsheet_rounded_are_refused(folder, tmp_path):
    (folder / "labels.csv").write_text("file,fst,who\na.jpg,1,1.23457E+15\nc.jpg,2,12\n")
    acquire(options(folder=folder, columns={"patient": "who"}), tmp_path / "raw")
    images, missing = listed(tmp_path / "raw")
    assert images == {"c.jpg": 2}
    assert "a spreadsheet rounded" in missing["a.jpg"]


def test_rows_that_cannot_be_read_and_members_that_cannot_be_unpacked_are_listed(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("a.jpg", picture())
        archive.writestr("皮" * 100 + ".jpg", picture())
        archive.writestr("labels.csv", "file,fst\na.jpg,1\nb, too.jpg,2\n")
    acquire(options(folder=tmp_path / "mine.zip"), tmp_path / "raw")
    images, _ = listed(tmp_path / "raw")
    reasons = read_missing(tmp_path / "raw" / "missing.csv")["reason"].tolist()
    assert images == {"a.jpg": 1}
    assert any("3 cells for 2 columns" in reason for reason in reasons)
    assert any("its name is longer than 255 bytes" in reason for reason in reasons)


def test_skin_types_that_leave_nothing(folder, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    (one / "labels.csv").write_text("file,fst\na.jpg,1\n")
    with pytest.raises(AcquisitionError, match="or `fst` leaves nothing of it"):
        acquire(options(folder=one, fst=[5]), tmp_path / "raw")


def test_a_photograph_is_not_its_own_mask(folder, tmp_path):
    """A mask that is not there is looked for without its ending, which finds the photograph."""
    (folder / "labels.csv").write_text("file,fst,mask\na.jpg,1,a.png\nd.jpg,2,d.jpg\nsub/b,3,masks/a\n")
    acquire(options(folder=folder, columns={"mask": "mask"}), tmp_path / "raw")
    images, reasons = listed(tmp_path / "raw")
    assert images == {"sub/b": 3}
    assert reasons["a.jpg"] == reasons["d.jpg"].replace("row 3", "row 2")
    assert reasons["a.jpg"] == "row 2 of labels.csv: mask: there is no such file but the photograph itself"


def test_names_of_any_kind_reach_the_store(tmp_path):
    """A carriage return ended a row, and a slash hid a label."""
    root = tmp_path / "mine"
    root.mkdir()
    for number, name in enumerate(("a\rb.jpg", "c\nd.jpg")):
        (root / name).write_bytes(picture(number, (48, 48)))
    (root / "labels.csv").write_bytes(b'file,fst,size/mm\n"a\rb.jpg",1,"2,5"\n"c\nd.jpg",2,3\n')
    raw = tmp_path / "raw"
    acquire(options(folder=root, columns={"labels": ["size/mm"]}), raw)
    prepare(raw / "images.csv", raw / "s.zarr", raw / "rejected.csv", size=32, progress=False)
    store = open_store(raw / "s.zarr")
    assert store["id"].values.tolist() == ["a\rb.jpg", "c\nd.jpg"]
    assert store["label_size_mm"].values.tolist() == [2.5, 3.0]


def test_values_of_skin_types_are_compared_without_blanks(folder, tmp_path):
    (folder / "labels.csv").write_text("file,fst\na.jpg, light skin \n")
    acquire(options(folder=folder, fst_values={" light skin": 2}), tmp_path / "raw")
    assert listed(tmp_path / "raw")[0] == {"a.jpg": 2}


def test_names_that_a_spreadsheet_made_dates_are_listed(folder, tmp_path):
    rows = "picture,skin,who\na.jpg,1,1-22\nsub/b.jpg,6,02. Jan\n"
    (folder / "labels.csv").write_text(rows)
    columns = {"file": "picture", "fst": "skin", "patient": "who"}
    acquire(options(folder=folder, columns=columns), tmp_path / "raw")
    missing = read_missing(tmp_path / "raw" / "missing.csv").set_index("id")["reason"]
    assert "'02. Jan' in column 'who' is a date, as a spreadsheet makes of names" in missing["sub/b.jpg"]
    # A column of dates is one.
    (folder / "labels.csv").write_text(rows.replace("1-22", "2024-01-22"))
    acquire(options(folder=folder, columns=columns), tmp_path / "raw")
    assert len(read_images(tmp_path / "raw" / "images.csv")) == 2


@pytest.mark.parametrize("labels", [["a/b", "a_b"], ["Site", "site"], ["site", "site"]])
def test_labels_that_would_be_one_file_are_refused(folder, labels):
    with pytest.raises(ValidationError, match="would be stored under one name"):
        options(folder=folder, columns={**COLUMNS, "labels": labels})


def test_labels_of_an_adapter_that_would_be_one_file_are_refused(tmp_path):
    rows = [{"id": "a", "file": "a.jpg", "fst": 1, "label_a/b": "x", "label_a_b": "y"}]
    with pytest.raises(AcquisitionError, match="'label_a/b' and 'label_a_b' would be stored under one name"):
        write_tables(Acquired(images=rows), tmp_path)
    assert list(tmp_path.iterdir()) == []
