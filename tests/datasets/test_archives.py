"""Archives that are not to be trusted."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from sluguq.datasets.archives import Limits, UnsafeArchiveError, opened, unpack
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


def test_links_in_a_zip_are_refused(tmp_path):
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("picture.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError, match="link or a device"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    path = tmp_path / "link.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("picture.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UnsafeArchiveError, match="link or a device"):
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
