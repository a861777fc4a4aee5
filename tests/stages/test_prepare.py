"""From a table of files to an image store."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sluguq.datasets.acquisition import write_tables
from sluguq.datasets.base import Acquired
from sluguq.stages import prepare as preparation
from sluguq.stages.prepare import PreparationError, prepare
from sluguq.stores.store import open_store
from sluguq.stores.tables import read_images, write_table
from tests.places import SHARED


def photograph(seed: int, size: tuple[int, int] = (160, 128)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def raw(tmp_path) -> Path:
    """A raw folder: six photographs, copies of the first, and four files that are no pictures."""
    folder = tmp_path / "raw"
    folder.mkdir()
    rows = []

    def add(name: str, content: bytes, **labels: object) -> None:
        (folder / name).write_bytes(content)
        rows.append({"id": name, "file": name, "fst": 2, **labels})

    for seed in range(6):
        out = io.BytesIO()
        photograph(seed).save(out, "PNG")
        add(f"{seed}.png", out.getvalue(), patient=f"p{seed // 2}", label_age=str(30 + seed), label_site="arm")
        mask = np.zeros((128, 160), np.uint8)
        mask[:, :80] = 255
        if seed % 2:
            Image.fromarray(mask).save(folder / f"{seed}-mask.png")
            rows[-1]["mask"] = f"{seed}-mask.png"
    add("copy.png", (folder / "0.png").read_bytes())
    for name, image in (("jpeg.jpg", photograph(0)), ("half.jpg", photograph(0).resize((80, 64)))):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=70)
        add(name, out.getvalue())
    add("page.jpg", b"<html>gone</html>")
    add("cut.png", (folder / "3.png").read_bytes()[:500])
    add("small.png", b"")
    rows.append({"id": "lost.png", "file": "lost.png", "fst": 6})
    write_tables(Acquired(images=rows), folder)
    return folder


def run(raw: Path, name: str = "set", **keys: object):
    out = raw.parent / f"{name}.zarr"
    rejected = prepare(raw / "images.csv", out, raw.parent / f"{name}.rejected.csv", size=32, **keys)  # type: ignore[arg-type]
    return open_store(out).load(), rejected


@pytest.mark.filterwarnings("error")
def test_good_pictures_are_stored_and_bad_ones_listed(raw):
    store, rejected = run(raw, title="t", source="s", synthetic=True, configuration="a: 1")
    names = [*(f"{n}.png" for n in range(6)), "copy.png", "jpeg.jpg", "half.jpg"]
    assert store["id"].values.tolist() == names
    assert store["pixels"].dims == ("image", "y", "x", "channel")
    assert store["pixels"].shape == (9, 32, 32, 3)
    assert store["pixels"].dtype == np.uint8
    assert store.attrs["synthetic"] == 1
    assert store.attrs["title"] == "t"
    assert store.attrs["configuration"] == "a: 1"
    assert store["fst"].attrs["comment"] == "-1: unlabelled"
    assert store["patient"].values.tolist()[:4] == ["p0", "p0", "p1", "p1"]
    assert all({"long_name", "units", "source"} <= set(variable.attrs) for variable in store.variables.values())
    reasons = dict(zip(rejected["id"], rejected["reason"], strict=True))
    assert set(reasons) == {"page.jpg", "cut.png", "small.png", "lost.png"}
    assert "HTML" in reasons["page.jpg"]
    assert "empty" in reasons["small.png"]
    assert "No such file" in reasons["lost.png"]
    written = pd.read_csv(raw.parent / "set.rejected.csv")
    assert written.to_dict("list") == rejected.to_dict("list")


def test_pixels_are_those_of_the_file(raw):
    store, _ = run(raw)
    expected = photograph(4).resize((32, 32), Image.Resampling.LANCZOS, box=(16, 0, 144, 128))
    assert np.array_equal(store["pixels"][4], np.asarray(expected))
    assert store["sha256"].values[4] == hashlib.sha256((raw / "4.png").read_bytes()).hexdigest()


def test_duplicates_are_grouped(raw):
    store, _ = run(raw)
    groups = dict(zip(store["id"].values.tolist(), store["duplicate_group"].values.tolist(), strict=True))
    assert groups["0.png"] == groups["copy.png"] == groups["jpeg.jpg"] == groups["half.jpg"] == 0
    assert {groups[f"{n}.png"] for n in range(1, 6)} == {-1}
    exact, _ = run(raw, "exact", near_duplicate_bits=-1)
    assert exact["duplicate_group"].values.tolist() == [0, -1, -1, -1, -1, -1, 0, -1, -1]


def test_small_pictures_are_compared_at_a_size_that_tells_them_apart(raw, monkeypatch):
    shapes = set()
    hashed = preparation.perceptual_hash
    monkeypatch.setattr(preparation, "perceptual_hash", lambda pixels: shapes.add(pixels.shape) or hashed(pixels))
    run(raw)
    assert shapes == {(64, 64, 3)}


def test_masks_follow_their_images(raw):
    store, _ = run(raw)
    assert store["has_lesion_mask"].values.tolist() == [False, True] * 3 + [False] * 3
    mask = store["lesion_mask"].values
    assert mask[1, :, :15].min() == 1
    assert mask[1, :, 17:].max() == 0
    assert mask[0].max() == 0


def test_numeric_labels_become_numbers(raw):
    store, _ = run(raw)
    assert store["label_age"].values[:6].tolist() == [30, 31, 32, 33, 34, 35]
    assert np.isnan(store["label_age"].values[6:]).all()
    assert store["label_site"].values.tolist() == ["arm"] * 6 + [""] * 3


def test_any_number_of_threads_gives_the_same_bytes(raw):
    run(raw, "one", workers=1)
    run(raw, "many", workers=5)

    def content(name: str) -> dict[str, bytes]:
        root = raw.parent / name
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert content("one.zarr") == content("many.zarr")


def test_without_masks_there_is_none(raw):
    table = pd.read_csv(raw / "images.csv", dtype=str, keep_default_na=False)
    table["mask"] = ""
    write_table(raw / "images.csv", table)
    store, _ = run(raw)
    assert "lesion_mask" not in store


def test_no_usable_picture_at_all(raw):
    table = pd.read_csv(raw / "images.csv", dtype=str, keep_default_na=False)
    write_table(raw / "images.csv", table[table["id"] == "page.jpg"])
    with pytest.raises(PreparationError, match="none of 1 files is a usable picture; the first: an HTML page"):
        run(raw)
    assert not (raw.parent / "set.zarr").exists()
    assert len(pd.read_csv(raw.parent / "set.rejected.csv")) == 1


def test_only_a_few_pictures_wait_at_a_time(raw, monkeypatch):
    """However slow the store is, decoding runs ahead by a bounded number of pictures."""
    started: list[int] = []
    results = preparation._in_order(lambda item: started.append(item), range(500), 2)  # type: ignore[arg-type,func-returns-value]
    for taken in range(1, 6):
        next(results)
        assert len(started) <= taken + 2 * preparation._IN_FLIGHT
    results.close()
    assert len(started) < 60


def test_real_photographs(tmp_path):
    folder = SHARED / "isic2017"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    names = sorted((folder / "images").glob("*.jpg"))[:12]
    rows = [
        {"id": path.stem, "file": str(path), "fst": -1, "mask": str(folder / "lesion_masks" / f"{path.stem}.png")}
        for path in names
    ]
    write_tables(Acquired(images=rows), tmp_path)
    store, rejected = run(tmp_path, fit="pad")
    assert len(rejected) == 0
    lesion = store["lesion_mask"].values.astype(bool)
    grey = store["pixels"].values.mean(-1)
    inside = np.array([image[mask].mean() for image, mask in zip(grey, lesion, strict=True)])
    corner = grey[:, 12:20, 2:6].mean((1, 2))
    assert (inside < corner).mean() > 0.7, "lesions are darker than the skin beside them where masks fit their images"


def test_masks_of_artefacts_are_beside_those_of_lesions(raw):
    table = read_images(raw / "images.csv")
    inverse = np.full((128, 160), 255, np.uint8)
    inverse[:, :80] = 0
    Image.fromarray(inverse).save(raw / "artefacts.png")
    rows = table.assign(artefact_mask=["artefacts.png" if name == "1.png" else "" for name in table["id"]])
    write_tables(Acquired(images=rows.to_dict("records")), raw)
    prepare(raw / "images.csv", raw / "store.zarr", raw / "rejected.csv", size=32, progress=False)
    store = open_store(raw / "store.zarr")
    assert store["has_artefact_mask"].values.tolist() == [False, True] + [False] * 7
    lesion, artefact = store["lesion_mask"].values[1], store["artefact_mask"].values[1]
    assert lesion[:, :15].min() == artefact[:, 17:].min() == 1
    assert lesion[:, 17:].max() == artefact[:, :15].max() == 0


def test_a_photograph_that_is_all_but_black_is_rejected(tmp_path):
    """Twelve bits in a file that states sixteen show as black."""
    folder = tmp_path / "raw"
    folder.mkdir()
    grey = np.asarray(photograph(0).convert("L")).astype(np.uint16)
    for name, factor in (("right.png", 257), ("dark.png", 16)):
        Image.fromarray(grey * factor).save(folder / name)
    rows = [{"id": name, "file": name, "fst": 2} for name in ("right.png", "dark.png")]
    write_tables(Acquired(images=rows), folder)
    store, rejected = run(folder)
    assert store["id"].values.tolist() == ["right.png"]
    assert rejected["id"].tolist() == ["dark.png"]
    assert "all but black: its brightest value is" in rejected["reason"][0]


def test_masks_of_which_exif_leaves_open_how_they_lie_are_told(tmp_path, capsys):
    folder = tmp_path / "raw"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3
    photograph(0).save(folder / "a.jpg", exif=exif)
    Image.fromarray(np.eye(128, 160, dtype=np.uint8) * 255).save(folder / "a.png")
    write_tables(Acquired(images=[{"id": "a", "file": "a.jpg", "fst": 2, "mask": "a.png"}]), folder)
    store, _ = run(folder)
    assert store["has_lesion_mask"].values.all()
    assert "1 masks (a) may be drawn on the pixels as they are stored or as EXIF turns them" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1_2", "12"], ["1_2", "12"]),
        (["007", "7"], ["007", "7"]),
        (["1E5", "2E5"], ["1E5", "2E5"]),
        (["1,234", "5,678"], ["1,234", "5,678"]),
        (["1,5", "2"], [1.5, 2.0]),
        (["1e-05", "2"], [1e-5, 2.0]),
        (["-1", "3"], [-1, 3]),
        (["0.50", "inf"], ["0.50", "inf"]),
    ],
)
def test_labels_are_numbers_only_where_they_are_written_as_such(cells, expected):
    values, _ = preparation._numbers_if_any(pd.Series(cells))
    assert values.tolist() == expected


def test_files_of_several_pictures_are_told(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    first, second = map(Image.fromarray, noise)
    behind = {"two": [second], "thumbnail": [second.resize((16, 16))], "one": []}
    for name, others in behind.items():
        first.save(tmp_path / f"{name}.tif", save_all=True, append_images=others)
    acquired = Acquired(images=[{"id": name, "file": f"{name}.tif", "fst": 1} for name in behind])
    write_tables(acquired, tmp_path)
    prepare(tmp_path / "images.csv", tmp_path / "s.zarr", tmp_path / "r.csv", size=64, progress=False)
    assert "1 TIFF files (two) hold several pictures, of which the first is taken" in capsys.readouterr().out
    pixels = open_store(tmp_path / "s.zarr")["pixels"].values
    assert all(np.array_equal(found, noise[0]) for found in pixels)
