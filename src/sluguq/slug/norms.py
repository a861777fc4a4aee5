"""Norms of vectors of any scale."""

import math

import jax
import jax.numpy as jnp

_WIDEST = 126  # powers of two that float32 holds, up and down


def norm(vector: jax.Array) -> float:
    """‖v‖, also where the squares of entries leave the range of the dtype; ordinary vectors get the same bits.

    :param vector: (p,).
    """
    largest = float(jnp.abs(vector).max())
    if largest == 0 or not math.isfinite(largest):
        return largest
    exponent = min(max(math.frexp(largest)[1], -_WIDEST), _WIDEST)
    return math.ldexp(float(jnp.linalg.norm(vector * 2.0**-exponent)), exponent)
