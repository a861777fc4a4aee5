"""SLUG of every image, and its map, from probes in weight space that a few images share.

    SLUG(x) = Tr J(x) (I − UUᵀ) J(x)ᵀ = E ‖J(x) η‖²,   η = (I − UUᵀ) ξ,  ξ ∈ {±1}ᵖ

(López-Pérez et al., "Bayesian generative models can flag performance loss, bias, and
out-of-distribution image content", eq. 6, with the probes on the other side). One forward-mode pass a
probe gives the score, its standard error and the map of every pixel, E y² summed over channels; the
estimate is unbiased for the stored U and never negative. Leading directions of each image can be taken
exactly, see :mod:`sluguq.slug.deflated`; how many, and how many probes estimate what they leave, follows
from the accuracy that is asked for, see :mod:`sluguq.slug.accuracy`. Every few images see probes of their
own, see :mod:`sluguq.slug.blocks`.
"""

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.accuracy import Settled, Split, as_number
from sluguq.slug.backoff import until_it_fits
from sluguq.slug.blocks import PROBE_BLOCK, Block, blocks_of
from sluguq.slug.blockwise import Blockwise
from sluguq.slug.checks import (
    check_key,
    check_positions,
    check_score_arguments,
    checked,
    mapped_apply,
)
from sluguq.slug.deflated import Plan
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution, in_plain_modes
from sluguq.slug.ggn import GGN
from sluguq.slug.network import Apply
from sluguq.slug.pilot import most_directions, pilot
from sluguq.slug.probing import Probing
from sluguq.slug.projection import Projector
from sluguq.slug.scores import Scores

DEFAULT_ACCURACY = "2 %"
_FRESH = 32  # the most probes added at a time to what directions leave
_SLACK = 1.25  # above the accuracy that was asked for, before a person is told


@in_plain_modes
def score(
    apply: Apply,
    params: Any,
    basis: Eigenbasis | None,
    images: Any,
    *,
    accuracy: str | float | None = None,
    probes: int | None = None,
    tolerance: float | None = None,
    batch_size: int = 64,
    key: jax.Array,
    maps: bool = False,
    channel_axis: int = -1,
    prior_precision: float = 0.0,
    probing: Probing | None = None,
    execution: Execution | None = None,
) -> Scores:
    """SLUG of every image by the ``projected`` estimator, plain or with directions taken exactly.

    How accurate: give one of ``accuracy`` (of all images together: cheapest), ``tolerance`` (of every single image),
    ``probes`` (a number) and ``Probing.settled``. Scores of a block of images share probes, so that their errors go
    together; :meth:`Scores.combined_sem` is the standard error of a mean.

    Cost: about two forward passes a probe and image; a direction costs about two probes. Memory on the
    device: ``Probing.probe_block`` weight vectors (three times over while they are projected), and one batch under
    ``Probing.tangent_block`` tangents, whatever the number of images, probes or eigenvectors. A basis lies there too,
    where it takes less than a third of the memory; a larger one is read again for every block of images, and
    for every image's directions.

    With a ``tolerance``, an image stops at the first look that finds it within. Looks that come out low stop
    early, which leaves a bias towards 0, in trials of at most a quarter of the tolerance; a fixed number of
    probes, and so an ``accuracy``, has none.

    :param apply: pure function (params, images) → (n, height, width, channels), see
        :func:`~sluguq.slug.eigenbasis.eigenbasis`.
    :param params: the weights, as given to ``eigenbasis``.
    :param basis: the directions that the training data determine; None scores ‖J‖² itself.
    :param images: (n, height, width, channels), as for ``eigenbasis``.
    :param accuracy: "ranking", "5 %", "2 %" or "1 %", or a number: the relative standard error of a score, as a root
        mean square over images, see :data:`~sluguq.slug.accuracy.ACCURACIES`. A pilot on a few of the images chooses
        directions and probes; it costs what some ten images do. "2 %" where nothing is given.
    :param probes: how many probes; with ``tolerance``, the most to add at a time.
    :param tolerance: add probes until every image's relative standard error is at most this.
    :param batch_size: the most images at a time, up to 8; halved when memory runs out.
    :param key: ``jax.random.key``; the same key gives the same probes for any batch size.
    :param maps: whether to return maps, which a network has whose outputs are images, (n, height, width, channels).
    :param channel_axis: of the output, (n, …), over which maps sum: -1 for channels last, 1 for channels first.
    :param prior_precision: α ≥ 0. Above 0, I − UUᵀ becomes I − U diag(λ / (λ + α)) Uᵀ, the covariance of
        the low-rank Laplace approximation up to the factor 1/α.
    :param probing: how many probes go where.
    :param execution: where and how it runs.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
    """
    probing, execution = probing or Probing(), execution or Execution()
    settled = probing.settled
    if accuracy is None and probes is None and tolerance is None and settled is None:
        accuracy = DEFAULT_ACCURACY
    check_key(key)
    images = examples_of(images)
    apply, params = checked(apply, params, images)
    check_score_arguments(basis, params, probes, tolerance, prior_precision, probing.directions, accuracy)
    apply = mapped_apply(apply, params, images, channel_axis, maps=maps)
    blocks = blocks_of(check_positions(probing.positions, images.n))
    ggn = GGN(apply, params, images, batch_size=batch_size, execution=execution)
    projector = Projector.of(basis, params, prior_precision=prior_precision, budget=execution.budget)
    runner = Blockwise(ggn, projector, key, probing, execution, batch_size)
    if settled is None:
        settled = settled_by(runner, probing, accuracy, probes, tolerance)
    scores = estimated(runner, blocks, settled, Estimate(probes, tolerance, maps, probing))
    _tell(scores, accuracy, tolerance, float(jnp.finfo(ggn.dtype).eps))
    return scores


@dataclass(frozen=True)
class Estimate:
    """What is asked of the estimator, see :func:`score`."""

    probes: int | None
    tolerance: float | None
    maps: bool
    probing: Probing


def estimated(runner: Blockwise, blocks: list[Block], settled: Settled, estimate: Estimate) -> Scores:
    """Scores of the runner's images, whose network has been looked at."""
    split, tolerance, probes = settled.split, estimate.tolerance, estimate.probes
    fresh = split.probes if tolerance is None else min(split.probes, _FRESH if probes is None else probes)
    plan = Plan(split.directions, split.first_probes, fresh, tolerance, estimate.probing.max_probes, estimate.maps)
    shared = None if settled.shared is None else runner.ggn.placement.copied(jnp.asarray(settled.shared))
    parts = [until_it_fits(partial(runner.score, block, plan, shared), runner.shrink) for block in blocks]
    runner.bar.close()
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    slug, sem = values["slug"], values["slug_sem"]
    norm = slug + values["removed"]
    # Two numbers that differ by less than rounding of ‖J‖² are not told apart, however little their probes spread.
    least = float(jnp.finfo(runner.ggn.dtype).eps) * np.fmax(norm, slug)
    return Scores(
        slug=slug,
        slug_sem=np.maximum(sem, least),
        maps=values.get("maps"),
        jacobian_norm=norm,
        jacobian_norm_sem=np.sqrt(sem**2 + values["removed_variance"]),
        probes=values["probes"],
        converged=np.ones(len(slug), bool) if tolerance is None else sem <= tolerance * slug,
        directions=plan.directions,
        shared=0 if shared is None else len(shared),
        covariance=values["covariance"],
        blocks=values["blocks"],
    )


@in_plain_modes
def settle(
    apply: Apply,
    params: Any,
    basis: Eigenbasis | None,
    images: Any,
    *,
    accuracy: str | float = DEFAULT_ACCURACY,
    key: jax.Array,
    prior_precision: float = 0.0,
    execution: Execution | None = None,
) -> Settled:
    """The directions and probes that :func:`score` would choose for an accuracy on these images.

    For a set that is scored in parts: settle them once on the whole set, and give them to every part as
    ``probing=Probing(settled=settled, positions=rows)``.

    :param apply: the network, as for :func:`score`.
    :param params: its weights.
    :param basis: the eigenbasis, or None for none.
    :param images: (n, ...) the whole set.
    :param accuracy: relative standard error, or a word for it.
    :param key: random key, the one that the parts are scored under.
    :param prior_precision: as for :func:`score`.
    :param execution: where and how it is computed.
    :returns: numbers of directions and probes, with their cost in forward passes of an image, and shared directions.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
    """
    execution = execution or Execution()
    images = examples_of(images)
    apply, params = checked(apply, params, images)
    check_score_arguments(basis, params, None, None, prior_precision, None, accuracy)
    ggn = GGN(apply, params, images, batch_size=PROBE_BLOCK, execution=execution)
    projector = Projector.of(basis, params, prior_precision=prior_precision, budget=execution.budget)
    runner = Blockwise(ggn, projector, key, Probing(norm_probes=0), replace(execution, progress=False), PROBE_BLOCK)
    return pilot(runner, as_number(accuracy))


def settled_by(
    runner: Blockwise, probing: Probing, accuracy: str | float | None, probes: int | None, tolerance: float | None
) -> Settled:
    """Directions and probes as they were asked for, or as a pilot finds them."""
    most = most_directions(runner.ggn)
    if accuracy is not None:
        return pilot(runner, as_number(accuracy))
    if tolerance is None:
        assert probes is not None
        return Settled(Split(min(probing.directions or 0, most), probes))
    if probing.directions is not None:
        return Settled(Split(min(probing.directions, most), _FRESH if probes is None else probes))
    return pilot(runner, tolerance)


def _tell(scores: Scores, accuracy: str | float | None, tolerance: float | None, eps: float) -> None:
    """Warn where scores are not as accurate as asked."""
    slug, sem, converged, probes = scores.slug, scores.slug_sem, scores.converged, scores.probes
    if not converged.all():
        worst = float((sem[~converged] / np.maximum(slug[~converged], np.finfo(float).tiny)).max())
        warnings.warn(
            f"{int((~converged).sum())} of {len(slug)} images are not within {tolerance:g} after {int(probes.max())} "
            f"probes; the worst stands at {worst:.2g}. Their standard errors say so; raise "
            f"max_probes or tolerance",
            stacklevel=3,
        )
    # Scores that are the rounding of ‖J‖², as of images that training determines, have no accuracy to speak of.
    is_rounding = slug <= 16 * eps * np.abs(scores.jacobian_norm)
    slug, sem = slug[~is_rounding], sem[~is_rounding]
    if accuracy is None or not len(slug) or not (slug > 0).all():
        return
    error, target = float(np.sqrt(np.mean((sem / slug) ** 2))), as_number(accuracy)
    if error > _SLACK * target:
        warnings.warn(
            f"the scores are accurate to {error:.1%} (root mean square over images), not to {target:.1%}: these "
            "images differ from those of the pilot. Their standard errors say so; ask for more, or for a tolerance",
            stacklevel=3,
        )
