"""Files found by the names that tables use, and nothing outside of the folder by any name."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.datasets.files import FileIndex


@pytest.fixture
def index(tmp_path):
    for name in ("a.jpg", "one/b.JPG", "two/b.jpg", "one/c.png", "one/c.jpg", "d e.tiff", ".hidden.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / unicodedata.normalize("NFD", "ü.jpg")).touch()
    (tmp_path / "outside.jpg").symlink_to("/etc/passwd")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "nothing.jpg").symlink_to("gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "more.rar").touch()
    return FileIndex(tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", "a.jpg"),
        ("a", "a.jpg"),
        ("A.JPG", "a.jpg"),
        ("a.png", "a.jpg"),
        ("./one/b.jpg", "one/b.JPG"),
        ("two\\b.jpg", "two/b.jpg"),
        ("c.png", "one/c.png"),
        ("d e", "d e.tiff"),
        (unicodedata.normalize("NFC", "ü.jpg"), unicodedata.normalize("NFD", "ü.jpg")),
    ],
)
def test_files_are_found_by_the_names_that_tables_use(index, tmp_path, name, found):
    assert index.find(name) == tmp_path / found


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("b.jpg", r"fits 2 files \(one/b.JPG, two/b.jpg\)"),
        ("c", "fits 2 files"),
        ("nowhere.jpg", "no such file"),
        (".hidden.jpg", "a hidden file.*: rename it"),
        ("pipe.jpg", "a pipe or a device"),
        ("more", "an archive that is not opened here: unpack it"),
        ("outside.jpg", "a link that leads out of the folder, to /etc: name that folder under `links`"),
        ("circle.jpg", "a link that leads in a circle"),
        ("nothing.jpg", r"a link to nothing \(gone.jpg\)"),
        ("../a.jpg", r"does not lie within the folder, but the folder has a.jpg"),
        ("/home/somebody/a.jpg", "but the folder has a.jpg"),
        ("C:\\Users\\me\\a.jpg", "no such file, but the folder has a.jpg"),
        ("x" * 300 + ".jpg", "no such file"),
        ("notes.txt", "no such file"),
        (" ", "names no file"),
    ],
)
def test_names_that_fit_no_single_file(index, name, reason):
    with pytest.raises(LookupError, match=reason):
        index.find(name)


def test_names_that_differ_in_case_or_form_only(tmp_path):
    names = ["A.jpg", "a.jpg", "straße.png", "strasse.png"]
    names += [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]
    for name in names:
        (tmp_path / name).touch()
    index = FileIndex(tmp_path)
    assert [index.find(name).name for name in names] == names
    with pytest.raises(LookupError, match="fits 2 files"):
        index.find("STRASSE.png")


def test_links_lead_where_the_user_says(tmp_path):
    store, folder = tmp_path / "store", tmp_path / "folder"
    (store / "deep").mkdir(parents=True)
    folder.mkdir()
    (store / "x").touch()
    (store / "deep" / "y.jpg").touch()
    (folder / "a.jpg").symlink_to(store / "x")
    (folder / "linked").symlink_to(store / "deep")
    # A folder that holds a link to itself is walked once.
    (store / "deep" / "again").symlink_to(store / "deep")
    assert FileIndex(folder).files == []
    assert set(FileIndex(folder).passed_over) == {"a.jpg", "linked"}
    index = FileIndex(folder, roots=[store])
    assert [path.relative_to(folder).as_posix() for path in index.files] == ["a.jpg", "linked/y.jpg"]
    assert index.find("linked/y.jpg").is_file()


def test_a_name_that_is_not_utf8_is_told_and_stops_nothing(tmp_path):
    (tmp_path / "ok.jpg").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/l\xe4sion.jpg")).touch()
    index = FileIndex(tmp_path)
    assert [path.name for path in index.files] == ["ok.jpg"]
    assert list(index.passed_over) == ["l\\xe4sion.jpg"]


def test_files_without_a_known_ending_are_found_and_listed(tmp_path):
    for name in ("f", "g.jpg.download", "h.xyz", "labels.csv"):
        (tmp_path / name).touch()
    assert FileIndex(tmp_path).find("f").name == "f"
    assert [path.name for path in FileIndex(tmp_path, any_ending=True).files] == ["f", "g.jpg.download", "h.xyz"]
    with pytest.raises(LookupError):
        FileIndex(tmp_path).find("labels.csv")


@pytest.fixture(scope="module")
def guarded():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "secret.jpg").touch()
        (root / "folder" / "sub").mkdir(parents=True)
        (root / "folder" / "a.jpg").touch()
        (root / "folder" / "sub" / "b.png").touch()
        (root / "folder" / "out").symlink_to(root)
        yield FileIndex(root / "folder"), root / "folder"


PARTS = st.one_of(st.sampled_from(["..", ".", "", "out", "sub", "a.jpg", "secret.jpg", "~", "/", "folder"]), st.text())


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=6), st.sampled_from(["/", "\\"]))
def test_no_name_reaches_a_file_outside_of_the_folder(guarded, parts, separator):
    index, folder = guarded
    try:
        found = index.find(separator.join(parts))
    except LookupError:
        return
    assert found.resolve().is_relative_to(folder.resolve())
    assert found.is_file()


def test_what_stands_beside_a_picture_does_not_hide_it(tmp_path):
    for name in ("IMG_1.JPG", "IMG_1.MOV", "IMG_1.AAE", "IMG_2.JPG", "IMG_2.CR2"):
        (tmp_path / name).touch()
    index = FileIndex(tmp_path, any_ending=True)
    assert index.find("IMG_1").name == "IMG_1.JPG"
    assert index.find("IMG_1.mov").name == "IMG_1.MOV"
    with pytest.raises(LookupError, match="fits 2 files"):
        index.find("IMG_2")
