"""Scores with each image's own leading directions taken exactly.

Write M = J(x) S with S = I − UUᵀ (or its form with a prior precision), so that A = M Mᵀ and a probe's
y = M ξ has covariance A. The spectrum of A falls fast, image by image, even after the data set's leading
directions are gone, so that a plain mean of ‖y‖² spends most probes on a few directions. Here

1. a few first probes, shared by all images, show where A(x) is large: Q, (m, D), the leading left
   singular vectors of their y;
2. one backward and one forward pass each give A Q = J S² (Jᵀ Q);
3. with C from the eigendecomposition of H = Q A Qᵀ, such that C H Cᵀ = I, the rows of V = C Q M are
   orthonormal in weight space; Z = C Q A is V's image, and Tr Z Zᵀ is taken exactly;
4. fresh probes estimate the rest, E ‖M (I − VVᵀ) ξ‖². Since V ξ = C Q y, this needs no vector in
   weight space: the residual of a probe is y − Zᵀ C Q y.

The estimate Tr Z Zᵀ + mean ‖y − Zᵀ C Q y‖² is unbiased for any Q that the fresh probes do not depend on,
never negative, and so is its diagonal, the map. This is a Nyström approximation plus Hutchinson's
estimator on what it leaves (Persson, Cortinovis and Kressner, "Improved variants of the Hutch++
algorithm for trace estimation", 2022), with the first probes in place of a random test matrix: they
bring the range of A^{1/2} for the price of forward passes alone. One image at a time goes through steps 2
and 3, all its directions side by side, see :mod:`sluguq.slug.passes`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.budget import Budget
from sluguq.slug.examples import count_of, one_of
from sluguq.slug.ggn import GGN
from sluguq.slug.passes import backward, forward
from sluguq.slug.probes import outputs
from sluguq.slug.projection import Projector


class Directions(NamedTuple):
    """What is known exactly of a batch of images.

    :ivar coefficients: (n, m, D), C Q: from a probe's output to its coefficients on V.
    :ivar images: (n, m, D), Z = C Q A, the images of V.
    """

    coefficients: jax.Array
    images: jax.Array


@partial(jax.jit, static_argnames="count")
def _leading(samples, count):
    """(m, D) orthonormal leading right singular vectors of (N, D), m = count ≤ N."""
    _, vectors = jnp.linalg.eigh(jnp.matmul(samples, samples.T, precision="highest"))
    rows = jnp.matmul(vectors[:, ::-1][:, :count].T, samples, precision="highest")
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), jnp.finfo(rows.dtype).tiny)


@jax.jit
def _nystrom(basis, images):
    """C Q and C Q A, (m, D) each, from Q and Q A; rows of zeros for what rounding cannot tell from nothing."""
    inner = jnp.matmul(basis, images.T, precision="highest")
    values, vectors = jnp.linalg.eigh((inner + inner.T) / 2)
    kept = values > 100 * jnp.finfo(basis.dtype).eps * values[-1]
    whitening = jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, values, 1)), 0)[:, None] * vectors.T
    return tuple(jnp.matmul(whitening, rows, precision="highest") for rows in (basis, images))


def directions_of(
    ggn: GGN, projector: Projector, image: Any, samples: jax.Array, count: int, block: int
) -> tuple[jax.Array, jax.Array]:
    """C Q and Z, both (count, D), of one image (1, height, width, channels) from samples y, (N, D).

    ``block`` directions at a time: each is a weight vector while it passes.
    """
    basis = _leading(samples, count)
    images = []
    for start in range(0, count, block):
        rows = backward(ggn.apply, ggn.params, image, basis[start : start + block])
        images.append(forward(ggn.apply, ggn.params, image, projector.project_twice(rows)))
    return _nystrom(basis, jnp.concatenate(images))


@partial(jax.jit, static_argnames="maps")
def _residual(outputs, coefficients, images, *, maps):
    """‖y − Zᵀ C Q y‖² for probes' outputs (N, n, …), and its map summed over probes."""
    flat = outputs.reshape(*outputs.shape[:2], -1)
    inner = jnp.einsum("nmd,pnd->pnm", coefficients, flat, precision="highest")
    rest = jnp.square(flat - jnp.einsum("nmd,pnm->pnd", images, inner, precision="highest"))
    return rest.sum(-1), rest.reshape(outputs.shape).sum((0, -1)) if maps else None


@partial(jax.jit, static_argnames="shape")
def _exact(images, *, shape):
    """Tr Z Zᵀ and its map for each image of (n, m, D)."""
    diagonal = jnp.square(images).sum(1)
    return diagonal.sum(-1), diagonal.reshape(-1, *shape).sum(-1)


@dataclass(frozen=True)
class Plan:
    """How a batch is scored.

    :ivar directions: of each image's own, taken exactly.
    :ivar first_probes: probes that show them.
    :ivar probes: fresh probes at a time.
    :ivar tolerance: relative standard error at which an image stops; None after ``probes`` probes.
    :ivar max_probes: where it gives up.
    :ivar maps: whether maps are wanted.
    """

    directions: int
    first_probes: int
    probes: int
    tolerance: float | None
    max_probes: int
    maps: bool


class Deflated(NamedTuple):
    """Estimates of a batch of n images.

    :ivar score: (n,) the estimate.
    :ivar sem: (n,) its standard error, from the fresh probes.
    :ivar maps: (n, height, width), or None.
    :ivar probes: (n,) fresh probes spent.
    """

    score: np.ndarray
    sem: np.ndarray
    maps: np.ndarray | None
    probes: np.ndarray


class ProbeCache:
    """Projected probes by block, kept between batches of images as far as memory allows."""

    def __init__(self, tangents_of: Callable[[int, int], jax.Array], ggn: GGN, budget: Budget) -> None:
        self.tangents_of = tangents_of
        self.room = budget.count("kept_probes", ggn.size * ggn.dtype.itemsize)
        self.blocks: dict[tuple[int, int], jax.Array] = {}

    def __call__(self, first: int, count: int) -> jax.Array:
        """Probes ``first`` to ``first + count``, (count, p)."""
        if (first, count) in self.blocks:
            return self.blocks[first, count]
        tangents = self.tangents_of(first, count)
        if count <= self.room:
            self.room -= count
            self.blocks[first, count] = tangents
        return tangents


def deflated_batch(
    ggn: GGN,
    images: Any,
    count: int,
    cache: Callable[[int, int], jax.Array],
    projector: Projector,
    plan: Plan,
    *,
    block: int,
    width: int,
) -> Deflated:
    """Score the first ``count`` images of a batch; the others fill it up.

    ``plan.probes`` fresh probes at a time, until an image is within ``plan.tolerance``. When half of the batch is,
    what is left moves into a batch of half the size.

    :param block: probes, or directions, on the device at a time.
    :param width: tangents side by side in one pass.
    """
    directions, first_probes, probes, maps = plan.directions, plan.first_probes, plan.probes, plan.maps

    def passed(images: Any, first: int, count: int):
        for start in range(first, first + count, block):
            size = min(block, first + count - start)
            tangents = ggn.placement.copied(cache(start, size))
            yield outputs(ggn.apply, ggn.params, images, tangents, width=min(width, size))

    samples = jnp.concatenate(list(passed(images, 0, first_probes)))
    shape = samples.shape[2:]
    flat = samples.reshape(first_probes, samples.shape[1], -1)
    pairs = [
        directions_of(ggn, projector, one_of(images, i), flat[:, i], directions, min(directions, block))
        for i in range(count)
    ]
    pairs += [(jnp.zeros_like(pairs[0][0]), jnp.zeros_like(pairs[0][1]))] * (count_of(images) - count)
    known = Directions(*(ggn.placement.split(jnp.stack(arrays)) for arrays in zip(*pairs, strict=True)))
    exact, exact_maps = (np.asarray(array, np.float64)[:count] for array in _exact(known.images, shape=shape))
    energies: list[list[np.ndarray]] = [[] for _ in range(count)]
    score, sem = np.empty(count), np.empty(count)
    totals = np.zeros((count, *shape[:-1]))
    counts = np.zeros(count, int)
    active = slots = np.arange(count)  # images still open, and where they are in the batch
    while len(active):
        spent = int(counts[active[0]])
        for output in passed(images, first_probes + spent, probes):
            energy, rest = _residual(output, *known, maps=maps)
            for image, seen in zip(active, np.asarray(energy, np.float64).T[slots], strict=True):
                energies[image].append(seen)
            if maps:
                totals[active] += np.asarray(rest, np.float64)[slots]
        counts[active] += probes
        everything = np.stack([np.concatenate(energies[image]) for image in active], axis=1)
        score[active] = exact[active] + everything.mean(axis=0)
        sem[active] = everything.std(axis=0, ddof=1) / np.sqrt(len(everything))
        if plan.tolerance is None or first_probes + len(everything) >= plan.max_probes:
            break
        left = sem[active] > plan.tolerance * score[active]
        active, slots = active[left], slots[left]
        half = -(-count_of(images) // (2 * ggn.placement.count)) * ggn.placement.count
        if 0 < len(active) <= half < count_of(images):
            rows = np.resize(slots, half)
            picked = [jax.tree.map(lambda array, rows=rows: array[rows], tree) for tree in (images, *known)]
            images, *moved = (ggn.placement.split(tree) for tree in picked)
            known, slots = Directions(*moved), np.arange(len(active))
    every_map = exact_maps + totals / counts.reshape(-1, *(1,) * (totals.ndim - 1)) if maps else None
    return Deflated(score, sem, every_map, counts)
