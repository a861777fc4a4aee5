"""Archives that are not to be trusted."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.config.sources import Unpacking
from sluguq.datasets.archives import Limits, UnsafeArchiveError, opened, passed_over, unpack, with_inner
from sluguq.datasets.base import AcquisitionError


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


GOOD = {"a.jpg": b"one", "images/b.jpg": b"two", "images/deep/ü c.jpg": b"three", "empty/": b""}
UNPACKED = {"a.jpg": b"one", "images/b.jpg": b"two", "images/deep/ü c.jpg": b"three"}


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_unpacks_everything_once(tmp_path, make):
    members = GOOD if make is make_zip else UNPACKED
    archive = make(tmp_path / "set.archive", members)
    folder = opened(archive, tmp_path / "raw")
    assert everything(folder) == UNPACKED
    (folder / "a.jpg").write_bytes(b"kept")
    assert opened(archive, tmp_path / "raw") == folder
    assert (folder / "a.jpg").read_bytes() == b"kept"


def test_the_only_folder_of_an_archive_is_meant(tmp_path):
    archive = make_zip(tmp_path / "set.zip", {"mine/a.jpg": b"one", "mine/b/c.jpg": b"two", "__MACOSX/x": b""})
    folder = opened(archive, tmp_path / "raw")
    assert folder.name == "mine"
    assert everything(folder) == {"a.jpg": b"one", "b/c.jpg": b"two"}


def test_a_changed_archive_is_unpacked_anew(tmp_path):
    archive = make_zip(tmp_path / "set.zip", {"a.jpg": b"one"})
    first = opened(archive, tmp_path / "raw")
    make_zip(archive, {"a.jpg": b"another"})
    second = opened(archive, tmp_path / "raw")
    assert first != second
    assert everything(second) == {"a.jpg": b"another"}


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert opened(tmp_path, tmp_path / "raw") == tmp_path.resolve()


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name", ["../evil", "images/../../evil", "/tmp/evil", "..\\evil", "C:\\evil" if os.name == "nt" else "C:/../evil"]
)
def test_no_member_leaves_the_folder(tmp_path, make, name):
    archive = make(tmp_path / "bad", {"good.jpg": b"good", name: b"evil"})
    with pytest.raises(UnsafeArchiveError, match="would leave the folder"):
        unpack(archive, tmp_path / "inner" / "out")
    assert everything(tmp_path) == {"bad": archive.read_bytes()}


def test_links_out_of_a_zip_are_refused(tmp_path):
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("picture.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(AcquisitionError, match="link or a device"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_out_of_a_tar_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "link.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("picture.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(AcquisitionError, match="link or a device"):
        unpack(path, tmp_path / "out")


def test_a_bomb_is_refused_while_it_unpacks(tmp_path):
    archive = make_zip(tmp_path / "bomb.zip", {"zeros.jpg": bytes(300 * 2**20)})
    assert archive.stat().st_size < 2**20
    with pytest.raises(UnsafeArchiveError, match="decompression bomb"):
        unpack(archive, tmp_path / "out")
    assert everything(tmp_path) == {"bomb.zip": archive.read_bytes()}


@pytest.mark.parametrize(
    "limits", [Limits(total_bytes=2500), Limits(member_bytes=900), Limits(members=2)], ids=["total", "member", "count"]
)
def test_bounds_hold(tmp_path, limits):
    archive = make_zip(tmp_path / "set.zip", {f"{n}.jpg": os.urandom(1000) for n in range(3)})
    unpack(archive, tmp_path / "unbounded")
    with pytest.raises(UnsafeArchiveError):
        unpack(archive, tmp_path / "out", limits=limits)
    assert not (tmp_path / "out").exists()


def test_a_broken_archive_says_so_and_leaves_nothing(tmp_path):
    archive = make_zip(tmp_path / "set.zip", {"a.jpg": os.urandom(5000)})
    content = bytearray(archive.read_bytes())
    content[1000] ^= 255
    archive.write_bytes(bytes(content))
    with pytest.raises(AcquisitionError, match=r"set\.zip cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"set.zip"}


def test_what_is_no_archive(tmp_path):
    (tmp_path / "page.zip").write_text("<html>")
    with pytest.raises(AcquisitionError, match="neither a zip nor a tar"):
        opened(tmp_path / "page.zip", tmp_path / "raw")
    with pytest.raises(AcquisitionError, match="correct the key `folder`"):
        opened(tmp_path / "nowhere", tmp_path / "raw")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_peculiar_members_never_stop_the_rest(tmp_path):
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            ("images\\", b""),
            ("folder", b""),
            ("folder/a.jpg", b"one"),
            ("images\\b.jpg", b"two"),
            ("b.jpg", b"first"),
            ("皮" * 100 + ".jpg", b"long"),
            ("b.jpg", b"last"),
            ("a.jpg/c.jpg", b"folder"),
            ("a.jpg", b"file"),
        ):
            info = zipfile.ZipInfo(name)
            info.filename = name
            archive.writestr(info, content)
        for name, aim in (("inner.jpg", "folder/a.jpg"), ("again.jpg", "inner.jpg"), ("out.jpg", "../../etc/passwd")):
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, aim)
    folder = opened(path, tmp_path / "raw")
    assert everything(folder) == {
        "folder/a.jpg": b"one",
        "images/b.jpg": b"two",
        "b.jpg": b"last",
        "a.jpg/c.jpg": b"folder",
        "inner.jpg": b"one",
        "again.jpg": b"one",
    }
    assert not any(found.is_symlink() for found in folder.rglob("*"))
    reasons = passed_over([folder])
    assert set(reasons) == {"皮" * 100 + ".jpg", "a.jpg", "out.jpg"}
    assert "leads out of the archive" in reasons["out.jpg"]


def zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inner in members.items():
            archive.writestr(name, inner)
    return content.getvalue()


def names_in(folders: list[Path]) -> set[str]:
    return {path.name for folder in folders for path in folder.rglob("*.jpg")}


def test_archives_within_archives_and_one_that_is_broken(tmp_path):
    deep = zipped({"1.zip": zipped({"2.zip": zipped({"3.zip": zipped({"deepest.jpg": b"x"}), "deep.jpg": b"x"})})})
    folder = tmp_path / "set"
    folder.mkdir()
    for name, content in (
        ("one/images.zip", zipped({"y.zip": zipped({"a.jpg": b"x"})})),
        ("two/images.zip", zipped({"y.zip": zipped({"b.jpg": b"x"})})),
        ("deep.zip", deep),
        ("cut.zip", deep[:-30]),
        ("page.zip", b"<html>sign in</html>"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    folders = with_inner(folder, tmp_path / "raw")
    assert names_in(folders) == {"a.jpg", "b.jpg", "deep.jpg"}
    reasons = passed_over(folders)
    assert set(reasons) == {"3.zip", "cut.zip", "page.zip"}
    assert "unpack it into the folder" in reasons["3.zip"]
    assert "cut off" in reasons["cut.zip"]
    assert "an HTML page, and neither a zip nor a tar file" in reasons["page.zip"]
    assert with_inner(folder, tmp_path / "raw") == folders


def test_an_archive_that_was_corrected_is_unpacked_again(tmp_path):
    """The old one's pictures and complaints are gone with it."""
    folder = tmp_path / "set"
    folder.mkdir()
    for content, names in ((zipped({"a.jpg": b"one"})[:-30], set()), (zipped({"b.jpg": b"two"}), {"b.jpg"})):
        (folder / "images.zip").write_bytes(content)
        folders = with_inner(folder, tmp_path / "raw")
        assert names_in(folders) == names
        assert bool(passed_over(folders)) == (not names)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"Rar!\x1a\7\0", "a RAR file, which is not opened here: unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip file, which is not opened here: unpack it"),
        (b"PK\3\4", "cut off, as the list at its end is lacking: get it again"),
        (b"\xff\xd8\xff", "neither a zip nor a tar file: give the folder"),
    ],
)
def test_what_is_no_archive_is_called_by_its_name(tmp_path, start, message):
    (tmp_path / "set.zip").write_bytes(start + bytes(500))
    with pytest.raises(AcquisitionError, match=message):
        opened(tmp_path / "set.zip", tmp_path / "raw")


def test_hard_links_and_inner_links_of_a_tar(tmp_path):
    path = tmp_path / "linked.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("images/a.jpg")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"one"))
        for name, kind, aim in (
            ("b.jpg", tarfile.LNKTYPE, "images/a.jpg"),
            ("images/c.jpg", tarfile.SYMTYPE, "a.jpg"),
            ("d.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, aim
            archive.addfile(info)
    unpack(path, tmp_path / "raw" / "unpacked" / "out")
    assert everything(tmp_path / "raw" / "unpacked" / "out") == dict.fromkeys(
        ("images/a.jpg", "b.jpg", "images/c.jpg"), b"one"
    )
    assert set(passed_over([tmp_path / "raw" / "unpacked" / "out"])) == {"d.jpg", "pipe"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("method", 9, "packed with Deflate64"), ("flag", 1, "encrypted: unpack the archive with its password")],
)
def test_what_python_does_not_unpack_is_said_in_words(tmp_path, field, value, message):
    archive = make_zip(tmp_path / "set.zip", {"a.jpg": b"one"})
    content = bytearray(archive.read_bytes())
    for start, offset in ((0, 6), (content.find(b"PK\1\2"), 8)):
        at = start + offset + (2 if field == "method" else 0)
        content[at : at + 2] = value.to_bytes(2, "little")
    archive.write_bytes(bytes(content))
    with pytest.raises(AcquisitionError, match=message) as caught:
        unpack(archive, tmp_path / "out")
    assert "get it again" not in str(caught.value)


def without_flag(archive: Path, encoded: bytes, stand_in: bytes) -> None:
    """Put a name into a zip as a program does that does not tell its encoding."""
    assert len(encoded) == len(stand_in)
    archive.write_bytes(archive.read_bytes().replace(stand_in, encoded))


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        (unicodedata.normalize("NFD", "lésion.jpg"), "utf-8"),
        ("Rücken.jpg", "cp1252"),
        ("Rücken.jpg", "cp437"),
        ("Rücken.jpg", "cp850"),
        ("straße é.jpg", "cp1252"),
        ("皮肤.jpg", "utf-8"),
    ],
)
def test_names_whose_encoding_is_not_told(tmp_path, name, encoding):
    encoded = name.encode(encoding)
    archive = make_zip(tmp_path / "set.zip", {"x" * len(encoded): b"one"})
    without_flag(archive, encoded, b"x" * len(encoded))
    unpack(archive, tmp_path / "out")
    assert list(everything(tmp_path / "out")) == [name]


def test_a_bound_that_an_honest_archive_exceeds_can_be_raised(tmp_path):
    archive = make_zip(tmp_path / "masks.zip", {"black.bmp": bytes(150 * 2**20)})
    with pytest.raises(UnsafeArchiveError, match=r"raise `unpacking.ratio`"):
        unpack(archive, tmp_path / "out")
    unpack(archive, tmp_path / "out", limits=Limits.of(Unpacking(ratio=2000)))
    assert (tmp_path / "out" / "black.bmp").stat().st_size == 150 * 2**20


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_no_name_of_a_member_leaves_the_folder(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("zip")
    path = root / "any.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "replace").decode()
            archive.writestr(info, b"x")
    with contextlib.suppress(AcquisitionError):
        unpack(path, root / "inner" / "out")
    outside = [found for found in root.rglob("*") if found.is_file() and root / "inner" not in found.parents]
    assert outside == [path]


def test_links_at_the_top_of_a_tar_file(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        info = tarfile.TarInfo("a.jpg")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"one"))
        link = tarfile.TarInfo("b.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "a.jpg"
        archive.addfile(link)
    unpack(tmp_path / "set.tar", tmp_path / "out")
    assert everything(tmp_path / "out") == {"a.jpg": b"one", "b.jpg": b"one"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_and_other_content_are_told(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in (("a.jpg", "1"), ("b.jpg", "1"), ("b.jpg", "1"), ("./a.jpg", "2")):
            archive.writestr(name, content)
    unpack(tmp_path / "set.zip", tmp_path / "out")
    assert everything(tmp_path / "out")["a.jpg"] == b"2"
    assert "1 members twice, with other content ('./a.jpg'): the last one counts" in capsys.readouterr().out


def test_a_path_that_is_too_long_stops_nothing_else(tmp_path):
    unpack(make_zip(tmp_path / "set.zip", {"d/" * 3000 + "a.jpg": b"1", "b.jpg": b"2"}), tmp_path / "out")
    assert everything(tmp_path / "out") == {"b.jpg": b"2"}
    assert list(passed_over([tmp_path / "out"]).values()) == [
        "its path is too long for this machine: shorten it in the archive"
    ]
