"""A data set as one table, one row per image, with its pictures: for pandas, DuckDB, FiftyOne and their like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from sluguq.analysis.aggregated import labels_of
from sluguq.analysis.percentiles import percentiles_by_model
from sluguq.analysis.tables import signal_label, signals_in
from sluguq.report.sheets import coloured, encoded
from sluguq.stores.files import whole_file
from sluguq.stores.selection import read_rows

ROWS = 256
"""Images that are in memory at a time, and rows of a row group."""

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A picture as Hugging Face's data sets and embedding-atlas know it: the bytes of a PNG file, and a name."""

_PICTURES = ("reconstruction", "error_map", "slug_map")


def write_parquet(path: str | Path, dataset: xr.Dataset, reference: xr.Dataset) -> None:
    """Write the table of one data set.

    Columns of an image: id, group, fst, patient and whatever else is known of it, each label, the signals that need no
    network, ``seeds`` (those that tested it) and ``image``. Of each configuration, ending in its name: every signal, a
    mean over the seeds that tested the image; ``slug_sem``, of the probes alone; ``slug_percentile`` and
    ``mse_percentile``, means over seeds of where the image lies among the test images of the same network; and the
    pictures ``reconstruction``, ``error_map`` and ``slug_map`` of the seed ``map_seed``, the first that tested it.

    :param path: the file, written whole or not at all.
    :param dataset: an opened aggregated store.
    :param reference: the aggregated store of the data set that was trained on.
    """
    numbers = dict(_numbers(dataset, reference))
    firsts = _first_seeds(dataset)
    schema = None
    with whole_file(path) as partial:
        writer = None
        try:
            for start in range(0, max(dataset.sizes["image"], 1), ROWS):
                rows = np.arange(start, min(start + ROWS, dataset.sizes["image"]))
                columns = {name: _taken(values, rows) for name, values in numbers.items()}
                columns |= _pictures(dataset, rows, firsts)
                table = pa.table(columns)
                if writer is None:
                    schema = table.schema.with_metadata(_described(dataset))
                    writer = pq.ParquetWriter(partial, schema, compression="zstd")
                writer.write_table(table.cast(schema))
        finally:
            if writer is not None:
                writer.close()


def _taken(values: pa.Array, rows: np.ndarray) -> pa.Array:
    return values.slice(int(rows[0]), len(rows)) if len(rows) else values.slice(0, 0)


def _described(dataset: xr.Dataset) -> dict[str, str]:
    names = ("experiment", "dataset", "role", "title", "source", "commit", "versions", "configuration")
    words = {name: str(dataset.attrs[name]) for name in names if name in dataset.attrs}
    return words | {
        "synthetic": str(bool(int(dataset.attrs.get("synthetic", 0)))),
        "signals": json.dumps({name: signal_label(name) for name in ("mse", *signals_in(dataset.data_vars))}),
    }


def _first_seeds(dataset: xr.Dataset) -> np.ndarray:
    """(configuration, image) the position of the first seed that tested an image; -1 where none did."""
    has_error = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values)
    return np.where(has_error.any(axis=1), has_error.argmax(axis=1), -1)


def _numbers(dataset: xr.Dataset, reference: xr.Dataset) -> Iterator[tuple[str, pa.Array]]:
    """Every column that is no picture."""
    mse = dataset["mse"].transpose("configuration", "seed", "image").values
    has_error = np.isfinite(mse)
    seeds = dataset["seed"].values
    for name in ("id", "group", "fst", "patient", "lesion", "duplicate_group", "artefact", *labels_of(dataset)):
        if name in dataset.variables:
            values = dataset[name].values
            plain = [str(v) for v in values] if values.dtype.kind in "OTU" else values
            yield name, pa.array(plain, from_pandas=True)
    numbers = ("mse", *signals_in(dataset.data_vars))
    for name in numbers:
        if dataset[name].dims == ("image",):
            yield name, _floats(dataset[name].values)
    yield "seeds", pa.array([seeds[column].tolist() for column in has_error.any(axis=0).T], pa.list_(pa.int64()))
    firsts = _first_seeds(dataset).max(axis=0)
    yield "map_seed", pa.array(np.where(firsts >= 0, seeds[firsts], -1))
    percentiles = {n: percentiles_by_model(dataset, reference, n) for n in ("slug", "mse") if n in dataset}
    for c, configuration in enumerate(dataset["configuration"].values.astype(str)):
        for name in numbers:
            if "configuration" in dataset[name].dims:
                one = dataset[name].isel(configuration=c)
                over = _mean(one.transpose("seed", "image").values) if "seed" in one.dims else one.values
                yield f"{name}_{configuration}", _floats(over)
            if f"{name}_sem" in dataset:
                errors = dataset[f"{name}_sem"].isel(configuration=c).transpose("seed", "image").values
                yield f"{name}_sem_{configuration}", _floats(_error(errors))
            if name in percentiles:
                yield f"{name}_percentile_{configuration}", _floats(_mean(percentiles[name][c]))


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the seeds (seed, image) that have a value; NaN where none has."""
    there = np.isfinite(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0).sum(axis=0, dtype=float)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _error(errors: np.ndarray) -> np.ndarray:
    """The standard error of a mean over seeds (seed, image) from those of its parts."""
    there = np.isfinite(errors)
    count = there.sum(axis=0)
    total = np.sqrt(np.square(np.where(there, errors, 0), dtype=float).sum(axis=0))
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _floats(values: np.ndarray) -> pa.Array:
    return pa.array(np.asarray(values, dtype=np.float64), from_pandas=True)


def _pictures(dataset: xr.Dataset, rows: np.ndarray, firsts: np.ndarray) -> Mapping[str, pa.Array]:
    """The pictures of these images."""
    ids = dataset["id"].values.astype(str)[rows] if len(rows) else []
    columns: dict[str, pa.Array] = {}
    if "pixels" in dataset:
        pixels = read_rows(dataset["pixels"].transpose("image", "y", "x", "channel"), rows)
        columns["image"] = _column(ids, dict(enumerate(pixels)))
    seed = firsts.max(axis=0)
    for kind in (kind for kind in _PICTURES if kind in dataset):
        for c, configuration in enumerate(dataset["configuration"].values.astype(str)):
            some: dict[int, np.ndarray] = {}
            for s in range(dataset.sizes["seed"]):
                places = np.flatnonzero((seed[rows] == s) & (firsts[c][rows] == s))
                if len(places):
                    values = dataset[kind].isel(configuration=c, seed=s)
                    axes = ("image", "y", "x", *(["channel"] if "channel" in values.dims else []))
                    content = read_rows(values.transpose(*axes), rows[places])
                    some |= dict(zip(places.tolist(), content if content.ndim == 4 else coloured(content), strict=True))
            columns[f"{kind}_{configuration}"] = _column(ids, some)
    return columns


def _column(ids: Any, pictures: Mapping[int, np.ndarray]) -> pa.Array:
    cells = [
        {"bytes": encoded(pictures[place], "png"), "path": f"{name.replace('/', '_')}.png"}
        if place in pictures
        else None
        for place, name in enumerate(ids)
    ]
    return pa.array(cells, PICTURE)
