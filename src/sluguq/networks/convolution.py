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


def _convolution(x: jax.Array, kernel: jax.Array, stride: int, pads: tuple) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convolve(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = "zero", pad: bool = True
) -> jax.Array:
    """Convolve with an odd kernel, padded on all sides by half of its width.

    :param x: (n, height, width, channels in).
    :param kernel: (k, k, channels in, channels out), k odd.
    :param stride: step between outputs, along both axes; an even image side s gives s / stride outputs.
    :param padding: what lies outside the image: zeros, or the image reflected about its outermost pixels.
    :param pad: False computes only the outputs that see nothing of the outside.
    :returns: (n, height / stride, width / stride, channels out).
    """
    half = kernel.shape[0] // 2 if pad else 0
    if padding == "reflect" and half:
        x, half = _padded(x, half, half, "reflect"), 0
    pads = ((half, half), (half, half))
    if _blocks_are_faster(x, kernel, stride, half):
        return _in_blocks(x, kernel, half)
    if _products_are_faster(x, kernel, stride):
        return _as_product(x, kernel, stride, half)
    return _convolution(x, kernel, stride, pads)


def _products_are_faster(x: jax.Array, kernel: jax.Array, stride: int) -> bool:
    """Whether gathering patches and one matrix product beats XLA's convolution: on CPUs, with strides or large kernels.

    XLA's gradient transposes the kernel and both its operands first, which costs as much as the arithmetic
    where kernels are large, and is slow with strides.
    """
    if kernel.shape[0] != 3 or jax.default_backend() != "cpu":
        return False
    return kernel.shape[2] >= 16 if stride == 2 else _kernel_outweighs(x)


def _kernel_outweighs(x: jax.Array) -> bool:
    """Whether there are fewer pixels in the batch than channels, so that kernels are the larger operand."""
    n, height, width, channels = x.shape
    return channels >= 256 and n * height * width <= channels


def _as_product(x: jax.Array, kernel: jax.Array, stride: int, half: int) -> jax.Array:
    if half:
        x = _padded(x, half, half, "constant")
    n, height, width, channels = x.shape
    size, out = kernel.shape[0], kernel.shape[3]
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    patches = [
        lax.slice(
            x,
            (0, row, column, 0),
            (n, row + (rows - 1) * stride + 1, column + (columns - 1) * stride + 1, channels),
            (1, stride, stride, 1),
        )
        for row in range(size)
        for column in range(size)
    ]
    gathered = jnp.concatenate(patches, axis=-1).reshape(n * rows * columns, size * size * channels)
    return (gathered @ kernel.reshape(-1, out)).reshape(n, rows, columns, out)


def _blocks_are_faster(x: jax.Array, kernel: jax.Array, stride: int, half: int) -> bool:
    """Whether XLA is slow at this convolution because it has few outputs: on CPUs, for the last layer."""
    fits = kernel.shape[0] == 5 and half in (0, 2) and stride == 1 and x.shape[1] % 2 == x.shape[2] % 2 == 0
    return fits and kernel.shape[3] <= 4 and jax.default_backend() == "cpu"


def _in_blocks(x: jax.Array, kernel: jax.Array, half: int) -> jax.Array:
    """A 5×5 convolution as a 3×3 one from blocks of 2×2 pixels to blocks of 2×2 outputs.

    1.44 times the multiplications, and with 3 outputs still 1.1 to 2.3 times as fast in training on CPUs.
    """
    n, height, width, channels = x.shape
    out = kernel.shape[3]
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    blocks = blocks.reshape(n, height // 2, width // 2, 4 * channels)
    # The taps that output (row, column) of a block has within the 6×6 pixels of three blocks by three.
    taps = [
        jnp.stack(
            [jnp.pad(kernel, ((row, 1 - row), (column, 1 - column), (0, 0), (0, 0))) for column in (0, 1)],
            axis=-2,
        )
        for row in (0, 1)
    ]
    wide = jnp.stack(taps, axis=-3).reshape(3, 2, 3, 2, channels, 4 * out).transpose(0, 2, 1, 3, 4, 5)
    y = _convolution(blocks, wide.reshape(3, 3, 4 * channels, 4 * out), 1, ((half // 2, half // 2),) * 2)
    n, height, width, _ = y.shape
    y = y.reshape(n, height, width, 2, 2, out).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, 2 * height, 2 * width, out)


def convolve_upsampled(x: jax.Array, kernel: jax.Array, *, padding: Padding = "zero") -> jax.Array:
    """Convolve the image up-sampled twice by nearest neighbours with a 3×3 kernel.

    Equal to ``convolve(up-sampled x, kernel)`` up to rounding with 4/9 or 1/4 of its multiplications, and without
    the up-sampled image (see ``_in_phases`` and ``_by_differences``).

    :param x: (n, height, width, channels in).
    :param kernel: (3, 3, channels in, channels out).
    :param padding: what lies outside the *up-sampled* image.
    :returns: (n, 2 height, 2 width, channels out).
    """
    by_differences = _differences_are_faster(x)
    # Reflection about the outermost pixel of the large image repeats the outermost pixel of the small one.
    if padding == "reflect":
        x = _padded(x, 1, 1, "edge")
    elif by_differences:
        x = _padded(x, 1, 1, "constant")
    return _by_differences(x, kernel) if by_differences else _in_phases(x, kernel, padded=padding == "reflect")


def _differences_are_faster(x: jax.Array) -> bool:
    """Whether fewer multiplications outweigh more sums: on CPUs, where an image has enough channels."""
    return x.shape[3] >= 32 and jax.default_backend() == "cpu"


def _interleaved(phases: list[list[jax.Array]]) -> jax.Array:
    """The large image whose pixels (2i + row, 2j + column) are `phases[row][column]` (n, height, width, channels)."""
    rows = [jnp.stack(row, axis=3) for row in phases]
    n, height, width, _, channels = rows[0].shape
    return jnp.stack(rows, axis=2).reshape(n, 2 * height, 2 * width, channels)


def _in_phases(x: jax.Array, kernel: jax.Array, *, padded: bool) -> jax.Array:
    """The up-sampled convolution in 4/9 of the multiplications; zeros lie outside an image that is not padded.

    Of the three rows that an output sees, two always repeat one another, so each of the four outputs of a
    pixel (its phases) is a 2×2 convolution of the small image with sums of the kernel's taps.
    """

    def phases(taps: jax.Array) -> jax.Array:
        # Along the first axis: (3, ...) to (2 phases, 2 taps, ...).
        first, second, third = taps
        return jnp.stack([jnp.stack([first, second + third]), jnp.stack([first + second, third])])

    # (phase y, tap y, phase x, tap x, in, out)
    small = jax.vmap(jax.vmap(phases))(phases(kernel))

    def phase(row: int, column: int) -> jax.Array:
        # Phase 0 looks one pixel back, phase 1 one pixel forward. Four convolutions, since XLA's gradient
        # of a single one with four times the outputs takes two to three times as long on CPUs.
        taps = small[row, :, column]
        if padded:
            window = x[:, row : x.shape[1] - 1 + row, column : x.shape[2] - 1 + column]
            return _convolution(window, taps, 1, ((0, 0), (0, 0)))
        return _convolution(x, taps, 1, ((1 - row, row), (1 - column, column)))

    return _interleaved([[phase(row, column) for column in (0, 1)] for row in (0, 1)])


def _by_differences(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The up-sampled convolution of a padded image in 1/4 of the multiplications, as nine matrix products.

    Along one axis, with taps a, b, c and their sum s, the two outputs of a pixel x between u and v are
    a·u + (b + c)·x = s·x + a·(u - x) and (a + b)·x + c·v = s·x + c·(v - x): three products for two outputs.
    Along both axes nine products give four outputs, where the large image takes 36.
    """
    # Else XLA computes the activation before it (and its tangent, a dozen arrays to read) anew for several slices.
    x = lax.optimization_barrier(x)
    n, height, width, channels = x.shape[0], x.shape[1] - 2, x.shape[2] - 2, x.shape[3]
    out = kernel.shape[3]

    def along(pixels: jax.Array, axis: int) -> list[jax.Array]:
        """u - x, x and v - x of every pixel."""
        length = pixels.shape[axis] - 2
        before, here, after = (lax.slice_in_dim(pixels, i, i + length, axis=axis) for i in range(3))
        return [before - here, here, after - here]

    def combined(taps: list[jax.Array]) -> list[jax.Array]:
        return [taps[0], taps[0] + taps[1] + taps[2], taps[2]]

    # Split rather than indexed: the gradient is then one concatenation, not a sum of nine padded kernels.
    taps = [tap.reshape(channels, out) for tap in lax.split(kernel.reshape(9, channels, out), [1] * 9)]
    columns = [combined(taps[3 * row : 3 * row + 3]) for row in range(3)]
    factors = [combined(list(column)) for column in zip(*columns, strict=True)]  # [column][row]
    products = [
        [
            (part.reshape(-1, channels) @ factors[column][row]).reshape(n, height, width, out)
            for column, part in enumerate(along(rows, 2))
        ]
        for row, rows in enumerate(along(x, 1))
    ]
    shared = products[1]
    return _interleaved(
        [[shared[1] + products[row][1] + shared[column] + products[row][column] for column in (0, 2)] for row in (0, 2)]
    )
