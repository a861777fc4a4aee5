"""Backward and forward passes of one image for many vectors, side by side.

With one image, the activations are common to all vectors: the weight gradients of a convolution for m
cotangents are one convolution with m times the channels, and its tangent for m weight vectors likewise. A
batch of images with a vector each has no such form (its convolutions are grouped), and runs several times
slower on a CPU.
"""

import jax

from sluguq.slug.network import linearised, parameter_count, transposed


@jax.jit
def backward(apply, params, image, cotangents):
    """Jᵀ q for each row of (m, D), (m, p), for one image with a batch axis of one."""
    product = linearised(apply, params, image)
    vector = jax.ShapeDtypeStruct((parameter_count(params),), cotangents.dtype)
    shape = jax.eval_shape(product, vector).shape
    return jax.vmap(transposed(product, params))(cotangents.reshape(-1, *shape))


@jax.jit
def forward(apply, params, image, tangents):
    """J v for each row of (m, p), (m, D), for one image with a batch axis of one."""
    return jax.vmap(linearised(apply, params, image))(tangents).reshape(len(tangents), -1)
