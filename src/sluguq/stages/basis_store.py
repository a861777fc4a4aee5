"""Eigenbases on disk: vectors in blocks, so that neither writing nor reading needs them twice in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.store import StoreWriter, described, open_store, provenance, whole_file

_COLUMNS = 2**24
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


def read_basis(path: str | os.PathLike[str]) -> Eigenbasis:
    """Read what `write_basis` wrote; the vectors come as one NumPy array (rank, parameter)."""
    store = open_store(path)
    vectors = store["vectors"].values
    if store["vectors"].attrs.get("encoding") == "bfloat16 bits":
        vectors = vectors.view(ml_dtypes.bfloat16)
    return Eigenbasis(
        eigenvalues=store["eigenvalues"].values,
        vectors=vectors,
        residuals=store["residuals"].values,
        converged=store["converged"].values.astype(bool),
        orthogonality=store.attrs["orthogonality"],
        trace=store.attrs["trace"],
        trace_sem=store.attrs["trace_sem"],
        products=store.attrs["products"],
    )


def summary(basis: Eigenbasis) -> dict[str, Any]:
    """The spectrum and how far it can be trusted, as JSON knows it."""
    return {
        "eigenvalues": np.asarray(basis.eigenvalues, dtype=float).tolist(),
        "residuals": np.asarray(basis.residuals, dtype=float).tolist(),
        **scalars(basis),
    }


def scalars(basis: Eigenbasis) -> dict[str, Any]:
    """What describes an eigenbasis as a whole."""
    return {
        "orthogonality": float(basis.orthogonality),
        "trace": float(basis.trace),
        "trace_sem": float(basis.trace_sem),
        "products": int(basis.products),
        "unconverged": int((~np.asarray(basis.converged)).sum()),
    }


def write_summary(basis: Eigenbasis, path: str | os.PathLike[str]) -> None:
    """Write the summary, so that the spectrum outlives the vectors."""
    with whole_file(path) as partial:
        Path(partial).write_text(json.dumps(summary(basis), indent=1) + "\n")
