"""Scores with each image's own leading directions taken exactly.

Write M = J(x) S with S = I − UUᵀ (or its form with a prior precision), so that A = M Mᵀ and a probe's
y = M ξ has covariance A. The spectrum of A falls fast, image by image, even after the data set's leading
directions are gone, so that a plain mean of ‖y‖² spends most probes on a few directions. Here

1. a few first probes, shared by the images of a block, show where A(x) is large: Q, (m, D), the leading left
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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.accuracy import Spectrum, Split
from sluguq.slug.budget import Budget
from sluguq.slug.examples import count_of, one_of
from sluguq.slug.ggn import GGN
from sluguq.slug.passes import backward, forward
from sluguq.slug.probes import outputs
from sluguq.slug.projection import Projector
from sluguq.slug.shared import Chain


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
    is_significant = values > 100 * jnp.finfo(basis.dtype).eps * values[-1]
    whitening = jnp.where(is_significant, jax.lax.rsqrt(jnp.where(is_significant, values, 1)), 0)[:, None] * vectors.T
    return tuple(jnp.matmul(whitening, rows, precision="highest") for rows in (basis, images))


def directions_of(
    ggn: GGN, projector: Projector | Chain, image: Any, samples: jax.Array, count: int, block: int
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
    rest = outputs.reshape(*outputs.shape[:2], -1)
    if images.shape[1]:
        inner = jnp.einsum("nmd,pnd->pnm", coefficients, rest, precision="highest")
        rest = rest - jnp.einsum("nmd,pnm->pnd", images, inner, precision="highest")
    rest = jnp.square(rest)
    return rest.sum(-1), rest.reshape(outputs.shape).sum((0, -1)) if maps else None


@partial(jax.jit, static_argnames="shape")
def _exact(images, *, shape):
    """Tr Z Zᵀ and its map for each image of (n, m, D)."""
    diagonal = jnp.square(images).sum(1)
    return diagonal.sum(-1), diagonal.reshape(-1, *shape).sum(-1)


@dataclass(frozen=True)
class Plan:
    """How a batch is scored.

    :ivar directions: of each image's own, taken exactly; 0 is the plain mean over probes.
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
    :ivar energies: of each image, what every fresh probe saw of the rest.
    """

    score: np.ndarray
    sem: np.ndarray
    maps: np.ndarray | None
    probes: np.ndarray
    energies: list[np.ndarray]


class ProbeCache:
    """Projected probes of one block of images, kept between its batches as far as memory allows."""

    def __init__(self, tangents_of: Callable[[int, int], jax.Array], ggn: GGN, budget: Budget) -> None:
        self.tangents_of = tangents_of
        # Directions that the set shares may take the other half.
        self.room = budget.count("kept_probes", 2 * ggn.size * ggn.dtype.itemsize)
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


@jax.jit
def _output(apply, params, images):
    return apply(params, images)


PASS = 8
"""Tangents in one pass; what does not fill it goes by halves."""


def in_passes(first: int, count: int, block: int) -> Iterator[tuple[int, int]]:
    """Where ``count`` tangents from ``first`` on are cut, with how many there are in each pass.

    Whole passes, halves, and single ones: each size is a program of its own, which takes seconds to compile.
    """
    position = 0
    while position < count:
        rest = count - position
        size = min(block, next(size for size in (PASS, PASS // 2, 1) if size <= rest))
        yield first + position, size
        position += size


@partial(jax.jit, static_argnames="maps")
def _squares(outputs, *, maps):
    """‖y‖² for outputs (m, n, …), and its map summed over m."""
    squares = jnp.square(outputs)
    return squares.reshape(*squares.shape[:2], -1).sum(-1), squares.sum((0, -1)) if maps else None


class Passes:
    """One batch of images under blocks of tangents.

    :param images: the batch.
    :param count: how many of its images are asked for; the others fill it up.
    :param tangents_of: projected probes ``first`` to ``first + count`` of a sequence, (count, p).
    :param block: probes, or directions, on the device at a time.
    :param width: tangents side by side in one pass.
    """

    def __init__(
        self,
        ggn: GGN,
        images: Any,
        count: int,
        tangents_of: Callable[[int, int], jax.Array],
        *,
        block: int,
        width: int,
    ) -> None:
        self.ggn, self.images, self.count = ggn, images, count
        self.tangents_of, self.block, self.width = tangents_of, block, width

    def outputs(self, first: int, count: int) -> Iterator[jax.Array]:
        """J η for probes of the sequence and all images, in blocks of (m, n, …)."""
        for start, size in in_passes(first, count, self.block):
            yield self.under(self.tangents_of(start, size))

    def exactly(self, tangents: jax.Array, *, maps: bool) -> tuple[np.ndarray, np.ndarray]:
        """‖J v‖² for the rows v of (m, p), (m, count), float64, and its map summed over rows."""
        energies, total = [], np.zeros(0)
        for start, size in in_passes(0, len(tangents), self.block):
            energy, rest = _squares(self.under(tangents[start : start + size]), maps=maps)
            energies.append(np.asarray(energy, np.float64)[:, : self.count])
            if maps:
                total = (
                    total + np.asarray(rest, np.float64)[: self.count]
                    if start
                    else np.asarray(rest, np.float64)[: self.count]
                )
        return np.concatenate(energies), total

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the network's output for the batch; it is traced once."""
        return jax.eval_shape(_output, self.ggn.apply, self.ggn.params, self.images).shape

    def under(self, tangents: jax.Array) -> jax.Array:
        """J v for the rows v of (m, p) and all images, (m, n, …)."""
        tangents = self.ggn.placement.copied(tangents)
        width = min(self.width, len(tangents))
        return outputs(self.ggn.apply, self.ggn.params, self.images, tangents, width=width)

    def directions(self, projector: Projector | Chain, directions: int, first_probes: int) -> Directions:
        """Directions of every image from the sequence's first probes; of none, arrays without rows."""
        shape = self.output_shape
        if not directions:
            nothing = jnp.zeros((count_of(self.images), 0, int(np.prod(shape[1:]))), self.ggn.dtype)
            return Directions(*(self.ggn.placement.split(nothing) for _ in range(2)))
        samples = jnp.concatenate(list(self.outputs(0, first_probes)))
        flat = samples.reshape(first_probes, count_of(self.images), -1)
        block = min(directions, self.block)
        pairs = [
            directions_of(self.ggn, projector, one_of(self.images, i), flat[:, i], directions, block)
            for i in range(self.count)
        ]
        pairs += [(jnp.zeros_like(pairs[0][0]), jnp.zeros_like(pairs[0][1]))] * (count_of(self.images) - self.count)
        return Directions(*(self.ggn.placement.split(jnp.stack(arrays)) for arrays in zip(*pairs, strict=True)))

    def taken(self, rows: np.ndarray) -> "Passes":
        """The same for some of the images, in a batch of as many."""
        images = self.ggn.placement.split(jax.tree.map(lambda leaf: leaf[rows], self.images))
        return Passes(self.ggn, images, len(rows), self.tangents_of, block=self.block, width=self.width)


@jax.jit
def _joined(leaves):
    return jnp.concatenate(leaves, axis=1)


def gradients(passes: Passes, projector: Projector, directions: int) -> Iterator[jax.Array]:
    """S Jᵀ q for the leading directions q of each image in turn, (directions, p)."""
    count = Split(directions, 0).first_probes
    samples = jnp.concatenate(list(passes.outputs(0, count)))
    flat = samples.reshape(count, count_of(passes.images), -1)
    ggn = passes.ggn
    for i in range(passes.count):
        rows = backward(ggn.apply, ggn.params, one_of(passes.images, i), _leading(flat[:, i], directions))
        yield projector.project(_joined(rows))


def spectra(
    passes: Passes, projector: Projector | Chain, shared: jax.Array | None, directions: int, probes: int
) -> list[Spectrum]:
    """What shared and own directions see of each image's A, and sums over the rest from some fresh probes.

    :param projector: takes the shared directions off, too.
    """
    first_probes = Split(directions, 0).first_probes
    own = passes.directions(projector, directions, first_probes)
    energies = [_residual(output, *own, maps=False)[0] for output in passes.outputs(first_probes, probes)]
    rest = np.concatenate([np.asarray(energy, np.float64) for energy in energies])
    count = 0 if shared is None else len(shared)
    rows_of_parts = (
        [] if shared is None else [passes.under(shared[a : a + size]) for a, size in in_passes(0, count, passes.block)]
    )
    out = []
    for index in range(passes.count):
        rows = np.concatenate([part[:, index].reshape(len(part), -1) for part in rows_of_parts] + [own.images[index]])
        rows = rows.astype(np.float64)
        out.append(Spectrum(rows @ rows.T, count, rest[:, index].mean(), rest[:, index].var(ddof=1) / 2))
    return out


def deflated_batch(passes: Passes, projector: Projector | Chain, plan: Plan) -> Deflated:
    """Score a batch.

    ``plan.probes`` fresh probes at a time, until an image is within ``plan.tolerance``. When half of the batch is,
    what is left moves into a batch of half the size.
    """
    count, placement = passes.count, passes.ggn.placement
    own = passes.directions(projector, plan.directions, plan.first_probes)
    shape = passes.output_shape[1:]
    exact, exact_maps = (np.asarray(array, np.float64)[:count] for array in _exact(own.images, shape=shape))
    energies: list[np.ndarray] = [np.zeros(0)] * count
    score, sem = np.empty(count), np.empty(count)
    totals = np.zeros((count, *shape[:-1]))
    active = slots = np.arange(count)  # images still open, and where they are in the batch
    while len(active):
        number = len(energies[active[0]])
        for output in passes.outputs(plan.first_probes + number, plan.probes):
            energy, rest = _residual(output, *own, maps=plan.maps)
            for image, values in zip(active, np.asarray(energy, np.float64).T[slots], strict=True):
                energies[image] = np.append(energies[image], values)
            if plan.maps:
                totals[active] += np.asarray(rest, np.float64)[slots]
        everything = np.stack([energies[image] for image in active], axis=1)
        score[active] = exact[active] + everything.mean(axis=0)
        sem[active] = everything.std(axis=0, ddof=1) / np.sqrt(len(everything))
        if plan.tolerance is None or plan.first_probes + len(everything) >= plan.max_probes:
            break
        unfinished = sem[active] > plan.tolerance * score[active]
        active, slots = active[unfinished], slots[unfinished]
        half = -(-count_of(passes.images) // (2 * placement.count)) * placement.count
        if 0 < len(active) <= half < count_of(passes.images):
            rows = np.resize(slots, half)
            own = Directions(*(placement.split(array[rows]) for array in own))
            passes, slots = passes.taken(rows), np.arange(len(active))
    counts = np.array([len(values) for values in energies])
    every_map = exact_maps + totals / counts.reshape(-1, *(1,) * (totals.ndim - 1)) if plan.maps else None
    return Deflated(score, sem, every_map, counts, energies)
