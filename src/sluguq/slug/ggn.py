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

from sluguq.slug.backoff import until_it_fits
from sluguq.slug.batches import Batches
from sluguq.slug.checks import ROOTS
from sluguq.slug.examples import examples_of, one_of
from sluguq.slug.execution import Execution
from sluguq.slug.network import Apply, as_partial, linearised, parameter_count, parameter_dtype, transposed
from sluguq.slug.placement import Placement, platform

_TOO_LARGE = "its square is beyond the range of the arithmetic: scale the outputs down; scores go with their square"
_NEAR = 1e-6  # below the root of the largest number: sums over outputs and weights come on top
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
def _pieces(apply, params, image, vectors):
    """f(x), J V and JᵀJ V of one image."""
    product = linearised(apply, params, image)
    transpose = transposed(product, params)
    slopes = [product(vector) for vector in vectors]
    return apply(params, image), jnp.stack(slopes), jnp.stack([transpose(slope) for slope in slopes])


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
            self._blame(vectors)
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

    def _blame(self, vectors: jax.Array) -> NoReturn:
        """Say which image makes a product NaN or infinite, and whether its output or its derivative does."""
        told = "a product with the Gauss-Newton matrix is NaN or infinite"
        for index, (images, _) in enumerate(self.batches):
            part = self.batches.part(index)
            for place in range(part.stop - part.start):
                what = self._fault(one_of(images, place), vectors)
                if what is not None:
                    raise ValueError(f"{told}: {what.format(image=f'image {part.start + place}')}")
        raise ValueError(f"{told}: {_TOO_LARGE}")

    def _fault(self, image: Any, vectors: jax.Array) -> str | None:
        """What of one image is not finite, in words around ``{image}``; None where nothing is."""
        output, slopes, products = _pieces(self.apply, self.params, image, vectors)
        if not jnp.isfinite(output).all():
            return "apply returns NaN or infinite values for {image}"
        if not jnp.isfinite(slopes).all():
            return f"the derivative of apply is NaN or infinite for {{image}}, though its output is not: {ROOTS}"
        if not jnp.isfinite(products).all():
            large = float(jnp.abs(slopes).max()) > float(jnp.finfo(slopes.dtype).max) ** 0.5 * _NEAR
            return _TOO_LARGE if large else f"the derivative of apply is NaN in reverse mode for {{image}}: {ROOTS}"
        return None
