"""Eigenbases on disk: vectors in blocks, so that neither writing nor reading needs them twice in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import xarray as xr

from sluguq.machine.memory import host_memory_bytes
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.sketch import Sketch
from sluguq.slug.sketched import SketchedBasis
from sluguq.stores.files import whole_file
from sluguq.stores.provenance import provenance
from sluguq.stores.store import StoreWriter, open_store, write_store
from sluguq.stores.variables import described

_COLUMNS = 2**24
_HELD_SHARE = 0.25  # of the machine's memory may be taken by vectors that are read; the engine widens them on CPUs
_SOURCE = "Lanczos with full reorthogonalisation, on the generalised Gauss-Newton matrix of the SLUG paper, eq. 1"


def write_basis(
    basis: Eigenbasis,
    path: str | os.PathLike[str],
    *,
    attributes: Mapping[str, Any],
    configuration: str,
    device: str,
) -> None:
    """Write an eigenbasis as a store with the dimensions rank and parameter.

    bfloat16 vectors are stored as their 16 bits in uint16, as zarr has no such type; `read_basis` knows.
    """
    vectors = basis.vectors
    rank, parameters = vectors.shape
    half = np.dtype(vectors.dtype) == ml_dtypes.bfloat16
    title = "Leading eigenvectors of the generalised Gauss-Newton matrix"
    with StoreWriter(path, attributes={**attributes, **provenance(title, _SOURCE, configuration, device)}) as writer:
        for name, values, long_name in (
            ("eigenvalues", basis.eigenvalues, "eigenvalue, descending"),
            ("residuals", basis.residuals, "residual norm ||G u - lambda u||"),
            ("converged", basis.converged.astype("uint8"), "1 where the residual is within the tolerance"),
        ):
            writer.create(name, ("rank",), (rank,), values.dtype, attributes=described(long_name, _SOURCE))
            writer.write(name, ..., values)
        description = described("eigenvectors, in the order of ravel_pytree of the weights", _SOURCE)
        if half:
            description["encoding"] = "bfloat16 bits"
        writer.create(
            "vectors",
            ("rank", "parameter"),
            (rank, parameters),
            "uint16" if half else "float32",
            attributes=description,
        )
        for row in range(rank):
            for start in range(0, parameters, _COLUMNS):
                block = np.asarray(vectors[row, start : start + _COLUMNS])
                block = block.view(np.uint16) if half else block.astype(np.float32)
                writer.write("vectors", (row, slice(start, start + len(block))), block)


def write_sketched_basis(
    basis: SketchedBasis,
    path: str | os.PathLike[str],
    *,
    attributes: Mapping[str, Any],
    configuration: str,
    device: str,
) -> None:
    """Write a sketched basis, with the random transform, as a store with the dimensions rank and sketch."""
    source = "Lanczos by a three-term recurrence, sketched as it goes; Miani et al. 2024, Sketched Lanczos Uncertainty"
    dataset = xr.Dataset(
        {
            "eigenvalues": ("rank", basis.eigenvalues, described("eigenvalue, descending", source)),
            "residuals": ("rank", basis.residuals, described("residual norm ||G u - lambda u||", source)),
            "sketched": (
                ("rank", "sketch"),
                np.asarray(basis.sketched),
                described("orthonormal rows spanning the sketched eigenvectors", source),
            ),
            "signs": (("block", "entry"), np.asarray(basis.sketch.signs), described("signs of the sketch", source)),
            "rows": (("block", "row"), np.asarray(basis.sketch.rows), described("rows kept by the sketch", source)),
        },
        attrs={**attributes, **sketched_scalars(basis)},
    )
    title = "Leading directions of the generalised Gauss-Newton matrix, seen through a sketch"
    write_store(dataset, path, title=title, source=source, configuration=configuration, device=device)


def sketched_scalars(basis: SketchedBasis) -> dict[str, Any]:
    """What describes a sketched basis as a whole."""
    return {name: int(getattr(basis, name)) for name in ("ghosts", "negative", "unconverged", "products")}


class StoredVectors:
    """Eigenvectors (rank, parameter) that stay in their store and are read a block at a time, whenever they are used.

    What the engine asks of vectors: `shape`, `dtype`, `size`, and blocks `[rows, columns]` as NumPy arrays. Rows alone,
    `[:rank]`, are such vectors again.
    """

    ndim = 2

    def __init__(self, variable: xr.DataArray):
        half = variable.attrs.get("encoding") == "bfloat16 bits"
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


def read_basis(path: str | os.PathLike[str]) -> Eigenbasis | SketchedBasis:
    """Read what `write_basis` or `write_sketched_basis` wrote.

    Vectors come as one NumPy array; where that would take a good part of the memory, as `StoredVectors`.
    """
    store = open_store(path)
    if "sketched" in store:
        return SketchedBasis(
            eigenvalues=store["eigenvalues"].values,
            sketched=jnp.asarray(store["sketched"].values),
            residuals=store["residuals"].values,
            sketch=Sketch(jnp.asarray(store["signs"].values), jnp.asarray(store["rows"].values)),
            **{name: store.attrs[name] for name in ("ghosts", "negative", "unconverged", "products")},
        )
    vectors = StoredVectors(store["vectors"])
    return Eigenbasis(
        eigenvalues=store["eigenvalues"].values,
        vectors=vectors if vectors.nbytes > _HELD_SHARE * host_memory_bytes() else np.asarray(vectors),
        residuals=store["residuals"].values,
        converged=store["converged"].values.astype(bool),
        orthogonality=store.attrs["orthogonality"],
        trace=store.attrs["trace"],
        trace_sem=store.attrs["trace_sem"],
        products=store.attrs["products"],
    )


def scalars(basis: Eigenbasis) -> dict[str, Any]:
    """What describes an eigenbasis as a whole."""
    return {
        "orthogonality": float(basis.orthogonality),
        "trace": float(basis.trace),
        "trace_sem": float(basis.trace_sem),
        "products": int(basis.products),
        "unconverged": int((~np.asarray(basis.converged)).sum()),
    }


def write_summary(basis: Eigenbasis | SketchedBasis, path: str | os.PathLike[str]) -> None:
    """Write the spectrum and how far it can be trusted as JSON, so that it outlives the vectors."""
    content = {
        "eigenvalues": np.asarray(basis.eigenvalues, dtype=float).tolist(),
        "residuals": np.asarray(basis.residuals, dtype=float).tolist(),
        **(sketched_scalars(basis) if isinstance(basis, SketchedBasis) else scalars(basis)),
    }
    with whole_file(path) as partial:
        Path(partial).write_text(json.dumps(content, indent=1) + "\n")
