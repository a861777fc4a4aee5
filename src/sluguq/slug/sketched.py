"""The papers' estimator: a low-memory Lanczos, sketched, and output-space probes.

Miani et al., "Sketched Lanczos uncertainty score" (NeurIPS 2024), as used by López-Pérez et al. for SLUG:
three-term Lanczos keeps two weight vectors alive; each is sketched as it appears, and orthogonality is
restored among the sketches afterwards. A score is then the mean over ε ~ N(0, I_D) of

    ‖g‖² − ‖U_S S g‖²,    g = J(x)ᵀ ε.

Sketching keeps lengths on average only. What lies outside the span of U so loses k / s of its length, a small
bias; what lies within it errs by a share of ‖J‖², alike for all images of a model, so that scores come out far
off, and negative, where they are small against ‖J‖²: :func:`sluguq.score` has neither fault and is faster.
"""

import os
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.progress import Progress
from sluguq.slug.backoff import until_it_fits
from sluguq.slug.basis_files import write_basis
from sluguq.slug.checks import (
    check_does_not_vanish,
    check_finite_scores,
    check_key,
    check_probes,
    check_rank,
    check_sketch,
    check_sketched_basis,
    checked,
)
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution, in_plain_modes
from sluguq.slug.fingerprint import fingerprint
from sluguq.slug.ggn import GGN
from sluguq.slug.likelihood import measured
from sluguq.slug.network import Apply, parameter_count
from sluguq.slug.norms import norm
from sluguq.slug.passes import backward
from sluguq.slug.probes import draw
from sluguq.slug.recurrence import rounding
from sluguq.slug.room import iterations_of
from sluguq.slug.scores import Scores
from sluguq.slug.sketch import Sketch, apply_sketch, make_sketch

_RUNS = 8  # times the recurrence is run, at most


class SketchedBasis(NamedTuple):
    """The leading directions of G, seen through a sketch.

    :ivar eigenvalues: (k,) Ritz values kept, descending; k may be below the rank asked for.
    :ivar sketched: (k, s) orthonormal rows, spanning the sketches of the Ritz vectors.
    :ivar residuals: (k,) ‖G u − λ u‖, as the three-term recurrence has it.
    :ivar sketch: the random transform S.
    :ivar ghosts: copies of eigenvalues that the recurrence found again, left out.
    :ivar negative: Ritz values that were negative (rounding: G has none), left out.
    :ivar unconverged: Ritz pairs above the last one kept that had not converged, left out.
    :ivar products: how many products with G were spent.
    :ivar fingerprint: of the weights that the basis belongs to, see :mod:`sluguq.slug.fingerprint`; empty if unknown.
    """

    eigenvalues: np.ndarray
    sketched: jax.Array
    residuals: np.ndarray
    sketch: Sketch
    ghosts: int
    negative: int
    unconverged: int
    products: int
    fingerprint: str = ""

    @property
    def estimator(self) -> str:
        """The name of the estimator that scores by it."""
        return "sketched"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the basis as one file, whole or not at all; :func:`~sluguq.slug.saved.load_basis` reads it.

        :param path: the file.
        """
        write_basis(path, self.estimator, self)


@in_plain_modes
def sketched_eigenbasis(
    apply: Apply,
    params: Any,
    images: Any,
    *,
    rank: int = 50,
    sketch_size: int = 20_000,
    batch_size: int = 64,
    key: jax.Array,
    iterations: int | None = None,
    subset: Sequence[int] | np.ndarray | slice | None = None,
    likelihood: str = "gaussian",
    channel_axis: int = -1,
    tolerance: float = 0.05,
    execution: Execution | None = None,
) -> SketchedBasis:
    """The leading directions of G by three-term Lanczos, kept only as sketches.

    Memory: three weight vectors and ``iterations`` sketches. Without reorthogonalisation the recurrence finds
    converged eigenvalues again: such ghosts have sketches in the span of those before them and are left out,
    as are negative and unconverged Ritz pairs; all are counted. One start vector sees one direction of each
    eigenspace, so that the recurrence is run again from others, until one brings no direction above the last.

    :param apply: pure function (params, images) → (n, height, width, channels).
    :param params: pytree of floating-point arrays.
    :param images: (n, height, width, channels), as for ``eigenbasis``.
    :param rank: the most directions to keep.
    :param sketch_size: s, between ``iterations`` and the number of weights.
    :param batch_size: the most images at a time.
    :param key: ``jax.random.key``.
    :param iterations: products with G of each run; 2 · rank + 10 by default. There are at least two runs.
    :param subset: indices of the images to use, a mask or a slice; all by default.
    :param likelihood: whose Hessian in the outputs is in G, as for ``eigenbasis``.
    :param channel_axis: of the output, along which the classes of a categorical likelihood lie.
    :param tolerance: a pair has converged when its residual is at most tolerance · λ.
    :param execution: where and how it runs.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
    """
    execution = execution or Execution()
    check_key(key)
    images = examples_of(images, subset)
    apply, params = checked(measured(apply, likelihood, channel_axis), params, images)
    check_rank(rank, params)
    ggn = GGN(apply, params, images, batch_size=batch_size, execution=execution)
    iterations = iterations_of(rank, ggn.size) if iterations is None else min(ggn.size, max(rank, iterations))
    check_sketch(sketch_size, iterations, ggn.size)
    start_key, sketch_key = jax.random.split(key)
    sketch = make_sketch(sketch_key, ggn.size, sketch_size)
    with jax.default_matmul_precision(execution.matmul_precision):
        first = directions = _run(ggn, sketch, iterations, rank, tolerance, start_key, execution.progress)
        products, complete = first.steps, False
        while not complete and products < _RUNS * iterations:
            again_key = jax.random.fold_in(start_key, products)
            again = _run(ggn, sketch, iterations, rank, tolerance, again_key, execution.progress)
            products += again.steps
            directions, added = _joined(directions, again, rank)
            complete = not added
    count = len(directions.values)
    check_does_not_vanish(first.largest, ggn.dtype)
    if not count:
        raise ValueError(f"no Ritz pair has converged to {tolerance:g} in {first.steps} iterations: raise iterations")
    if count < min(rank, first.steps) or first.negative or not complete:
        warnings.warn(
            f"{count} of {rank} directions are kept: {first.unconverged} Ritz pairs have not converged, {first.ghosts} "
            f"are ghosts, {first.negative} are negative, and the last run "
            f"{'brought no more' if complete else 'still brought more'}. Raise iterations, or lower rank to {count}: "
            f"the data may determine no more directions",
            stacklevel=3,
        )
    return SketchedBasis(
        eigenvalues=directions.values,
        sketched=jnp.asarray(np.linalg.qr(directions.rows.T)[0].T, ggn.dtype),
        residuals=directions.residuals,
        sketch=sketch,
        ghosts=first.ghosts,
        negative=first.negative,
        unconverged=first.unconverged,
        products=products,
        fingerprint=fingerprint(params),
    )


class _Directions(NamedTuple):
    """What a run of the recurrence found.

    :ivar values: (k,) Ritz values kept, descending.
    :ivar residuals: (k,) their residuals.
    :ivar rows: (k, s) sketches of their vectors.
    :ivar largest: the largest Ritz value, kept or not.
    """

    values: np.ndarray
    residuals: np.ndarray
    rows: np.ndarray
    ghosts: int
    unconverged: int
    negative: int
    steps: int
    largest: float


def _run(
    ggn: GGN, sketch: Sketch, iterations: int, rank: int, tolerance: float, key: jax.Array, progress: bool
) -> _Directions:
    """The recurrence from one start vector, and the Ritz pairs worth keeping."""
    alphas, betas, sketches = _three_term(ggn, sketch, iterations, key, progress)
    steps = len(alphas)
    tridiagonal = np.diag(alphas) + np.diag(betas[: steps - 1], 1) + np.diag(betas[: steps - 1], -1)
    values, coefficients = (array[..., ::-1] for array in np.linalg.eigh(tridiagonal))
    residuals = betas[steps - 1] * np.abs(coefficients[-1])
    ritz, least = coefficients.T @ sketches, rounding(ggn.dtype)
    places, ghosts, unconverged, rows = _selected(values, residuals, ritz, rank, tolerance, least)
    negative = int((values < -1e-6 * values[0]).sum())
    kept = values[places], residuals[places], rows
    return _Directions(*kept, ghosts, unconverged, negative, steps, float(values[0]))


def _joined(found: _Directions, again: _Directions, rank: int) -> tuple[_Directions, int]:
    """Directions with those of another run that are not in their span, and how many these are.

    A copy of a repeated eigenvalue lies at a random angle to the one that is known. What is known already differs by
    the error of its vector, about its residual over the gap to the next eigenvalue.
    """
    values, residuals, rows = list(found.values), list(found.residuals), list(found.rows)
    added = 0
    for value, residual, row in zip(again.values, again.residuals, again.rows, strict=True):
        if len(values) >= rank and value <= sorted(values)[-rank] * (1 + 2 * residual / value):
            continue
        orthonormal = np.linalg.qr(np.array(rows).T)[0].T if rows else np.zeros((0, len(row)))
        rest = row - (row @ orthonormal.T) @ orthonormal
        if np.linalg.norm(rest) > np.clip(10 * residual / value, 0.1, 0.5) * np.linalg.norm(row):
            values.append(value)
            residuals.append(residual)
            rows.append(row)
            added += 1
    order = np.argsort(-np.array(values), kind="stable")[:rank]
    values, residuals, rows = (list(np.array(column)[order]) for column in (values, residuals, rows))
    union = found._replace(values=np.array(values), residuals=np.array(residuals), rows=np.array(rows))
    return union, added


def _three_term(
    ggn: GGN, sketch: Sketch, iterations: int, key: jax.Array, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diagonal (m,), off-diagonal with the last coupling (m,), and sketches (m, s) of the Lanczos vectors."""
    alphas, betas, sketches = [], [], []
    vector = draw(key, 0, 1, ggn.size, ggn.dtype)[0]
    vector = vector / jnp.linalg.norm(vector)
    before, beta = jnp.zeros_like(vector), 0.0
    for _ in Progress(range(iterations), desc="sketched eigenbasis", unit="product", shown=progress):
        sketches.append(np.asarray(apply_sketch(sketch, vector), np.float64))
        image = ggn.product(vector) - beta * before
        alpha = float(jnp.vdot(vector, image))
        image = image - alpha * vector
        beta = norm(image)
        alphas.append(alpha)
        betas.append(beta)
        if beta <= 4 * float(jnp.finfo(ggn.dtype).eps) * max(alphas):
            break
        before, vector = vector, image / beta
    return np.array(alphas), np.array(betas), np.stack(sketches)


def _selected(
    values: np.ndarray, residuals: np.ndarray, ritz: np.ndarray, rank: int, tolerance: float, least: float
) -> tuple[list[int], int, int, np.ndarray]:
    """Which Ritz pairs to keep, how many were ghosts and unconverged, and the kept sketches (k, s).

    Ritz values of at most the share ``least`` of the largest are rounding.
    """
    places: list[int] = []
    orthonormal = np.zeros((0, ritz.shape[1]))
    ghosts = unconverged = 0
    for index, row in enumerate(ritz):
        if len(places) == rank or values[index] <= least * values[0]:
            break
        length = np.linalg.norm(row)
        rest = row - (row @ orthonormal.T) @ orthonormal
        rest -= (rest @ orthonormal.T) @ orthonormal
        # A ghost is a copy of what is there, or a combination of Lanczos vectors that cancels to nothing.
        if length < 0.1 or np.linalg.norm(rest) < 0.5 * length:
            ghosts += 1
        elif residuals[index] > tolerance * values[index]:
            unconverged += 1  # or a ghost in the making, between two eigenvalues
        else:
            places.append(index)
            orthonormal = np.vstack([orthonormal, rest / np.linalg.norm(rest)])
    return places, ghosts, unconverged, ritz[places]


@jax.jit
def _energies(apply, params, image, cotangents, sketch, sketched):
    """‖g‖² and ‖U_S S g‖² for each row of cotangents (m, D)."""
    rows = jnp.concatenate(backward(apply, params, image, cotangents), axis=1)
    sketches = jax.lax.map(partial(apply_sketch, sketch), rows)
    inside = jnp.matmul(sketches, sketched.T, precision="highest")
    return jnp.square(rows).sum(-1), jnp.square(inside).sum(-1)


@in_plain_modes
def score_sketched(
    apply: Apply,
    params: Any,
    basis: SketchedBasis,
    images: Any,
    *,
    probes: int = 500,
    batch_size: int = 8,
    key: jax.Array,
    coordinates: Any = None,
    execution: Execution | None = None,
) -> Scores:
    """SLUG by output-space probes and a sketched basis, and SLU of single output coordinates.

    Cost: a backward pass and a transform of p numbers for each image and probe, and for each image and
    coordinate. Memory: ``batch_size`` weight vectors a few times over.

    :param apply: pure function (params, images) → (n, height, width, channels).
    :param params: the weights, as given to ``sketched_eigenbasis``.
    :param basis: from ``sketched_eigenbasis``.
    :param images: (n, height, width, channels).
    :param probes: S, 500 in the SLUG paper; all images see the same.
    :param batch_size: probes, or coordinates, at a time; halved when memory runs out.
    :param key: ``jax.random.key``.
    :param coordinates: (c, 3) integers y, x, channel of outputs whose own SLU is wanted.
    :param execution: where and how it runs.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
    """
    execution = execution or Execution()
    check_key(key)
    images = examples_of(images)
    apply, params = checked(apply, params, images)
    check_sketched_basis(basis, params)
    check_probes(probes)
    shape = jax.eval_shape(apply, params, images[:1]).shape[1:]
    axes = len(shape)
    indices = np.zeros((0, axes), int) if coordinates is None else np.asarray(coordinates).reshape(-1, axes)
    if (indices < 0).any() or (indices >= np.array(shape)).any():
        raise ValueError(f"coordinates must be (y, x, channel) within an output of shape {shape}")
    size = int(np.prod(shape))
    room = execution.budget.count("probes", 8 * parameter_count(params) * 4)
    meter = _Meter(apply, params, basis, max(1, min(batch_size, room)))
    positions = np.ravel_multi_index(tuple(indices.T), shape)
    slug, sem, energy, energy_sem, slu = [], [], [], [], []
    for index in Progress(range(images.n), desc="score_sketched", unit="image", shown=execution.progress):
        image = images[index : index + 1]
        total, inside = meter(image, probes, lambda first, count: draw(key, first, count, size, jnp.float32))
        score = total - inside
        slug.append(score.mean())
        sem.append(score.std(ddof=1) / np.sqrt(probes))
        energy.append(total.mean())
        energy_sem.append(total.std(ddof=1) / np.sqrt(probes))
        if len(positions):
            total, inside = meter(
                image,
                len(positions),
                lambda first, count: jax.nn.one_hot(positions[first : first + count], size),
            )
            slu.append(total - inside)
    check_finite_scores(np.array(slug))
    return Scores(
        slug=np.array(slug),
        slug_sem=np.array(sem),
        maps=None,
        jacobian_norm=np.array(energy),
        jacobian_norm_sem=np.array(energy_sem),
        probes=np.full(len(slug), probes),
        converged=np.ones(len(slug), bool),
        slu=np.stack(slu) if slu else None,
    )


class _Meter:
    """‖g‖² and ‖U_S S g‖² of many cotangents, a block at a time."""

    def __init__(self, apply: Any, params: Any, basis: SketchedBasis, block: int) -> None:
        self.apply, self.params, self.basis, self.block = apply, params, basis, block

    def __call__(self, image: Any, count: int, cotangents_of: Any) -> tuple[np.ndarray, np.ndarray]:
        total, inside = np.empty(count), np.empty(count)
        position = 0

        def next_block() -> int:
            block = min(self.block, count - position)
            cotangents = cotangents_of(position, block).astype(self.basis.sketched.dtype)
            energies = _energies(self.apply, self.params, image, cotangents, self.basis.sketch, self.basis.sketched)
            part = slice(position, position + block)
            total[part], inside[part] = (np.asarray(array) for array in energies)
            return block

        while position < count:
            position += until_it_fits(next_block, self._halve)
        return total, inside

    def _halve(self) -> bool:
        if self.block == 1:
            return False
        self.block //= 2
        return True
