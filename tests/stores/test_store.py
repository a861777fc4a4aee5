"""Stores are whole or absent, open without a warning and explain themselves."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr

from sluguq.stores.files import whole_file
from sluguq.stores.store import StoreError, StoreWriter, open_store, write_store
from sluguq.stores.variables import described


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "mse": ("image", rng.random(5), described("mean squared error", "test")),
            "slug_map": (
                ("image", "y", "x"),
                rng.random((5, 4, 4)).astype("float16"),
                described("SLUG map", "test"),
            ),
        },
        coords={
            "id": (
                "image",
                np.array([f"bild-ü{i}" for i in range(5)], dtype=object),
                described("image id", "test"),
            ),
            "seed": ("seed", np.array([0, 3]), described("seed", "test")),
        },
    )


def test_round_trip_is_silent_and_exact(tmp_path, dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_store(dataset, tmp_path / "a.zarr", title="t", source="s", configuration="x: 1")
        opened = open_store(tmp_path / "a.zarr")
        xr.testing.assert_equal(opened.load().drop_vars("image"), dataset)
    assert set(opened.coords) == {"id", "image", "seed"}
    assert opened.id.dtype == object
    assert opened.mse.attrs == dataset.mse.attrs
    assert opened.attrs["configuration"] == "x: 1"
    assert "numpy=" in opened.attrs["versions"]
    assert len(opened.attrs["commit"]) >= 7


def test_opens_with_plain_xarray_and_no_warning(tmp_path, dataset):
    write_store(dataset, tmp_path / "a.zarr", title="t", source="s")
    (tmp_path / "a.zarr" / ".snakemake_timestamp").touch()
    script = f"import xarray; print(xarray.open_zarr({str(tmp_path / 'a.zarr')!r}, chunks=None).mse.values.sum())"
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""


def test_one_image_is_one_chunk_and_a_store_is_few_files(tmp_path):
    with StoreWriter(tmp_path / "a.zarr", attributes={}) as writer:
        writer.create("pixels", ("image", "y", "x", "channel"), (500, 8, 8, 3), "uint8", attributes=described("p", "t"))
        for start in range(0, 500, 7):
            block = (np.arange(start, min(start + 7, 500)) % 256).astype("uint8")
            writer.append("pixels", np.broadcast_to(block[:, None, None, None], (len(block), 8, 8, 3)))
    opened = open_store(tmp_path / "a.zarr")
    assert opened.pixels.encoding["chunks"] == (1, 8, 8, 3)
    np.testing.assert_array_equal(opened.pixels[:, 0, 0, 0], (np.arange(500) % 256).astype("uint8"))
    assert sum(path.is_file() for path in (tmp_path / "a.zarr").rglob("*")) < 10


def test_an_error_leaves_nothing_behind_and_keeps_what_was_there(tmp_path, dataset):
    write_store(dataset, tmp_path / "a.zarr", title="first", source="s")
    with pytest.raises(RuntimeError, match="cut"), StoreWriter(tmp_path / "a.zarr", attributes={}):
        raise RuntimeError("cut")
    assert open_store(tmp_path / "a.zarr").attrs["title"] == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_missing_rows_are_refused(tmp_path):
    with (
        pytest.raises(StoreError, match="3 of 4 rows of 'mse'"),
        StoreWriter(tmp_path / "a.zarr", attributes={}) as writer,
    ):
        writer.create("mse", ("image",), (4,), "float32", attributes=described("m", "t"))
        writer.append("mse", np.zeros(3, "float32"))
    assert not (tmp_path / "a.zarr").exists()


def test_a_variable_without_description_is_refused(tmp_path):
    bare = xr.Dataset({"mse": ("image", np.zeros(3))})
    with pytest.raises(StoreError, match=r"'mse'.*long_name"):
        write_store(bare, tmp_path / "a.zarr", title="t", source="s")


def test_a_partial_store_is_no_store(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(StoreError, match=r"no store at .*a\.zarr"):
        open_store(tmp_path / "a.zarr")


def test_same_content_gives_same_bytes(tmp_path, dataset):
    for name in ("a.zarr", "b.zarr"):
        write_store(dataset, tmp_path / name, title="t", source="s")
    files = sorted(p.relative_to(tmp_path / "a.zarr") for p in (tmp_path / "a.zarr").rglob("*") if p.is_file())
    assert files
    for file in files:
        assert (tmp_path / "a.zarr" / file).read_bytes() == (tmp_path / "b.zarr" / file).read_bytes(), file


def test_whole_file(tmp_path):
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.csv") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_file(tmp_path / "a.csv") as partial:
        partial.write_text("whole")
    assert (tmp_path / "a.csv").read_text() == "whole"


def test_a_store_opens_with_xarray_alone_and_its_usual_calls_work(tmp_path):
    """Text, numbers and pictures of five images, of which a seed tested three."""
    count = 5
    names = np.array([f"image-{i}" for i in range(count)], dtype=object)
    scores = np.where(np.arange(count) < 3, np.arange(count, dtype=np.float32), np.nan)
    dataset = xr.Dataset(
        {
            "mse": ("image", scores, described("error", "test")),
            "pixels": (("image", "y"), np.full((count, 4), 200, np.uint8), described("intensity", "test")),
            "label_site": ("image", np.array(["arm", "leg", "arm", "", "arm"], object), described("site", "test")),
        },
        coords={
            "id": ("image", names, described("id", "test")),
            "group": ("image", np.array(["dark", "light"] * 2 + ["dark"], object), described("group", "test")),
        },
    )
    write_store(dataset, tmp_path / "store.zarr", title="a store", source="test")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = xr.open_zarr(tmp_path / "store.zarr", chunks=None)
        dark = plain.where(plain.group == "dark", drop=True)
        assert dark.id.values.tolist() == ["image-0", "image-2", "image-4"]
        assert float(plain.sel(image="image-2").mse) == 2
        assert plain.sel(image=["image-4", "image-0"]).label_site.values.tolist() == ["arm", "arm"]
        by_site = plain.mse.groupby("label_site").mean()
        assert float(by_site.sel(label_site="arm")) == 1
        table = plain[["mse"]].to_dataframe()
        assert table.query("group == 'dark'").mse.tolist()[:2] == [0, 2]
        plain.to_netcdf(tmp_path / "store.nc")
        again = xr.open_dataset(tmp_path / "store.nc")
        assert again.pixels.dtype == np.uint8
        assert again.id.values.tolist() == names.tolist()
    # Opened here, text is plain objects, and the names are the index as well.
    opened = open_store(tmp_path / "store.zarr")
    assert opened.label_site.dtype == object
    assert float(opened.sel(image="image-1").mse) == 1
    # What is opened can be written again.
    write_store(opened, tmp_path / "again.zarr", title="again", source="test")
    assert xr.open_zarr(tmp_path / "again.zarr", chunks=None).image.values.tolist() == names.tolist()
