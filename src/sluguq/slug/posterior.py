"""The Laplace approximation that belongs to an eigenbasis: weights, predictions, and how well a prior suits.

With prior N(0, I/α) on the weights and N(f, σ²) on every output, the posterior of the weights is Gaussian around the
trained ones with precision G/σ² + αI. Its covariance by the leading eigenpairs of G is

    Σ = 1/α (I − U diag(λ / (λ + α σ²)) Uᵀ),

so that the linearised network varies by J(x) Σ J(x)ᵀ. Scores know only the product a = α σ²:
``score(…, prior_precision=a)`` gives the trace of α J Σ Jᵀ, and its maps, divided by α, are the variance of a pixel
summed over channels. SLUG itself, a = 0, is the limit of a vague prior: it has no scale, and ranks images alone. A
scale needs α and σ: σ² is the mean squared error of an output on held-out data, and α follows by
``best_prior_precision``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import jax
import numpy as np

from sluguq.slug.backoff import until_it_fits
from sluguq.slug.checks import check_fingerprint, check_probes, checked
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.evidence import Evidence, best_precision, effective_parameters, log_determinant
from sluguq.slug.examples import count_of, examples_of
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN
from sluguq.slug.network import Apply, parameter_count, parameter_dtype, unraveller
from sluguq.slug.probes import draw, draw_signs, outputs, tangent_width
from sluguq.slug.projection import Projector

_BLOCK = 8  # probes whose outputs, as large as a batch each, are held at a time


class Variance(NamedTuple):
    """Predictive variance of the linearised network, by output coordinate.

    :ivar epistemic: (n, …) the diagonal of J Σ Jᵀ: what the weights leave open.
    :ivar sem: (n, …) its standard error over probes.
    :ivar noise: σ², the variance that would remain with the weights known.
    """

    epistemic: np.ndarray
    sem: np.ndarray
    noise: float

    @property
    def total(self) -> np.ndarray:
        """(n, …) the variance of an observation, epistemic + noise."""
        return self.epistemic + self.noise


@dataclass(frozen=True)
class Posterior:
    """A Gaussian around the trained weights.

    :ivar basis: the leading eigenpairs of G.
    :ivar prior_precision: α.
    :ivar noise: σ, the standard deviation of an output.
    """

    basis: Eigenbasis
    prior_precision: float
    noise: float

    @property
    def scale(self) -> float:
        """a = α σ², the ``prior_precision`` of :func:`~sluguq.slug.score.score` that belongs to this posterior."""
        return self.prior_precision * self.noise**2

    @property
    def effective_parameters(self) -> float:
        """γ = Σ λ / (λ + α σ²), how many directions the data determine rather than the prior."""
        return effective_parameters(self.basis.eigenvalues, self.basis.trace, self.basis.vectors.shape[1], self.scale)

    def _projector(self, params: Any, execution: Execution) -> Projector:
        count = parameter_count(params)
        if count != self.basis.vectors.shape[1]:
            raise ValueError(
                f"the basis has vectors of length {self.basis.vectors.shape[1]}, but params holds {count} weights: it "
                f"belongs to another network"
            )
        check_fingerprint(self.basis, params)
        return Projector.of(self.basis, params, prior_precision=self.scale, budget=execution.budget)

    def weights(self, params: Any, count: int, *, key: jax.Array) -> Any:
        """Samples of the weights, a pytree like ``params`` with a leading axis of ``count``.

        :param params: the trained weights.
        :param count: how many; they take ``count`` times the memory of ``params``.
        :param key: ``jax.random.key``.
        :raises ValueError: for a basis of another network.
        """
        projector, unravel = self._projector(params, Execution()), unraveller(params)
        size, dtype = parameter_count(params), parameter_dtype(params)
        flat = projector.project(draw(key, 0, count, size, dtype)) / np.sqrt(self.prior_precision)
        return jax.tree.map(lambda leaf, moved: leaf + moved, params, jax.vmap(unravel)(flat))

    def variance(
        self,
        apply: Apply,
        params: Any,
        images: Any,
        *,
        probes: int = 64,
        batch_size: int = 64,
        key: jax.Array,
        execution: Execution | None = None,
    ) -> Variance:
        """The linearised predictive variance of every output coordinate, by pixel and channel.

        Cost: about two forward passes a probe and image. The relative standard error of a coordinate is about
        √(2 / probes); sums over pixels are far better known.

        :param apply: pure function (params, images) → outputs, as for ``eigenbasis``.
        :param params: the trained weights.
        :param images: (n, …), as for ``eigenbasis``.
        :param probes: how many, at least 2.
        :param batch_size: the most images at a time; halved when memory runs out.
        :param key: ``jax.random.key``.
        :param execution: where and how it runs.
        :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
        """
        check_probes(probes)
        run = _Run(self, apply, params, images, batch_size, execution or Execution())
        total: Any = 0.0
        squares: Any = 0.0
        for block in run.blocks(partial(draw_signs, key), probes):
            energy = np.square(block, dtype=np.float64)
            total, squares = total + energy.sum(0), squares + np.square(energy).sum(0)
        mean = total / probes
        spread = np.maximum(squares / probes - np.square(mean), 0) / (probes - 1)
        return Variance(mean, np.sqrt(spread), self.noise**2)

    def reconstructions(
        self,
        apply: Apply,
        params: Any,
        images: Any,
        count: int,
        *,
        batch_size: int = 64,
        key: jax.Array,
        execution: Execution | None = None,
    ) -> np.ndarray:
        """Samples of the linearised network's outputs, f(x) + J(x) (w' − w) for samples w' of the weights.

        The same key gives the weights of :meth:`weights`; the network itself with these weights, ``apply(w', x)``, may
        differ, as it is not linear in them.

        :param apply: pure function (params, images) → outputs, as for ``eigenbasis``.
        :param params: the trained weights.
        :param images: (n, …), as for ``eigenbasis``.
        :param count: how many samples of each image.
        :param batch_size: the most images at a time; halved when memory runs out.
        :param key: ``jax.random.key``.
        :param execution: where and how it runs.
        :returns: (count, n, …).
        :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
        """
        run = _Run(self, apply, params, images, batch_size, execution or Execution())
        changes = run.blocks(partial(draw, key), count)
        return run.predictions() + np.concatenate(list(changes))

    def log_marginal_likelihood(self, params: Any, *, squared_error: float, outputs: int) -> Evidence:
        """The Laplace approximation of log p(D | α, σ), see :mod:`sluguq.slug.evidence`.

        :param params: the trained weights, at which training ended.
        :param squared_error: the sum of squared errors over all outputs of the training data.
        :param outputs: how many outputs that is, images · height · width · channels.
        :raises ValueError: where the basis has no estimate of the trace.
        """
        variance = self.noise**2
        fit = -0.5 * (outputs * np.log(2 * np.pi * variance) + squared_error / variance)
        prior = -0.5 * self.prior_precision * squared_norm(params)
        volume = log_determinant(self.basis.eigenvalues, self.basis.trace, parameter_count(params), self.scale)
        # A larger determinant is less evidence: the bounds change places.
        return Evidence(*(float(fit + prior - 0.5 * part) for part in (volume.value, volume.upper, volume.lower)))


class _Run:
    """One network on one set of images, probe by probe."""

    def __init__(
        self, posterior: Posterior, apply: Apply, params: Any, images: Any, batch_size: int, execution: Execution
    ) -> None:
        images = examples_of(images)
        apply, params = checked(apply, params, images)
        self.ggn = GGN(apply, params, images, batch_size=batch_size, execution=execution)
        self.projector = posterior._projector(params, execution)
        self.root = np.sqrt(posterior.prior_precision)

    def blocks(self, vectors: Callable[[int, int, int, Any], jax.Array], count: int) -> Iterator[np.ndarray]:
        """J(x) Σ^½ ξ for ``count`` vectors ξ, a few at a time, (few, n, …)."""
        for first in range(0, count, _BLOCK):
            normals = vectors(first, min(_BLOCK, count - first), self.ggn.size, self.ggn.dtype)
            tangents = self.projector.project(normals) / self.root
            yield until_it_fits(partial(self._passed, tangents), self.ggn.batches.halve)

    def _passed(self, tangents: jax.Array) -> np.ndarray:
        ggn, parts = self.ggn, []
        tangents = ggn.placement.copied(tangents)
        for index, (images, _) in enumerate(ggn.batches):
            part = ggn.batches.part(index)
            width = min(tangent_width(count_of(images)), len(tangents))
            passed = outputs(ggn.apply, ggn.params, images, tangents, width=width)
            parts.append(np.asarray(passed)[:, : part.stop - part.start])
        return np.concatenate(parts, axis=1)

    def predictions(self) -> np.ndarray:
        """f(x), (n, …)."""
        ggn, parts = self.ggn, []
        for index, (images, _) in enumerate(ggn.batches):
            part = ggn.batches.part(index)
            parts.append(np.asarray(_output(ggn.apply, ggn.params, images))[: part.stop - part.start])
        return np.concatenate(parts)


@jax.jit
def _output(apply, params, images):
    return apply(params, images)


def posterior(basis: Eigenbasis, *, prior_precision: float, noise: float = 1.0) -> Posterior:
    """The Laplace approximation that belongs to an eigenbasis.

    .. code-block:: python

        noise = float(np.sqrt(held_out_mse))
        alpha = sluguq.best_prior_precision(basis, params, noise=noise)
        posterior = sluguq.posterior(basis, prior_precision=alpha, noise=noise)
        posterior.variance(apply, params, images, key=key).epistemic  # (n, height, width, channels)

    :param basis: what ``eigenbasis`` returned.
    :param prior_precision: α > 0 of the prior N(0, I/α), as weight decay would have it.
    :param noise: σ > 0, the standard deviation of an output: the root of its mean squared error on held-out data.
    :raises ValueError: for a number that is not positive, or a basis without vectors.
    """
    for name, value in (("prior_precision", prior_precision), ("noise", noise)):
        if not isinstance(value, Real) or not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value!r}: it must be positive, and a finite number")
    if not hasattr(basis, "vectors"):
        raise ValueError(f"basis is a {type(basis).__name__}: posterior takes what eigenbasis returned")
    return Posterior(basis, float(prior_precision), float(noise))


def best_prior_precision(basis: Eigenbasis, params: Any, *, noise: float = 1.0) -> float:
    """The α of the largest log marginal likelihood at a given σ, see :mod:`sluguq.slug.evidence`.

    :param basis: what ``eigenbasis`` returned, with an estimate of the trace.
    :param params: the trained weights.
    :param noise: σ.
    :raises ValueError: where the basis has no estimate of the trace, or belongs to other weights.
    """
    check_fingerprint(basis, params)
    return best_precision(basis.eigenvalues, basis.trace, parameter_count(params), squared_norm(params), noise**2)


def squared_norm(params: Any) -> float:
    """‖w‖² of all weights, summed in float64."""
    return float(sum(np.square(np.asarray(leaf, np.float64)).sum() for leaf in jax.tree.leaves(params)))
