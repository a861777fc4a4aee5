"""Likelihoods other than the Gaussian, as a change of the network's outputs.

The Gauss-Newton matrix of a loss is Σᵢ JᵢᵀHᵢJᵢ with H the Hessian of the negative log likelihood in the outputs. With a
root H = L Lᵀ it is Σᵢ (LᵢᵀJᵢ)ᵀ(LᵢᵀJᵢ), that of a network whose outputs are Lᵀ f with L held fixed: nothing else
needs to know of it. None of these Hessians depends on the labels.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sluguq.slug.network import Apply, as_partial


def _categorical(logits: jax.Array, axis: int) -> jax.Array:
    """Lᵀ f with L = diag √p − p √pᵀ, so that L Lᵀ = diag p − p pᵀ, for p = softmax of the logits along ``axis``."""
    probabilities = jax.lax.stop_gradient(jax.nn.softmax(logits, axis))
    mean = (probabilities * logits).sum(axis, keepdims=True)
    return jnp.sqrt(probabilities) * (logits - mean)


def _bernoulli(logits: jax.Array, axis: int) -> jax.Array:
    """√(p (1 − p)) f, for p = sigmoid of the logits."""
    return jnp.sqrt(jax.lax.stop_gradient(jax.nn.sigmoid(logits) * jax.nn.sigmoid(-logits))) * logits


_ROOTS = {"categorical": _categorical, "bernoulli": _bernoulli}


@dataclass(frozen=True)
class _Metric:
    """Lᵀ f; equal for equal likelihoods, which so share compiled code."""

    likelihood: str
    axis: int

    def __call__(self, apply: Partial, params: Any, images: Any) -> jax.Array:
        logits = apply(params, images)
        if self.likelihood == "categorical":
            _check_classes(logits.shape, self.axis)
        return _ROOTS[self.likelihood](logits, self.axis)


def _check_classes(shape: tuple[int, ...], axis: int) -> None:
    """Refuse logits without an axis of two classes or more: a softmax over one is constant, over images a mixture."""
    told = f"logits of shape (n, {', '.join(map(str, shape[1:]))})" if len(shape) > 1 else "logits of shape (n,)"
    if not isinstance(axis, int) or not -len(shape) < axis < len(shape) or axis == 0:
        raise ValueError(
            f"channel_axis {axis!r} is no axis of classes of {told}: for two classes by one logit take bernoulli"
        )
    if shape[axis] < 2:
        raise ValueError(f"{told} have one class along axis {axis}: for two classes by one logit take bernoulli")


def measured(apply: Apply, likelihood: str, axis: int = -1) -> Partial:
    """A network whose Jacobian is Lᵀ J, in the metric of a likelihood.

    :param apply: pure function (params, images) → outputs; logits, unless the likelihood is Gaussian.
    :param likelihood: "gaussian" of unit variance, "categorical" (softmax along ``axis``) or "bernoulli".
    :param axis: the axis of classes.
    :raises ValueError: for another likelihood.
    """
    apply = as_partial(apply)
    if likelihood == "gaussian":
        return apply
    if likelihood not in _ROOTS:
        raise ValueError(f"likelihood is {likelihood!r}: it can be gaussian, {', '.join(_ROOTS)}")
    return Partial(_Metric(likelihood, axis), apply)
