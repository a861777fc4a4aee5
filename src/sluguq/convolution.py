"""Two-dimensional convolutions, NHWC and HWIO, in the forms that the networks here need.

All of them are plain compositions of differentiable operations: they work in forward mode, in reverse mode
and under `vmap`.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

Padding = Literal["zero", "reflect"]


def _padded(x: jax.Array, before: int, after: int, mode: str) -> jax.Array:
    width = ((0, 0), (before, after), (before, after), (0, 0))
    return jnp.pad(x, width, mode=mode)


def convolve(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = "zero", pad: bool = True
) -> jax.Array:
    """Convolve with an odd kernel, padded on all sides by half of its width.

    Parameters
    ----------
    x
        (n, height, width, channels in).
    kernel
        (k, k, channels in, channels out), k odd.
    stride
        step between outputs, along both axes; an even image side s gives s / stride outputs.
    padding
        what lies outside the image: zeros, or the image reflected about its outermost pixels.
    pad
        False computes only the outputs that see nothing of the outside.

    Returns
    -------
    (n, height / stride, width / stride, channels out).
    """
    half = kernel.shape[0] // 2 if pad else 0
    if padding == "reflect" and half:
        x, half = _padded(x, half, half, "reflect"), 0
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((half, half), (half, half)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolve_upsampled(x: jax.Array, kernel: jax.Array, *, padding: Padding = "zero") -> jax.Array:
    """Convolve the image up-sampled twice by nearest neighbours with a 3×3 kernel.

    Equal to `convolve(up-sampled x, kernel)` up to rounding with 4/9 of its multiplications, and without
    the up-sampled image: of the three rows that an output sees, two always repeat one another, so each of
    the four outputs of a pixel (its phases) is a 2×2 convolution of the small image with sums of the
    kernel's taps.

    Parameters
    ----------
    x
        (n, height, width, channels in).
    kernel
        (3, 3, channels in, channels out).
    padding
        what lies outside the *up-sampled* image.

    Returns
    -------
    (n, 2 height, 2 width, channels out).
    """
    n, height, width, _ = x.shape
    out = kernel.shape[-1]
    # Reflection about the outermost pixel of the large image repeats the outermost pixel of the small one.
    x = _padded(x, 1, 1, "constant" if padding == "zero" else "edge")

    def phases(taps: jax.Array) -> jax.Array:
        # Along the first axis: (3, ...) to (2 phases, 2 taps, ...).
        first, second, third = taps
        return jnp.stack([jnp.stack([first, second + third]), jnp.stack([first + second, third])])

    # (phase y, tap y, phase x, tap x, in, out) to (tap y, tap x, in, phase y, phase x, out).
    small = jax.vmap(jax.vmap(phases, in_axes=0, out_axes=0), in_axes=0, out_axes=0)(phases(kernel))
    small = small.transpose(1, 3, 4, 0, 2, 5).reshape(2, 2, kernel.shape[2], 4 * out)
    y = lax.conv_general_dilated(x, small, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    y = y.reshape(n, height + 1, width + 1, 2, 2, out)
    # Phase 0 of a pixel looks back, phase 1 forward, hence the shift by one between them.
    rows = jnp.stack([y[:, :-1, :, 0], y[:, 1:, :, 1]], axis=2)
    both = jnp.stack([rows[:, :, :, :-1, 0], rows[:, :, :, 1:, 1]], axis=4)
    return both.reshape(n, 2 * height, 2 * width, out)
