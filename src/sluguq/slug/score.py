"""SLUG of every image, and its map, from probes in weight space that all images share.

    SLUG(x) = Tr J(x) (I − UUᵀ) J(x)ᵀ = E ‖J(x) η‖²,   η = (I − UUᵀ) ξ,  ξ ~ N(0, I_p)

(López-Pérez et al., "Bayesian generative models can flag performance loss, bias, and
out-of-distribution image content", eq. 6, with the probes on the other side). One forward-mode pass a
probe gives the score, its standard error and the map of every pixel, E y² summed over channels; the
estimate is unbiased for the stored U and never negative. As all images see the same probes, most of
the noise cancels when images are ranked.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from sluguq.slug.checks import check_all, check_finite_scores, check_score_arguments
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.ggn import GGN
from sluguq.slug.network import Apply, available_bytes, is_out_of_memory
from sluguq.slug.probes import combination, draw, probe_batch, projected, shrinkage, tangent_width

_PROBE_SHARE = 0.2  # of the free memory may be taken by a block of probes


class Scores(NamedTuple):
    """SLUG of n images.

    :ivar slug: (n,) Tr J (I − UUᵀ) Jᵀ, in squared output units.
    :ivar slug_sem: (n,) its standard error, from the spread over probes.
    :ivar maps: (n, height, width) the diagonal of J (I − UUᵀ) Jᵀ summed over channels; each sums to its
        score. None unless asked for.
    :ivar jacobian_norm: (n,) ‖J‖² = Tr J Jᵀ, no direction removed.
    :ivar jacobian_norm_sem: (n,) its standard error.
    :ivar probes: how many probes were spent on ``slug``.
    :ivar converged: (n,) whether the relative standard error is within ``tolerance``, where one was given.
    """

    slug: np.ndarray
    slug_sem: np.ndarray
    maps: np.ndarray | None
    jacobian_norm: np.ndarray
    jacobian_norm_sem: np.ndarray
    probes: int
    converged: np.ndarray

    @property
    def removed(self) -> np.ndarray:
        """(n,) the share of ‖J‖² that the basis removes."""
        return 1 - self.slug / self.jacobian_norm


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
        part = ggn.batches.slice(index)
        count = part.stop - part.start
        values, image_maps = probe_batch(ggn.apply, ggn.params, images, tangents, maps=maps, width=width)
        energy[:, part] = np.asarray(values)[:, :count]
        if maps:
            pending.append((part, np.asarray(image_maps)[:count]))
    for part, image_maps in pending:
        if sums.maps is None:
            sums.maps = np.zeros((ggn.batches.n, *image_maps.shape[1:]))
        sums.maps[part] += image_maps
    sums.add(energy)


class _Sampler:
    """Draws blocks of tangents and passes them; smaller blocks and batches when memory runs out."""

    def __init__(self, ggn: GGN, block: int | None, width: int | None, progress: bool, total: int) -> None:
        self.ggn = ggn
        if block is None:
            block = int(_PROBE_SHARE * available_bytes() / (3 * ggn.size * ggn.dtype.itemsize))
            block = min(64, max(1, block))
        self.block = block
        self.width = tangent_width() if width is None else width
        self.bar = tqdm(total=total, desc="score", unit="probe", disable=None if progress else True)

    def run(
        self, tangents_of: Callable[[int, int], jax.Array], first: int, count: int, sums: _Sums, maps: bool
    ) -> None:
        """Probes ``first`` to ``first + count`` of the sequence that ``tangents_of(first, count)`` gives."""
        done = 0
        while done < count:
            block = min(self.block, count - done)
            try:
                _pass(self.ggn, tangents_of(first + done, block), sums, maps, min(self.width, block))
            except Exception as error:
                if not is_out_of_memory(error) or not self._shrink():
                    raise
                continue
            done += block
            self.bar.update(block)

    def _shrink(self) -> bool:
        """The dearest first: tangents side by side, then images, then probes."""
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
    max_probes: int = 4096,
    batch_size: int = 64,
    key: jax.Array,
    maps: bool = False,
    prior_precision: float = 0.0,
    norm_probes: int = 16,
    probe_block: int | None = None,
    tangent_block: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> Scores:
    """SLUG of every image by the ``projected`` estimator.

    Cost: about two forward passes a probe and image. Memory on the device: ``probe_block`` weight vectors
    (three times over while they are projected) and one batch under ``tangent_block`` tangents, whatever
    the number of images, probes or eigenvectors.

    :param apply: pure function (params, images) → (n, height, width, channels), see
        :func:`~sluguq.slug.eigenbasis.eigenbasis`.
    :param params: the weights, as given to ``eigenbasis``.
    :param basis: the directions that the training data determine; None scores ‖J‖² itself.
    :param images: (n, height, width, channels), as for ``eigenbasis``.
    :param probes: how many probes; with ``tolerance``, how many at a time.
    :param tolerance: add probes until every image's relative standard error is at most this.
    :param max_probes: where ``tolerance`` gives up; ``Scores.converged`` then tells which images are within.
    :param batch_size: the most images at a time; halved when memory runs out.
    :param key: ``jax.random.key``; the same key gives the same probes for any images and batch size.
    :param maps: whether to return maps.
    :param prior_precision: α ≥ 0. Above 0, I − UUᵀ becomes I − U diag(λ / (λ + α)) Uᵀ, the covariance of
        the low-rank Laplace approximation up to the factor 1/α.
    :param norm_probes: further probes within the span of U, for ``jacobian_norm``; 0 leaves it NaN.
    :param probe_block: probes on the device at a time; by default up to 64, as memory allows.
    :param tangent_block: tangents side by side in one pass; by default what suits the device.
    :param devices: devices that share each batch; by default those the images are sharded over.
    :param progress: show a progress bar where there is a terminal.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
    """
    check_all(apply, params, images)
    check_score_arguments(basis, params, probes, tolerance, prior_precision)
    ggn = GGN(apply, params, images, batch_size=batch_size, devices=devices)
    vectors = None if basis is None else basis.vectors
    weights = None if basis is None else shrinkage(basis.eigenvalues, prior_precision)
    probe_key, norm_key = jax.random.split(key)

    def tangents_of(first: int, count: int) -> jax.Array:
        return projected(vectors, draw(probe_key, first, count, ggn.size, ggn.dtype), weights)

    sums = _Sums(ggn.batches.n)
    sampler = _Sampler(ggn, probe_block, tangent_block, progress, probes)
    while True:
        sampler.run(tangents_of, sums.count, probes, sums, maps)
        converged = sums.sem <= np.inf if tolerance is None else sums.sem <= tolerance * sums.mean
        if converged.all() or sums.count >= max_probes:
            break
        sampler.bar.total = sums.count + probes
    check_finite_scores(sums.mean)

    norm, norm_variance = sums.mean, sums.sem**2
    if basis is not None:
        taken = np.sqrt(1 - (1 - shrinkage(basis.eigenvalues, prior_precision)) ** 2)

        def removed_tangents(first: int, count: int) -> jax.Array:
            spread = draw(norm_key, first, count, len(taken), ggn.dtype) * taken.astype(ggn.dtype)
            return combination(vectors, spread)

        removed = _Sums(ggn.batches.n)
        if norm_probes >= 2:
            sampler.run(removed_tangents, 0, norm_probes, removed, False)
            norm, norm_variance = norm + removed.mean, norm_variance + removed.sem**2
        else:
            norm, norm_variance = np.full_like(norm, np.nan), np.full_like(norm, np.nan)
    sampler.bar.close()
    return Scores(
        slug=sums.mean,
        slug_sem=sums.sem,
        maps=None if sums.maps is None else (sums.maps / sums.count).astype(np.float32),
        jacobian_norm=norm,
        jacobian_norm_sem=np.sqrt(norm_variance),
        probes=sums.count,
        converged=converged,
    )
