"""Taking the directions of a basis off vectors in weight space.

    S v = v − Uᵀ diag(w) U v

with the eigenvectors as the rows of U (k, p); w = 1 projects, and with a prior precision α

    w = 1 − √(α / (λ + α))

makes S Sᵀ the covariance of the low-rank linearised Laplace approximation, α⁻¹ left out. U lies on the device,
cut into the columns of each parameter array, or where it has no room there is streamed from the host or a file.
Tangents of an image's own directions come as one array (m, size) a parameter array too: making whole vectors
of them costs as much time as the pass itself.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.placement import memory_bytes, platform

_BLOCK_BYTES = 1 << 28  # of basis vectors moved to the device at a time
_BASIS_SHARE = 0.3  # of the device's memory may be taken by a basis that is moved to the device

Leaves = tuple[jax.Array, ...]


class DeviceBasis(NamedTuple):
    """A basis on the device.

    :ivar blocks: (k, size) for each parameter array, in the order of the flat vector.
    """

    blocks: Leaves


def near(vectors: Any, params: Any) -> Any:
    """The basis (k, p) on the device, where it has room; else as it is.

    On CPUs bfloat16 is widened once: doing so costs more than a product does.
    """
    if vectors is None:
        return None
    wide = jnp.float32 if platform() == "cpu" and vectors.dtype == jnp.bfloat16 else vectors.dtype
    if vectors.size * jnp.dtype(wide).itemsize > _BASIS_SHARE * memory_bytes():
        return vectors
    return DeviceBasis(tuple(jnp.asarray(vectors[:, columns], wide) for columns in _columns_of_leaves(params)))


def _columns_of_leaves(params: Any) -> list[slice]:
    stops = np.cumsum([leaf.size for leaf in jax.tree.leaves(params)])
    return [slice(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def shrinkage(eigenvalues: np.ndarray, prior_precision: float) -> np.ndarray:
    """w = 1 − √(α / (λ + α)), (k,): what is taken off a probe along each eigenvector; 1 for α = 0."""
    values = np.maximum(np.asarray(eigenvalues, np.float64), 0)
    if prior_precision == 0:
        return np.ones_like(values)
    return 1 - np.sqrt(prior_precision / (values + prior_precision))


@jax.jit
def _coefficients(total, probes, rows):
    # In this order XLA's CPU backend transposes a copy of the few probes, not of the basis.
    return total + jnp.matmul(rows.astype(probes.dtype), probes.T, precision="highest").T


@jax.jit
def _combine(coefficients, rows):
    return jnp.matmul(coefficients, rows.astype(coefficients.dtype), precision="highest")


@jax.jit
def _combine_all(coefficients, blocks):
    return jnp.concatenate([_combine(coefficients, block) for block in blocks], axis=1)


@jax.jit
def _project_leaves(blocks, leaves, weights):
    coefficients = jnp.zeros((leaves[0].shape[0], len(weights)), weights.dtype)
    for block, leaf in zip(blocks, leaves, strict=True):
        coefficients = _coefficients(coefficients, leaf, block)
    coefficients = coefficients * weights
    return tuple(leaf - _combine(coefficients, block) for block, leaf in zip(blocks, leaves, strict=True))


def split(vectors: jax.Array, sizes: list[int]) -> Leaves:
    """Flat vectors (m, p) as one array (m, size) for each parameter array."""
    return tuple(jnp.split(vectors, np.cumsum(sizes)[:-1], axis=1))


@jax.jit
def _project_flat(blocks, probes, weights):
    leaves = split(probes, [block.shape[1] for block in blocks])
    return jnp.concatenate(_project_leaves(blocks, leaves, weights), axis=1)


def combination(vectors: Any, coefficients: jax.Array) -> jax.Array:
    """C U, (m, p), for coefficients C (m, k)."""
    if isinstance(vectors, DeviceBasis):
        return _combine_all(coefficients, vectors.blocks)
    return jnp.concatenate([_combine(coefficients, rows) for _, rows in _streamed(vectors)], axis=1)


def projected(vectors: Any, probes: jax.Array, weights: np.ndarray | None = None) -> jax.Array:
    """S v for each row of (m, p), by a basis wherever it lies, or None; weights (k,) are 1 by default."""
    if vectors is None:
        return probes
    if isinstance(vectors, DeviceBasis):
        return _project_flat(vectors.blocks, probes, _weights(vectors.blocks[0], weights, probes.dtype))
    coefficients = jnp.zeros((len(probes), len(vectors)), probes.dtype)
    for columns, rows in _streamed(vectors):
        coefficients = _coefficients(coefficients, probes[:, columns], rows)
    return probes - combination(vectors, coefficients * _weights(vectors, weights, probes.dtype))


def projected_leaves(vectors: Any, leaves: Leaves, weights: np.ndarray | None = None) -> Leaves:
    """:func:`projected` for vectors that come as one array (m, size) for each parameter array."""
    if vectors is None:
        return leaves
    if isinstance(vectors, DeviceBasis):
        return _project_leaves(vectors.blocks, leaves, _weights(vectors.blocks[0], weights, leaves[0].dtype))
    return split(projected(vectors, jnp.concatenate(leaves, axis=1), weights), [leaf.shape[1] for leaf in leaves])


def _weights(rows: Any, weights: np.ndarray | None, dtype: Any) -> jax.Array:
    return jnp.ones(len(rows), dtype) if weights is None else jnp.asarray(weights, dtype)


def _streamed(vectors: Any) -> Iterator[tuple[slice, jax.Array]]:
    """The basis in blocks of columns; vectors that already lie on a device are one block."""
    count, length = vectors.shape
    width = length if isinstance(vectors, jax.Array) else max(1, _BLOCK_BYTES // (4 * count))
    for start in range(0, length, width):
        columns = slice(start, min(length, start + width))
        yield columns, jnp.asarray(vectors[:, columns])
