"""Products with the generalised Gauss-Newton matrix of a data set.

    G = Σᵢ J(xᵢ)ᵀ J(xᵢ),    J(x) = ∂ apply(params, x) / ∂ params,

the likelihood being Gaussian of unit variance, so that the Hessian with respect to the output is
the identity (López-Pérez et al., "Bayesian generative models can flag performance loss, bias, and
out-of-distribution image content", eq. 1). No matrix is formed: each batch is one linearisation and
its transpose.
"""

from functools import partial
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.backoff import until_it_fits
from sluguq.slug.batches import Batches
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution
from sluguq.slug.network import Apply, as_partial, linearised, parameter_count, parameter_dtype, transposed
from sluguq.slug.placement import Placement, platform

_TOGETHER = 4  # vectors that share a linearisation where they are unrolled: more only compiles longer


def stepped_from_python() -> bool:
    """Whether loops around a backward pass are stepped from Python rather than scanned.

    XLA's CPU backend runs a convolution's backward pass inside a while loop without its fast
    kernels, some fifteen times slower. Elsewhere a scan saves the dispatch of every step.
    """
    return platform() == "cpu"


def add_compensated(total: jax.Array, lost: jax.Array, term: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``total + term`` and the rounding errors of all such sums so far (Kahan and Babuška).

    A thousand float32 batches so lose no more than one addition does. The sum is ``total + lost``.
    """
    fresh = total + term
    error = jnp.where(abs(total) >= abs(term), (total - fresh) + term, (term - fresh) + total)
    return fresh, lost + error


def _batch_product(apply: Apply, params: Any, images: jax.Array, weights: jax.Array, vectors: jax.Array) -> jax.Array:
    """Σᵢ weightᵢ J(xᵢ)ᵀ J(xᵢ) V over one batch, rows of V (m, p), with one linearisation for all rows."""
    product = linearised(apply, params, images)
    transpose = transposed(product, params)

    def one(vector: jax.Array) -> jax.Array:
        output = product(vector)
        shape = weights.shape + (1,) * (output.ndim - 1)
        return transpose(output * weights.reshape(shape).astype(output.dtype))

    if stepped_from_python():  # unrolled: a map would be a while loop around the backward pass
        return jnp.stack([one(vector) for vector in vectors])
    return jax.vmap(one)(vectors)


@partial(jax.jit, donate_argnames=("total", "lost"))
def _step(apply, params, images, weights, vectors, total, lost):
    return add_compensated(total, lost, _batch_product(apply, params, images, weights, vectors))


@jax.jit
def _scan(apply, params, images, weights, vectors):
    def step(carry, batch):
        return add_compensated(carry[0], carry[1], _batch_product(apply, params, batch[0], batch[1], vectors)), None

    start = (jnp.zeros_like(vectors), jnp.zeros_like(vectors))
    (total, compensation), _ = jax.lax.scan(step, start, (images, weights))
    return total + compensation


@jax.jit
def _output(apply, params, images):
    return apply(params, images)


class GGN:
    """The generalised Gauss-Newton matrix of a data set as a linear operator on flat weight vectors.

    :param apply: pure function (params, images) → (n, height, width, channels).
    :param params: any pytree of floating-point arrays.
    :param images: (n, height, width, channels), see :class:`~sluguq.slug.batches.Batches`.
    :param batch_size: the most images in one batch; halved when the device's memory is full.
    :param execution: the devices that share each batch, and how much of their memory images may take.
    :param whole_batches: batches of ``batch_size`` also where there are fewer images.
    """

    def __init__(
        self,
        apply: Apply,
        params: Any,
        images: Any,
        *,
        batch_size: int = 64,
        execution: Execution | None = None,
        whole_batches: bool = False,
    ) -> None:
        execution = execution or Execution()
        images = examples_of(images)
        self.placement = Placement(execution.devices, [leaf for _, leaf in images.named()])
        self.apply = self.placement.copied(as_partial(apply))
        self.params = self.placement.copied(params)
        self.batches = Batches(images, batch_size, self.placement, execution.budget, whole=whole_batches)
        self.size = parameter_count(params)
        self.dtype = parameter_dtype(params)

    def product(self, vector: jax.Array) -> jax.Array:
        """G v for v of shape (p,)."""
        return self.products(jnp.asarray(vector)[None])[0]

    def products(self, vectors: jax.Array) -> jax.Array:
        """G applied to each row of (m, p); the rows share the forward pass.

        :raises ValueError: where the network, or its derivative, overflows on an image.
        """
        vectors = self.placement.copied(jnp.asarray(vectors, self.dtype))
        products = until_it_fits(lambda: self._products(vectors).block_until_ready(), self.batches.halve)
        if not jnp.isfinite(products).all():
            self._blame()
        return products

    def _products(self, vectors: jax.Array) -> jax.Array:
        if not stepped_from_python() and (stacked := self.batches.stacked()) is not None:
            return _scan(self.apply, self.params, *stacked, vectors)
        blocks = [vectors[start : start + _TOGETHER] for start in range(0, len(vectors), _TOGETHER)]
        sums = [(jnp.zeros_like(block), jnp.zeros_like(block)) for block in blocks]
        for images, weights in self.batches:  # read once, whatever the number of vectors
            for index, block in enumerate(blocks):
                sums[index] = _step(self.apply, self.params, images, weights, block, *sums[index])
        return jnp.concatenate([total + compensation for total, compensation in sums])

    def _blame(self) -> NoReturn:
        """Say which image makes a product NaN or infinite."""
        for index, (images, _) in enumerate(self.batches):
            finite = jnp.isfinite(_output(self.apply, self.params, images))
            bad = np.flatnonzero(~np.asarray(finite.all(tuple(range(1, finite.ndim)))))
            if len(bad):
                where = f"apply returns NaN or infinite values for image {self.batches.part(index).start + bad[0]}"
                break
        else:
            where = "the derivative of apply overflows, though its output does not"
        raise ValueError(f"a product with the Gauss-Newton matrix is NaN or infinite: {where}")
