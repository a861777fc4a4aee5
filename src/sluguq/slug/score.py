"""SLUG of every image, and its map, from probes in weight space that all images share.

    SLUG(x) = Tr J(x) (I − UUᵀ) J(x)ᵀ = E ‖J(x) η‖²,   η = (I − UUᵀ) ξ,  ξ ∈ {±1}ᵖ

(López-Pérez et al., "Bayesian generative models can flag performance loss, bias, and
out-of-distribution image content", eq. 6, with the probes on the other side). One forward-mode pass a
probe gives the score, its standard error and the map of every pixel, E y² summed over channels; the
estimate is unbiased for the stored U and never negative. As all images see the same probes, most of
the noise cancels when images are ranked.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.progress import Progress
from sluguq.slug.backoff import until_it_fits
from sluguq.slug.checks import check_finite_scores, check_has_maps, check_score_arguments, checked
from sluguq.slug.deflated import Deflated, Plan, ProbeCache, deflated_batch
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN
from sluguq.slug.network import Apply
from sluguq.slug.probes import draw, draw_signs, probe_batch, tangent_width
from sluguq.slug.projection import Projector
from sluguq.slug.scores import Scores

_DIRECTIONS = 16  # with a tolerance: measured to be near the least time for 1 % (benchmarks/slug_speed.py)
_FRESH = 32  # probes added at a time to what directions leave


@dataclass(frozen=True)
class Probing:
    """How many probes go where; the defaults suit most.

    :ivar directions: how many leading directions of each image's own A = J (I − UUᵀ) Jᵀ are taken exactly
        before the rest is estimated, see :mod:`sluguq.slug.deflated`; a third more probes than that find
        them. 0 is the plain mean over probes. None takes 16 with a ``tolerance`` below 10 %, else 0.
    :ivar max_probes: where ``tolerance`` gives up; ``Scores.converged`` then tells which images are within.
    :ivar norm_probes: further probes within the span of U, for ``jacobian_norm``; 0 leaves it NaN. Below the
        rank, half of them go to single eigenvectors, and its standard error, from the other half, is itself rough.
    :ivar probe_block: probes, or directions of an image, on the device at a time; None takes up to 64, as memory
        allows.
    :ivar tangent_block: tangents side by side in one pass; None takes what suits the device.
    """

    directions: int | None = None
    max_probes: int = 4096
    norm_probes: int = 16
    probe_block: int | None = None
    tangent_block: int | None = None


class _Sums:
    """Running sums over probes, float64 on the host: Σ e, Σ e² and the map of each image."""

    def __init__(self, n: int) -> None:
        self.count = 0
        self.mean = np.zeros(n)
        self.squares = np.zeros(n)  # Σ (e − mean)², by Chan's update, which does not cancel
        self.maps: np.ndarray | None = None

    def add(self, energy: np.ndarray) -> None:
        count, mean = len(energy), energy.mean(axis=0)
        total = self.count + count
        self.squares += ((energy - mean) ** 2).sum(axis=0)
        self.squares += (mean - self.mean) ** 2 * self.count * count / total
        self.mean += (mean - self.mean) * count / total
        self.count = total

    @property
    def sem(self) -> np.ndarray:
        return np.sqrt(self.squares / (self.count - 1) / self.count)


def _pass(ggn: GGN, tangents: jax.Array, sums: _Sums, maps: bool, width: int) -> None:
    """All images under one block of tangents; the sums change only when all have been through."""
    energy = np.empty((len(tangents), ggn.batches.n))
    pending = []
    tangents = ggn.placement.copied(tangents)
    for index, (images, _) in enumerate(ggn.batches):
        part = ggn.batches.part(index)
        count = part.stop - part.start
        values, image_maps = probe_batch(ggn.apply, ggn.params, images, tangents, maps=maps, width=width)
        energy[:, part] = np.asarray(values)[:, :count]
        if maps:
            pending.append((part, np.asarray(image_maps)[:count]))
    check_finite_scores(energy.mean(axis=0))
    for part, image_maps in pending:
        if sums.maps is None:
            sums.maps = np.zeros((ggn.batches.n, *image_maps.shape[1:]))
        sums.maps[part] += image_maps
    sums.add(energy)


class _Sampler:
    """Draws blocks of tangents and passes them; smaller blocks and batches when memory runs out."""

    def __init__(self, ggn: GGN, probing: Probing, execution: Execution) -> None:
        self.ggn = ggn
        self.budget = execution.budget
        block, width = probing.probe_block, probing.tangent_block
        if block is None:
            block = min(64, max(1, self.budget.count("probes", 3 * ggn.size * ggn.dtype.itemsize)))
        self.block = block
        self.width = tangent_width() if width is None else width
        self.bar = Progress(desc="score", unit="probe", shown=execution.progress)

    def run(
        self, tangents_of: Callable[[int, int], jax.Array], first: int, count: int, sums: _Sums, maps: bool
    ) -> None:
        """Probes ``first`` to ``first + count`` of the sequence that ``tangents_of(first, count)`` gives."""
        done = 0

        def next_block() -> int:
            block = min(self.block, count - done)
            _pass(self.ggn, tangents_of(first + done, block), sums, maps, min(self.width, block))
            return block

        while done < count:
            block = until_it_fits(next_block, self.shrink)
            done += block
            self.bar.update(block * self.ggn.batches.n)

    def shrink(self) -> bool:
        """Take less at a time, the dearest first: tangents side by side, images, probes. False at the least."""
        if self.width > 1:
            self.width //= 2
        elif not self.ggn.batches.halve():
            if self.block == 1:
                return False
            self.block //= 2
        return True


def score(
    apply: Apply,
    params: Any,
    basis: Eigenbasis | None,
    images: Any,
    *,
    probes: int = 64,
    tolerance: float | None = None,
    batch_size: int = 64,
    key: jax.Array,
    maps: bool = False,
    prior_precision: float = 0.0,
    probing: Probing | None = None,
    execution: Execution | None = None,
) -> Scores:
    """SLUG of every image by the ``projected`` estimator, plain or with directions taken exactly.

    Cost: about two forward passes a probe and image; a direction costs about two probes. Memory on the
    device: ``Probing.probe_block`` weight vectors (three times over while they are projected), and one batch under
    ``Probing.tangent_block`` tangents, whatever the number of images, probes or eigenvectors. A basis lies there too,
    where it takes less than a third of the memory; a larger one is read again for every block of probes, and
    for every image's directions.

    With a ``tolerance``, an image stops at the first look that finds it within. Looks that come out low stop
    early, which leaves a bias towards 0, in trials of at most a quarter of the tolerance; a fixed number of
    probes has none.

    :param apply: pure function (params, images) → (n, height, width, channels), see
        :func:`~sluguq.slug.eigenbasis.eigenbasis`.
    :param params: the weights, as given to ``eigenbasis``.
    :param basis: the directions that the training data determine; None scores ‖J‖² itself.
    :param images: (n, height, width, channels), as for ``eigenbasis``.
    :param probes: how many probes; with ``tolerance``, the most to add at a time.
    :param tolerance: add probes until every image's relative standard error is at most this.
    :param batch_size: the most images at a time; halved when memory runs out.
    :param key: ``jax.random.key``; the same key gives the same probes for any images and batch size.
    :param maps: whether to return maps, which a network has whose outputs are images, (n, height, width, channels).
    :param prior_precision: α ≥ 0. Above 0, I − UUᵀ becomes I − U diag(λ / (λ + α)) Uᵀ, the covariance of
        the low-rank Laplace approximation up to the factor 1/α.
    :param probing: how many probes go where.
    :param execution: where and how it runs.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
    """
    probing, execution = probing or Probing(), execution or Execution()
    images = examples_of(images)
    apply, params = checked(apply, params, images)
    check_score_arguments(basis, params, probes, tolerance, prior_precision, probing.directions)
    if maps:
        check_has_maps(apply, params, images)
    ggn = GGN(apply, params, images, batch_size=batch_size, execution=execution)
    projector = Projector.of(basis, params, prior_precision=prior_precision, budget=execution.budget)
    estimate = Estimate(probes, tolerance, maps, key, probing, execution)
    return estimated(ggn, projector, projected_signs(projector, key, ggn.size, ggn.dtype), estimate)


@dataclass(frozen=True)
class Estimate:
    """What is asked of the estimator, see :func:`score`."""

    probes: int
    tolerance: float | None
    maps: bool
    key: jax.Array
    probing: Probing
    execution: Execution


def projected_signs(projector: Projector, key: jax.Array, size: int, dtype: Any) -> Callable[[int, int], jax.Array]:
    """The probes of a key, projected: those from ``first`` on, as many as asked for."""
    probe_key, _ = jax.random.split(key)
    return lambda first, count: projector.project(draw_signs(probe_key, first, count, size, dtype))


def estimated(
    ggn: GGN, projector: Projector, tangents_of: Callable[[int, int], jax.Array], estimate: Estimate
) -> Scores:
    """Scores of the images of ``ggn``, whose network has been looked at."""
    probing, tolerance = estimate.probing, estimate.tolerance
    _, norm_key = jax.random.split(estimate.key)
    sampler = _Sampler(ggn, probing, estimate.execution)
    plan = _plan(probing, estimate.probes, tolerance, estimate.maps, ggn.size)
    if plan.directions:
        slug, sem, score_maps, spent = _deflated(sampler, tangents_of, projector, plan)
    else:
        slug, sem, score_maps, spent = _plain(sampler, tangents_of, plan)
    check_finite_scores(slug)
    removed, removed_variance = np.zeros_like(slug), np.zeros_like(slug)
    if projector.vectors is not None:
        removed, removed_variance = _removed(sampler, projector, probing.norm_probes, norm_key)
    sampler.bar.close()
    converged = np.ones(len(slug), bool) if tolerance is None else sem <= tolerance * slug
    if not converged.all():
        warnings.warn(
            f"{int((~converged).sum())} of {len(slug)} images are not within {tolerance:g} after {int(spent.max())} "
            f"probes; the worst stands at {float((sem / slug).max()):.2g}. Their standard errors say so; raise "
            f"max_probes or tolerance",
            stacklevel=3,
        )
    return Scores(
        slug=slug,
        slug_sem=sem,
        maps=score_maps,
        jacobian_norm=slug + removed,
        jacobian_norm_sem=np.sqrt(sem**2 + removed_variance),
        probes=spent,
        converged=converged,
        directions=plan.directions,
    )


def _plan(probing: Probing, probes: int, tolerance: float | None, maps: bool, size: int) -> Plan:
    directions = probing.directions
    if directions is None:
        directions = _DIRECTIONS if tolerance is not None and tolerance < 0.1 else 0
    directions = min(directions, size)
    if directions and tolerance is not None:
        probes = min(probes, _FRESH)
    return Plan(directions, directions + -(-directions // 3), probes, tolerance, probing.max_probes, maps)


_Estimate = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]


def _plain(sampler: _Sampler, tangents_of: Callable[[int, int], jax.Array], plan: Plan) -> _Estimate:
    """The mean of ‖y‖² over probes; blocks of probes outside, batches of images inside."""
    sums = _Sums(sampler.ggn.batches.n)
    while True:
        sampler.run(tangents_of, sums.count, plan.probes, sums, plan.maps)
        done = plan.tolerance is None or (sums.sem <= plan.tolerance * sums.mean).all()
        if done or sums.count >= plan.max_probes:
            means = None if sums.maps is None else (sums.maps / sums.count).astype(np.float32)
            return sums.mean, sums.sem, means, np.full(sampler.ggn.batches.n, sums.count)


def _deflated(
    sampler: _Sampler, tangents_of: Callable[[int, int], jax.Array], projector: Projector, plan: Plan
) -> _Estimate:
    """Directions taken exactly; batches of images outside, as what is known of each has to be kept."""
    ggn, batches = sampler.ggn, sampler.ggn.batches
    cache = ProbeCache(tangents_of, ggn, sampler.budget)
    slug, sem, spent = np.empty(batches.n), np.empty(batches.n), np.zeros(batches.n, int)
    score_maps: np.ndarray | None = None
    start = 0

    def next_batch() -> tuple[slice, Deflated]:
        part = slice(start, min(batches.n, start + batches.size))
        images, count = batches.load(part)[0], part.stop - start
        block, width = sampler.block, sampler.width
        return part, deflated_batch(ggn, images, count, cache, projector, plan, block=block, width=width)

    def take_less() -> bool:
        nonlocal cache
        cache = ProbeCache(tangents_of, ggn, sampler.budget)  # what was kept makes room, and is of blocks too large
        return sampler.shrink()

    while start < batches.n:
        part, result = until_it_fits(next_batch, take_less)
        slug[part], sem[part], spent[part] = result.score, result.sem, plan.first_probes + result.probes
        if result.maps is not None:
            if score_maps is None:
                score_maps = np.empty((batches.n, *result.maps.shape[1:]), np.float32)
            score_maps[part] = result.maps
        sampler.bar.update(int(spent[part].sum()))
        start = part.stop
    return slug, sem, score_maps, spent


def _removed(sampler: _Sampler, projector: Projector, probes: int, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """What the basis takes off ‖J‖², Σ τᵢ ‖J uᵢ‖² with τ = λ / (λ + α), and the variance of the estimate.

    The leading half of the passes goes to single eigenvectors, since the first few hold nearly all of it,
    and the others to random combinations of the rest.
    """
    ggn = sampler.ggn
    spread = projector.spread.astype(ggn.dtype)
    rank = len(spread)
    if rank > probes and probes < 4:
        return np.full(ggn.batches.n, np.nan), np.full(ggn.batches.n, np.nan)
    single = rank if rank <= probes else probes // 2
    identity = np.eye(rank, dtype=ggn.dtype) * spread

    def leading(first: int, count: int) -> jax.Array:
        return projector.combine(jnp.asarray(identity[first : first + count]))

    def others(first: int, count: int) -> jax.Array:
        random = draw(key, first, count, rank, ggn.dtype) * jnp.asarray(np.where(np.arange(rank) < single, 0, spread))
        return projector.combine(random)

    exact, rest = _Sums(ggn.batches.n), _Sums(ggn.batches.n)
    sampler.run(leading, 0, single, exact, False)
    if single == rank:
        return exact.mean * single, np.zeros(ggn.batches.n)
    sampler.run(others, 0, probes - single, rest, False)
    return exact.mean * single + rest.mean, rest.sem**2
