"""Random fields and outlines on the unit square, the same at every resolution."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.float32]

CANVAS = 128  # least number of pixels along a side on which light is computed
FINEST = 255  # highest frequency of any field, cycles per image


def canvas_size(size: int) -> int:
    """Side of the canvas, in pixels, of an image of `size` pixels: its least multiple of at least CANVAS."""
    return size * -(-CANVAS // size)


def grid(n: int) -> tuple[Array, Array]:
    """Coordinates x (1, n) and y (n, 1) of pixel centres in [0, 1]."""
    centres = (np.arange(n, dtype=np.float32) + np.float32(0.5)) / np.float32(n)
    return centres[None, :], centres[:, None]


def noise(
    rng: np.random.Generator,
    n: int,
    *,
    slope: float,
    lowest: float = 1.0,
    highest: float = FINEST,
    angle: float = 0.0,
    stretch: float = 1.0,
) -> Array:
    """Gaussian field (n, n) of mean 0 and variance 1, of spectral amplitude 1 / f^slope.

    Frequencies are in cycles per image, from `lowest` to `highest` (at most FINEST); `stretch` above 1 draws
    the field out along `angle` (radians). The field does not depend on `n`: a finer grid shows the same waves
    and adds those that a coarser one cannot carry.

    :param rng: random numbers.
    :param n: pixels of a side.
    :param slope: of the amplitude over frequency.
    :param lowest: frequency, in cycles per image.
    :param highest: frequency, in cycles per image.
    :param angle: of the stretch, in radians.
    :param stretch: ratio of lengths along and across the angle.
    """
    amplitude = _amplitude(slope, lowest, min(highest, FINEST), angle, stretch)
    finer = amplitude.shape[1]
    finest = min(finer, 64 * 2 ** int(math.log2(n / 128)))
    waves = _waves(int(rng.integers(2**63)), finest) * amplitude[finer - finest : finer + finest - 1, :finest]
    # Pixel centres lie half a pixel in: shift by the phase.
    k = np.arange(1 - finest, finest)
    phase = np.exp(1j * np.pi / n * k).astype(np.complex64)
    waves *= phase[:, None] * phase[None, finest - 1 :]
    spectrum = np.zeros((n, n // 2 + 1), np.complex64)
    spectrum[k, :finest] = waves
    return fft.irfft2(spectrum, s=(n, n), norm="forward", overwrite_x=True)


@lru_cache(maxsize=8)
def _amplitude(slope: float, lowest: float, highest: float, angle: float, stretch: float) -> Array:
    """Mean amplitude of frequencies ky = 1 - top .. top - 1, kx = 0 .. top - 1, top = 64, 128 or 256.

    Scaled so that the field they add up to has variance 1.
    """
    top = 64 * 2 ** math.ceil(math.log2(max(highest + 1.0, 64.0) / 64.0))
    ky = np.arange(1 - top, top, dtype=np.float32)[:, None]
    kx = np.arange(top, dtype=np.float32)[None, :]
    c, s = math.cos(angle), math.sin(angle)
    along, across = (kx * c + ky * s) * stretch, ky * c - kx * s
    radius2 = along * along + across * across
    band = (radius2 >= lowest * lowest) & (radius2 <= highest * highest)
    amplitude = np.where(band, np.maximum(radius2, 1.0) ** np.float32(-slope / 2), np.float32(0))
    # The column kx = 0 stands for itself, every other for itself and its mirror image.
    power = np.square(amplitude)
    amplitude /= math.sqrt(4.0 * float(power[:, 1:].sum()) + 2.0 * float(power[:, 0].sum()))
    amplitude.flags.writeable = False  # shared between calls
    return amplitude


def _waves(key: int, top: int) -> NDArray[np.complex64]:
    """Random complex amplitudes of frequencies ky = 1 - top .. top - 1, kx = 0 .. top - 1; top = 64, 128, ...

    Each octave has a stream of its own, so the lower ones stay as they are when higher ones are added.
    """
    rng = np.random.Generator(np.random.Philox(key=np.array((key, top), np.uint64)))
    draws = rng.standard_normal((2, 2 * top - 1, top), dtype=np.float32)
    waves = draws[0] + 1j * draws[1]
    if top > 64:
        waves[top // 2 : -(top // 2), : top // 2] = _waves(key, top // 2)
    return waves


def outline(
    rng: np.random.Generator,
    x: Array,
    y: Array,
    *,
    centre: tuple[float, float],
    radius: float,
    elongation: float = 1.0,
    lobes: float = 0.1,
) -> Array:
    """How far each pixel lies from a closed irregular outline, in radii: below 0 within, 0 on it.

    The outline is an ellipse of axes radius * elongation^(+-1/2) whose radius varies over the angle by five
    harmonics, `lobes` strong.

    :param rng: random numbers.
    :param x: of the pixels' centres, (1, n), from 0 to 1.
    :param y: likewise, (n, 1).
    :param centre: of the ellipse, x and y.
    :param radius: mean radius, in widths of the image.
    :param elongation: ratio of the axes.
    :param lobes: strength of the harmonics, as a share of the radius.
    """
    turn = rng.uniform(0.0, np.pi)
    c, s = math.cos(turn), math.sin(turn)
    u = ((x - centre[0]) * c + (y - centre[1]) * s) / (radius * elongation**0.5)
    v = ((y - centre[1]) * c - (x - centre[0]) * s) / (radius * elongation**-0.5)
    distance = np.sqrt(u * u + v * v)
    unit = (u + 1j * v) / np.maximum(distance, np.float32(1e-6))
    weights = rng.standard_normal(5) * np.exp(2j * np.pi * rng.uniform(size=5))
    border = np.ones_like(distance)
    power = unit
    for order, weight in enumerate(weights, start=2):
        power = power * unit
        border += (power * np.complex64(lobes * weight / order**0.5)).real
    return distance / np.clip(border, 0.45, 1.8) - 1.0


def inside(signed: Array, edge: float) -> Array:
    """Soft membership in [0, 1] of a signed distance: 1/2 on the outline, logistic with scale `edge`."""
    return 1.0 / (1.0 + np.exp(np.clip(signed / np.float32(edge), -30.0, 30.0)))
