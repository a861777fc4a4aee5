"""Bases on disk: vectors in blocks, so that neither writing nor reading needs them twice in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import xarray as xr

from sluguq.slug.budget import Budget
from sluguq.slug.estimators import ESTIMATORS, Part, estimator_of
from sluguq.stores.files import whole_file
from sluguq.stores.provenance import provenance
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import described

_COLUMNS = 2**24
_HALF = "bfloat16 bits"


def write_basis_store(
    path: str | os.PathLike[str],
    basis: Any,
    *,
    attributes: Mapping[str, Any],
    configuration: str,
    device: str,
) -> None:
    """Write the basis of any estimator as a store, its arrays as variables and its scalars as attributes.

    bfloat16 vectors are stored as their 16 bits in uint16, as zarr has no such type; `read_basis_store` knows.

    :param path: store to write.
    :param basis: of any estimator.
    :param attributes: what else the store says of itself.
    :param configuration: what the basis depends on, as YAML.
    :param device: the device that computed it, in words.
    """
    estimator = estimator_of(basis)
    origin = provenance(estimator.title, estimator.source, configuration, device)
    content = {**attributes, "estimator": estimator.name, **estimator.scalars(basis)}
    with StoreWriter(path, attributes={**content, **origin}) as writer:
        for name, part in estimator.parts(basis).items():
            _write_part(writer, name, part, estimator.source)


def _write_part(writer: StoreWriter, name: str, part: Part, source: str) -> None:
    values, description = part.values, described(part.long_name, source)
    half = np.dtype(values.dtype) == ml_dtypes.bfloat16
    if half:
        description["encoding"] = _HALF
    dtype = "uint16" if half else values.dtype
    writer.create(name, part.dimensions, values.shape, dtype, attributes=description)
    if len(values.shape) == 1:
        writer.write(name, ..., np.asarray(values))
        return
    for row in range(values.shape[0]):
        for start in range(0, values.shape[1], _COLUMNS):
            block = np.asarray(values[row, start : start + _COLUMNS])
            writer.write(name, (row, slice(start, start + len(block))), block.view(np.uint16) if half else block)


class StoredVectors:
    """Eigenvectors (rank, parameter) that stay in their store and are read a block at a time, whenever they are used.

    What the engine asks of vectors: `shape`, `dtype`, `size`, and blocks `[rows, columns]` as NumPy arrays. Rows alone,
    `[:rank]`, are such vectors again.
    """

    ndim = 2

    def __init__(self, variable: xr.DataArray):
        half = variable.attrs.get("encoding") == _HALF
        self._variable, self.shape = variable, variable.shape
        self.dtype = np.dtype(ml_dtypes.bfloat16) if half else variable.dtype
        self.size, self.nbytes = variable.size, variable.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        part = self._variable[index]
        return StoredVectors(part) if isinstance(index, slice) else part.values.view(self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._variable.values.view(self.dtype), dtype)


def read_basis_store(path: str | os.PathLike[str], budget: Budget | None = None) -> Any:
    """Read what `write_basis_store` wrote: the basis of whichever estimator it belongs to.

    Arrays come as NumPy arrays; where that would take more than its share of the memory, as `StoredVectors`.

    :param path: store of a basis.
    :param budget: of memory; None for this machine's.
    """
    store = open_store(path)
    budget = budget or Budget()
    arrays: dict[str, Any] = {}
    for name, variable in store.data_vars.items():
        vectors = StoredVectors(variable) if variable.ndim == 2 else variable.values
        if variable.ndim == 2 and budget.takes("held_basis", vectors.nbytes):
            vectors = np.asarray(vectors)
        arrays[str(name)] = vectors
    return ESTIMATORS[_estimator_name(store)].restored(arrays, store.attrs)


def words_of_basis(path: str | os.PathLike[str]) -> str:
    """How the estimator that a basis belongs to scores, in words.

    :param path: of the basis's store.
    """
    store = open_store(path)
    return ESTIMATORS[_estimator_name(store)].words


def _estimator_name(store: xr.Dataset) -> str:
    return str(store.attrs.get("estimator", "sketched" if "sketched" in store else "projected"))


def write_summary(path: str | os.PathLike[str], basis: Any) -> None:
    """Write the spectrum and how far it can be trusted as JSON, so that it outlives the vectors.

    :param path: JSON to write.
    :param basis: of any estimator.
    """
    content = {
        "eigenvalues": np.asarray(basis.eigenvalues, dtype=float).tolist(),
        "residuals": np.asarray(basis.residuals, dtype=float).tolist(),
        **estimator_of(basis).scalars(basis),
    }
    with whole_file(path) as partial:
        Path(partial).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
