"""Backward and forward passes of one image for many vectors, side by side.

With one image, the activations are common to all vectors: the weight gradients of a convolution for m
cotangents are one convolution with m times the channels, and its tangent for m weight vectors likewise. A
batch of images with a vector each has no such form (its convolutions are grouped), and runs several times
slower on a CPU.
"""

import jax

from sluguq.slug.network import parameter_dtype


@jax.jit
def backward(apply, params, image, cotangents):
    """Jᵀ q for each row of (m, D), as one array (m, size) for each parameter array, for one image (1, …)."""
    output, product = jax.linearize(lambda weights: apply(weights, image), params)
    transpose = jax.linear_transpose(product, params)
    rows = jax.vmap(lambda cotangent: transpose(cotangent)[0])(cotangents.reshape(-1, *output.shape))
    dtype = parameter_dtype(params)
    return tuple(leaf.reshape(len(cotangents), -1).astype(dtype) for leaf in jax.tree.leaves(rows))


@jax.jit
def forward(apply, params, image, tangents):
    """J v, (m, D), for tangents of the form that :func:`backward` returns, for one image (1, …)."""
    _, product = jax.linearize(lambda weights: apply(weights, image), params)
    leaves, structure = jax.tree.flatten(params)
    pairs = zip(tangents, leaves, strict=True)
    shaped = [tangent.reshape(-1, *leaf.shape).astype(leaf.dtype) for tangent, leaf in pairs]
    return jax.vmap(product)(jax.tree.unflatten(structure, shaped)).reshape(len(tangents[0]), -1)
