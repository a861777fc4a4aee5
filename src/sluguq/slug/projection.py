"""Taking the directions of a basis off vectors in weight space.

    S v = v − Uᵀ diag(w) U v

with the eigenvectors as the rows of U (k, p); w = 1 projects, and with a prior precision α

    w = 1 − √(α / (λ + α))

makes S Sᵀ the covariance of the low-rank linearised Laplace approximation, α⁻¹ left out. U lies on the device,
cut into the columns of each parameter array, or where it has no room there is streamed from the host or a file.
Tangents of an image's own directions come as one array (m, size) a parameter array too: making whole vectors
of them costs as much time as the pass itself.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.budget import Budget
from sluguq.slug.placement import platform

Leaves = tuple[jax.Array, ...]


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


class Projector:
    """S of one basis and one prior precision; without a basis, the identity.

    :param vectors: (k, p), rows of U: a JAX or NumPy array, a memory map, or whatever slices like one; None for no
        basis.
    :param weights: (k,) w; 1 by default.
    :param block_bytes: of a basis off the device, how much is moved there at a time.
    """

    def __init__(self, vectors: Any, weights: np.ndarray | None = None, *, block_bytes: int = Budget.block_bytes):
        self.vectors, self.block_bytes = vectors, block_bytes
        self.rank = 0 if vectors is None else len(vectors)
        self.weights = np.ones(self.rank) if weights is None else np.asarray(weights, np.float64)
        self.blocks: Leaves | None = None  # U on the device, (k, size) for each parameter array

    @classmethod
    def of(cls, basis: Any, params: Any, *, prior_precision: float = 0.0, budget: Budget | None = None) -> "Projector":
        """The projector of an eigenbasis (None for none), its vectors on the device where they have room there.

        :param basis: an eigenbasis; None for none.
        :param params: the weights, for their shapes.
        :param prior_precision: α ≥ 0.
        :param budget: of memory; None for this machine's.
        """
        budget = budget or Budget()
        if basis is None:
            return cls(None)
        weights = shrinkage(basis.eigenvalues, prior_precision)
        projector = cls(basis.vectors, weights, block_bytes=budget.block_bytes)
        projector._move([leaf.size for leaf in jax.tree.leaves(params)], budget)
        return projector

    def _move(self, sizes: Sequence[int], budget: Budget) -> None:
        """U to the device, where it has room. On CPUs bfloat16 is widened once: that costs more than a product."""
        vectors = self.vectors
        wide = jnp.float32 if platform() == "cpu" and vectors.dtype == jnp.bfloat16 else vectors.dtype
        if budget.takes("basis", vectors.size * jnp.dtype(wide).itemsize):
            stops = np.cumsum([0, *sizes])
            columns = [slice(start, stop) for start, stop in pairwise(stops)]
            self.blocks = tuple(jnp.asarray(vectors[:, part], wide) for part in columns)

    @property
    def spread(self) -> np.ndarray:
        """√(1 − (1 − w)²) = √(λ / (λ + α)), (k,): the root of what S Sᵀ lacks along each eigenvector."""
        return np.sqrt(1 - (1 - self.weights) ** 2)

    def truncated(self, rank: int) -> "Projector":
        """The projector of the leading ``rank`` rows."""
        vectors = None if self.vectors is None or rank == 0 else self.vectors[:rank]
        shorter = Projector(vectors, self.weights[:rank], block_bytes=self.block_bytes)
        if self.blocks is not None and rank:
            shorter.blocks = tuple(block[:rank] for block in self.blocks)
        return shorter

    def as_projection(self) -> "Projector":
        """I − UUᵀ of the same rows, whatever the weights."""
        plain = Projector(self.vectors, block_bytes=self.block_bytes)
        plain.blocks = self.blocks
        return plain

    def combine(self, coefficients: jax.Array) -> jax.Array:
        """C U, (m, p), for coefficients C (m, k)."""
        if self.blocks is not None:
            return _combine_all(coefficients, self.blocks)
        return jnp.concatenate([_combine(coefficients, rows) for _, rows in self._streamed()], axis=1)

    def project(self, probes: jax.Array) -> jax.Array:
        """S v for each row of (m, p)."""
        return self._project(probes, self.weights)

    def _project(self, probes: jax.Array, weights: np.ndarray) -> jax.Array:
        if self.vectors is None:
            return probes
        factors = jnp.asarray(weights, probes.dtype)
        if self.blocks is not None:
            return _project_flat(self.blocks, probes, factors)
        coefficients = jnp.zeros((len(probes), self.rank), probes.dtype)
        for columns, rows in self._streamed():
            coefficients = _coefficients(coefficients, probes[:, columns], rows)
        return probes - self.combine(coefficients * factors)

    def project_twice(self, leaves: Leaves) -> Leaves:
        """S² v for vectors that come as one array (m, size) for each parameter array; S² has the form of S."""
        if self.vectors is None:
            return leaves
        weights = 1 - (1 - self.weights) ** 2
        if self.blocks is not None:
            return _project_leaves(self.blocks, leaves, jnp.asarray(weights, leaves[0].dtype))
        flat = self._project(jnp.concatenate(leaves, axis=1), weights)
        return split(flat, [leaf.shape[1] for leaf in leaves])

    def _streamed(self) -> Iterator[tuple[slice, jax.Array]]:
        """U in blocks of columns; vectors that already lie on a device are one block."""
        length = self.vectors.shape[1]
        on_device = isinstance(self.vectors, jax.Array)
        width = length if on_device else max(1, self.block_bytes // (4 * self.rank))
        for start in range(0, length, width):
            columns = slice(start, min(length, start + width))
            yield columns, jnp.asarray(self.vectors[:, columns])
