"""Damage is noticed where a store or a file is read: the message names it and says what to do."""

import json
import pickle
import shutil

import numpy as np
import pytest
import xarray as xr

from sluguq.stores.files import DamagedFile, check_seal, whole_file
from sluguq.stores.manifest import MANIFEST, check_files, read_manifest
from sluguq.stores.store import StoreError, StoreWriter, open_store, write_store
from sluguq.stores.variables import described


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "slug": ("image", rng.random(64).astype("float32"), described("SLUG", "test")),
            "slug_map": (("image", "y", "x"), rng.random((64, 8, 8)).astype("float32"), described("map", "test")),
        },
        coords={"id": ("image", np.array([f"i{n}" for n in range(64)], object), described("id", "test"))},
    )
    write_store(dataset, tmp_path / "skin.zarr", title="t", source="s")
    return tmp_path / "skin.zarr"


def data_files(store):
    return [path for path in sorted(store.rglob("*")) if path.is_file() and path.name != MANIFEST]


def test_every_flipped_bit_is_noticed(store):
    rng = np.random.default_rng(1)
    for path in data_files(store):
        content = path.read_bytes()
        for position in {0, len(content) - 1, *rng.integers(0, len(content), 8).tolist()}:
            flipped = bytearray(content)
            flipped[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(flipped)
            if path.name == "zarr.json" and path.parent != store:
                continue  # read from the consolidated metadata alone
            with pytest.raises(StoreError, match=r"skin\.zarr is damaged: .*delete .*skin\.zarr and run again"):
                open_store(store).load()
        path.write_bytes(content)
    open_store(store).load()


def test_every_missing_or_cut_file_is_noticed(store):
    for path in data_files(store):
        content = path.read_bytes()
        for wrong in (None, content[: len(content) // 2]):
            if wrong is None:
                path.unlink()
            else:
                path.write_bytes(wrong)
            name = path.relative_to(store).as_posix()
            with pytest.raises(StoreError, match=rf"{name} (is missing|has \d+ bytes, \d+ were written)"):
                check_files(store, read_manifest(store))
            if path.name != "zarr.json":
                with pytest.raises(StoreError, match=name):
                    open_store(store).load()
        path.write_bytes(content)


def test_only_what_is_read_is_looked_at(store):
    """One variable of a damaged store can still be read where another is damaged."""
    shutil.rmtree(store / "slug_map" / "c")
    opened = open_store(store)
    assert opened.slug.values.shape == (64,)
    with pytest.raises(StoreError, match="slug_map"):
        opened.slug_map[3].load()


@pytest.mark.parametrize("text", [None, "", "{", '{"crc32c": 3}', '{"crc32c": {"zarr.json": "x"}}'])
def test_a_lost_or_damaged_manifest_is_noticed(store, text):
    if text is None:
        (store / MANIFEST).unlink()
    else:
        (store / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match=rf"damaged: {MANIFEST}"):
        open_store(store)


def test_stores_of_earlier_versions_open_as_before(store):
    (store / MANIFEST).unlink()
    metadata = json.loads((store / "zarr.json").read_text())
    del metadata["attributes"]["checksums"]
    (store / "zarr.json").write_text(json.dumps(metadata))
    assert open_store(store).load().sizes["image"] == 64


def test_a_blank_chunk_is_no_damage(tmp_path):
    with StoreWriter(tmp_path / "a.zarr", attributes={}) as writer:
        writer.create("pixels", ("image", "y", "x"), (8, 4, 4), "uint8", attributes=described("p", "t"))
        writer.append("pixels", np.zeros((8, 4, 4), "uint8"))
    assert not open_store(tmp_path / "a.zarr").pixels.values.any()


def test_an_adopted_file_carries_its_checksum(store, tmp_path):
    with StoreWriter(tmp_path / "all.zarr", attributes={}) as writer:
        writer.create("slug_map", ("seed", "image", "y", "x"), (1, 64, 8, 8), "float32", attributes=described("m", "t"))
        assert writer.adopt("slug_map", (0,), store)
    shards = [path for path in (store / "slug_map" / "c").rglob("*") if path.is_file()]
    open_store(tmp_path / "all.zarr").load()
    content = bytearray(shards[0].read_bytes())
    content[len(content) // 2] ^= 4
    shards[0].write_bytes(content)
    with pytest.raises(StoreError, match=r"all\.zarr is damaged: slug_map/c/0"):
        open_store(tmp_path / "all.zarr").load()


def test_an_opened_store_can_be_sent_to_another_process(store):
    sent = pickle.loads(pickle.dumps(open_store(store)))
    np.testing.assert_array_equal(sent.slug_map.values, open_store(store).slug_map.values)


def test_a_sealed_file_that_changed_is_refused(tmp_path):
    path = tmp_path / "seed-0.csv"
    with whole_file(path, sealed=True) as partial:
        partial.write_text("id,role\na,test_light\nb,train_A\n")
    check_seal(path)
    path.write_text("id,role\na,test_light\n")
    with pytest.raises(DamagedFile, match=r"seed-0\.csv is not as it was written"):
        check_seal(path)
    (tmp_path / ".seed-0.csv.sha256").unlink()
    check_seal(path)
