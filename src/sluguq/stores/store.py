"""The one place that reads and writes zarr stores: layout, attributes, whole or not at all.

A store is zarr v3, consolidated, chunked one image to a chunk and sharded, so that it is tens of files and one
image is one read. It is written under a hidden name beside its final one and renamed when it is complete.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from sluguq.machine.disk import full_disk_told, tell_full_disk
from sluguq.machine.owner import owned
from sluguq.stores.files import remove_partials, synchronise
from sluguq.stores.manifest import MANIFEST, MENTION, CheckedStore, damaged, read_manifest, write_manifest
from sluguq.stores.manifest import StoreError as StoreError
from sluguq.stores.provenance import provenance

SHARD_BYTES = 128 * 2**20
"""A shard is at most about this large before compression: it must fit into memory while it is written."""


def open_store(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a store lazily; every file of it is looked at before it is first read, if the store has checksums.

    :param path: a folder, or an address such as ``s3://bucket/results/demo/phantom.zarr``, read in place by what fsspec
        has for its scheme (s3fs for S3).
    :raises StoreError: where there is no complete store at ``path``, and, later, where a file turns out to be missing
        or changed when it is read.
    """
    absent = f"there is no store at {path}; run the rule that writes it, or check the path"
    remote = "://" in str(path)
    if not remote and not (Path(path) / "zarr.json").is_file():
        raise StoreError(absent)
    try:
        files = None if remote else read_manifest(Path(path))
        content = str(path) if files is None else CheckedStore(Path(path), files=files)
        store = xr.open_zarr(content, consolidated=True, chunks=None)
        if MENTION in store.attrs and files is None and not remote:
            raise damaged(Path(path), MANIFEST, "is missing")
        return with_plain_text(store)
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise StoreError(absent) from error
    except Exception as error:
        raise StoreError(f"{path} is not a readable store ({error}); delete it and run its rule again") from error


def open_stores(paths: Mapping[str, str | os.PathLike[str]]) -> dict[str, xr.Dataset]:
    """Open stores by name, as :func:`open_store` does, in the same order.

    :param paths: of the stores.
    :raises StoreError: naming the first that is not there.
    """
    return {name: open_store(path) for name, path in paths.items()}


def with_plain_text(dataset: xr.Dataset) -> xr.Dataset:
    """The same dataset with text as plain objects: NumPy's new type knows neither astype(str) nor most of pandas.

    :param dataset: as xarray opened it.
    """
    texts = {name: v.astype(object) for name, v in dataset.variables.items() if v.dtype.kind == "T"}
    return dataset.assign({n: v for n, v in texts.items() if n not in dataset.coords}).assign_coords(
        {n: v for n, v in texts.items() if n in dataset.coords}
    )


def write_store(
    dataset: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    title: str,
    source: str,
    configuration: str = "",
    device: str = "",
) -> None:
    """Write a dataset that fits into memory as one store, whole or not at all.

    :param dataset: every variable must carry the attributes ``long_name``, ``units`` and ``source``.
    :param path: folder to write, replaced if it exists.
    :param title: what the store is, for a person.
    :param source: where its numbers come from.
    :param configuration: the resolved configuration as YAML.
    :param device: device that computed it, in words.
    :raises StoreError: where a variable lacks an attribute.
    :raises Occupied: where another live process is writing the same store.
    """
    attributes = {**dataset.attrs, **provenance(title, source, configuration, device)}
    with StoreWriter(path, attributes=attributes) as writer:
        for name, variable in dataset.variables.items():
            writer.create(
                str(name),
                tuple(str(dimension) for dimension in variable.dims),
                variable.shape,
                _storable(variable.values).dtype,
                attributes=dict(variable.attrs),
                coordinate=name in dataset.coords,
            )
            writer.write(str(name), ..., _storable(variable.values))


class StoreWriter:
    """Writes one store block by block; the store appears under its name only on a clean exit.

    While it is open no other process may write the same store, and what killed ones left of it is removed.

    Use it as a context manager. `create` declares a variable, `write` fills a region, and `append` adds blocks
    along the first dimension, buffered so that each shard is compressed once.
    """

    def __init__(self, path: str | os.PathLike[str], *, attributes: Mapping[str, Any]):
        self.path = Path(path)
        self._partial = self.path.with_name(f".{self.path.name}.partial-{os.getpid()}")
        self._attributes = dict(attributes)
        self._coordinates: list[str] = []
        self._dimensions: dict[str, tuple[str, ...]] = {}
        self._pending: dict[str, list[np.ndarray]] = {}
        self._appended: dict[str, int] = {}
        self._adopted: dict[str, tuple[int, int]] = {}
        self._claim = contextlib.ExitStack()

    def __enter__(self) -> StoreWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._claim.enter_context(owned(self.path)):
            remove_partials(self.path)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._group = zarr.open_group(self._partial, mode="w", zarr_format=3)
        return self

    def create(
        self,
        name: str,
        dimensions: Sequence[str],
        shape: Sequence[int],
        dtype: Any,
        *,
        attributes: Mapping[str, Any],
        coordinate: bool = False,
    ) -> None:
        """Declare a variable.

        Text is always a coordinate: then xarray's ``where`` leaves it as it is, which NumPy's type of text needs.

        :param name: of the variable.
        :param dimensions: their names.
        :param shape: their sizes.
        :param dtype: of the values.
        :param attributes: at least ``long_name``, ``units`` and ``source``.
        :param coordinate: whether it is a coordinate.
        :raises StoreError: where ``long_name``, ``units`` or ``source`` is missing from the attributes.
        """
        missing = {"long_name", "units", "source"} - set(attributes)
        if missing:
            raise StoreError(f"variable {name!r} of {self.path} lacks the attributes {sorted(missing)}")
        dtype = np.dtype(dtype)
        chunks, shards = _chunks_and_shards(dimensions, shape, 16 if dtype.kind in "OTU" else dtype.itemsize)
        self._group.create_array(
            name,
            shape=tuple(shape),
            dtype="string" if dtype.kind in "OTU" else dtype,
            chunks=chunks,
            shards=shards,
            compressors=[BloscCodec(cname="zstd", clevel=4, shuffle="bitshuffle" if dtype.kind == "f" else "shuffle")],
            fill_value=np.nan if dtype.kind == "f" else None,
            dimension_names=list(dimensions),
            attributes=_plain(attributes),
        )
        self._dimensions[name] = tuple(dimensions)
        if coordinate or dtype.kind in "OTU":
            self._coordinates.append(name)

    def _name_images(self) -> None:
        """Make the names of images the index of their dimension, so that ``sel(image=...)`` takes one."""
        if self._dimensions.get("id") != ("image",) or "image" in self._dimensions:
            return
        names = self._array("id")
        self.create("image", ("image",), names.shape, object, attributes=dict(names.attrs))
        self.write("image", ..., np.asarray(names[...]).astype(object))

    def write(self, name: str, region: Any, values: np.ndarray) -> None:
        """Write an array into a region of a variable; `...` is all of it.

        :param name: of the variable.
        :param region: as NumPy indexes.
        :param values: of the region's shape.
        """
        self._array(name)[region] = values

    def adopt(self, name: str, position: Sequence[int], path: str | os.PathLike[str]) -> bool:
        """Take a variable's compressed shards from another store as they are, at a position of the leading dimensions.

        The variable of the same name in the store at ``path`` lacks the leading dimensions and is otherwise laid out
        alike: then its files are byte for byte what ``write`` would make of its values. They are linked where the file
        system allows it, so that gigabytes of maps lie on the disk once; a store's files never change.

        :param name: of the variable.
        :param position: along its leading dimensions.
        :param path: of the other store.
        :returns: False, with nothing done, where the layouts differ.
        """
        folder = Path(path) / name
        mine = json.loads((self._partial / name / "zarr.json").read_text(encoding="utf-8"))
        theirs = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
        if _layout(mine, len(position)) != _layout(theirs, 0):
            return False
        target = self._partial / name / "c" / Path(*map(str, position))
        manifest = read_manifest(Path(path)) or {}
        for file in (file for file in sorted((folder / "c").rglob("*")) if file.is_file()):
            link = target / file.relative_to(folder / "c")
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, link)
            except OSError:
                shutil.copyfile(file, link)
                synchronise(link)
            if entry := manifest.get(file.relative_to(path).as_posix()):
                # Damage to the other store's file is noticed by whoever reads it here.
                self._adopted[link.relative_to(self._partial).as_posix()] = entry
        return True

    def append(self, name: str, block: np.ndarray) -> None:
        """Add a block along the first dimension, after the blocks appended before.

        :param name: of the variable.
        :param block: any number of rows.
        """
        pending = self._pending.setdefault(name, [])
        pending.append(np.asarray(block))
        length = self.shard_length(name, axis=0)
        while sum(map(len, pending)) >= length:
            rows = np.concatenate(pending)
            self._flush(name, rows[:length])
            pending[:] = [rows[length:]]

    def _flush(self, name: str, block: np.ndarray) -> None:
        start = self._appended.get(name, 0)
        self.write(name, slice(start, start + len(block)), block)
        self._appended[name] = start + len(block)

    def shard_length(self, name: str, axis: int) -> int:
        """Rows of a variable that are compressed together: write so many at a time, and from such a row on.

        :param name: of the variable.
        :param axis: its dimension.
        """
        array = self._array(name)
        return int((array.shards or array.chunks)[axis])

    def _array(self, name: str) -> zarr.Array:
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with self._claim:
            try:
                tell_full_disk(error, self.path)
                if kind is None:
                    with full_disk_told(self.path):
                        self._finish()
            finally:
                shutil.rmtree(self._partial, ignore_errors=True)

    def _finish(self) -> None:
        for name, pending in self._pending.items():
            if sum(map(len, pending)):
                self._flush(name, np.concatenate(pending))
            length = self._array(name).shape[0]
            if self._appended.get(name, 0) != length:
                raise StoreError(f"{self.path}: {self._appended.get(name, 0)} of {length} rows of {name!r} came")
        self._name_images()
        if self._coordinates:
            self._attributes["coordinates"] = " ".join(sorted(self._coordinates))
        self._attributes[MENTION] = f"size and CRC-32C of every file are in {MANIFEST}"
        self._group.attrs.update(_plain(self._attributes))
        with warnings.catch_warnings():
            # Consolidated metadata are not in the v3 specification yet; readers without them warn instead.
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            zarr.consolidate_metadata(self._partial)
        write_manifest(self._partial, self._adopted)
        shutil.rmtree(self.path, ignore_errors=True)
        self._partial.rename(self.path)
        synchronise(self.path.parent)


def _chunks_and_shards(
    dimensions: Sequence[str], shape: Sequence[int], itemsize: int
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """One image (or a block of a long vector) a chunk, as many chunks a shard as fit into SHARD_BYTES."""
    shape = tuple(max(1, length) for length in shape)
    if "y" not in dimensions and "parameter" not in dimensions:
        return shape, None
    if "parameter" in dimensions:
        chunks = tuple(
            min(length, 2**20) if d == "parameter" else 1 for d, length in zip(dimensions, shape, strict=True)
        )
        grown = "parameter"
    else:
        leading = dimensions.index("y")
        chunks = (1,) * leading + shape[leading:]
        grown = dimensions[leading - 1] if leading else ""
    if not grown:
        return chunks, None
    axis = list(dimensions).index(grown)
    in_shape = math.ceil(shape[axis] / chunks[axis])
    fitting = max(1, SHARD_BYTES // (math.prod(chunks) * itemsize))
    shards = list(chunks)
    shards[axis] = chunks[axis] * min(in_shape, fitting)
    return chunks, tuple(shards)


def _layout(metadata: Mapping[str, Any], leading: int) -> Any:
    """What decides the bytes of an array's shards, without its first `leading` dimensions; from its zarr.json.

    None where a shard spans more than one step of those dimensions.
    """
    grid = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    codecs = json.loads(json.dumps(metadata["codecs"]))
    for codec in codecs:
        if codec["name"] == "sharding_indexed":
            inner = codec["configuration"]["chunk_shape"]
            if any(length != 1 for length in inner[:leading]):
                return None
            codec["configuration"]["chunk_shape"] = inner[leading:]
    if any(length != 1 for length in grid[:leading]):
        return None
    names = ("data_type", "fill_value", "chunk_key_encoding")
    return metadata["shape"][leading:], grid[leading:], codecs, [metadata[key] for key in names]


def _storable(values: np.ndarray) -> np.ndarray:
    """Strings as variable-length ones; all else unchanged."""
    return values.astype(object) if values.dtype.kind in "OTU" else values


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON knows them."""
    return {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for key, value in attributes.items()
    }
