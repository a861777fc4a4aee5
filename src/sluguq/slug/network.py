"""A network as a function of one flat weight vector, and what the device can hold.

Everything in this package sees a network as ``apply(params, images)``. Its arrays travel as
arguments of the compiled steps, never as constants inside them, so that models of the same shape
share compiled code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

Apply = Callable[[Any, jax.Array], jax.Array]


def as_partial(apply: Apply) -> Partial:
    """``apply`` as a pytree whose arrays, if it carries any, are arguments under ``jax.jit``."""
    return apply if isinstance(apply, Partial) else Partial(apply)


def widened(apply: Apply, params: Any, images: Any) -> tuple[Partial, Any]:
    """``apply`` and ``params`` with half-precision weights as float32, an output of at least float32 and two axes.

    Taking k directions off a probe changes each of its p entries by about √(k / p), less than half precision can
    tell from nothing: the projection would be rounded away and the score be ‖J‖².

    :raises ValueError: where ``apply`` wants its weights in half precision.
    """
    apply = as_partial(apply)
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32) if _is_half(leaf) else leaf, params)
    sample = jax.tree.map(jnp.asarray, images[:1])
    try:
        output = jax.eval_shape(apply, wide, sample)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"apply(params, images) does not take its half-precision weights as float32, which SLUG needs "
            f"({str(error).splitlines()[0]}): let it compute in the precision of params"
        ) from error
    apply = Partial(_in_float32, apply) if _is_half(output) else apply
    return Partial(_as_vectors, apply) if output.ndim == 1 else apply, wide


@dataclass(frozen=True)
class _ChannelsLast:
    """Moves an output's channels last; a value, so that calls for the same axis share compiled code."""

    axis: int

    def __call__(self, apply: Partial, params: Any, images: Any) -> jax.Array:
        return jnp.moveaxis(apply(params, images), self.axis, -1)


def channels_last(apply: Apply, axis: int) -> Partial:
    """``apply`` with the channels of its output, at ``axis`` of (n, …), moved last: maps sum over them."""
    apply = as_partial(apply)
    return apply if axis == -1 else Partial(_ChannelsLast(axis), apply)


def _is_half(array: Any) -> bool:
    dtype = jnp.result_type(array)
    return bool(jnp.issubdtype(dtype, jnp.floating)) and dtype.itemsize < 4


def _in_float32(apply: Partial, params: Any, images: jax.Array) -> jax.Array:
    return apply(params, images).astype(jnp.float32)


def _as_vectors(apply: Partial, params: Any, images: Any) -> jax.Array:
    return apply(params, images)[:, None]


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether an output of this shape, without its leading axis, is an image or a volume with channels."""
    return len(shape) > 2


def parameter_count(params: Any) -> int:
    """p, the number of weights."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def parameter_dtype(params: Any) -> Any:
    """The dtype of the flat weight vector."""
    return jnp.result_type(*jax.tree.leaves(params))


def unraveller(params: Any) -> Callable[[jax.Array], Any]:
    """From a flat vector, in the order of ``ravel_pytree``, to a tangent of ``params``."""
    return ravel_pytree(params)[1]


def linearised(apply: Apply, params: Any, images: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """v ↦ J v with J = ∂ apply(params, images) / ∂ params, v flat of shape (p,)."""
    _, jvp = jax.linearize(lambda weights: apply(weights, images), params)
    unravel = unraveller(params)
    return lambda vector: jvp(unravel(vector))


def transposed(product: Callable[[jax.Array], jax.Array], params: Any) -> Callable[[jax.Array], jax.Array]:
    """u ↦ Jᵀ u for the J of :func:`linearised`."""
    primal = jax.ShapeDtypeStruct((parameter_count(params),), parameter_dtype(params))
    transpose = jax.linear_transpose(product, primal)
    return lambda cotangent: transpose(cotangent)[0]
