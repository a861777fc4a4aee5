"""Light on the skin's relief, and the camera that looks at it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sluguq.images.phantom.fields import Array


def shade(rng: np.random.Generator, x: Array, y: Array, height: Array, curvature: float) -> tuple[Array, Array]:
    """Diffuse and specular light (n, n) on a relief `height` (n, n), in widths of the image.

    The body bends away as a cylinder of `curvature` (per width of the image). Diffuse light is Lambert's, in
    part from all around; sheen is a Gaussian lobe of the slope around the one that mirrors the lamp into the
    camera (Ward, SIGGRAPH 1992, isotropic), over the skin's colour and independent of it. The
    diffuse light is 1 on average: the camera meters it.

    :param rng: random numbers.
    :param x: of the pixels' centres, (1, n), from 0 to 1.
    :param y: likewise, (n, 1).
    :param height: of the relief, (n, n), in widths of the image.
    :param curvature: of the body, per width of the image.
    :returns: diffuse and specular light, each (n, n).
    """
    n = height.shape[0]
    slope_y, slope_x = np.gradient(height, np.float32(1.0 / n))
    turn = rng.uniform(0.0, np.pi)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    bend = np.float32(curvature) * ((x - np.float32(rng.uniform(0.3, 0.7))) * c + (y - np.float32(0.5)) * s)
    slope_x -= bend * c
    slope_y -= bend * s

    azimuth, tilt = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.2, 0.8)
    light = np.array((np.cos(azimuth) * np.sin(tilt), np.sin(azimuth) * np.sin(tilt), np.cos(tilt)), np.float32)
    ambient = np.float32(rng.uniform(0.45, 0.75))
    steepness = np.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
    facing = (light[2] - slope_x * light[0] - slope_y * light[1]) / (steepness * light[2])
    diffuse = ambient + (1 - ambient) * np.maximum(facing, 0.0)

    # A lamp near by: it falls off to one side, and the lens dims the corners.
    reach = np.float32(rng.uniform(0.0, 0.35))
    diffuse *= 1.0 + reach * ((x - 0.5) * np.float32(np.cos(azimuth)) + (y - 0.5) * np.float32(np.sin(azimuth)))
    diffuse *= 1.0 - np.float32(rng.uniform(0.0, 0.35)) * (np.square(x - 0.5) + np.square(y - 0.5))

    diffuse /= diffuse.mean()

    mirror_x, mirror_y = rng.uniform(-0.3, 1.3, 2)
    spread = np.float32(rng.uniform(0.12, 0.3))
    nearness = np.float32(rng.uniform(0.5, 1.2))
    off_x = slope_x - nearness * (x - np.float32(mirror_x))
    off_y = slope_y - nearness * (y - np.float32(mirror_y))
    sheen = np.exp(-(off_x * off_x + off_y * off_y) / (2 * spread * spread))
    return diffuse, np.float32(rng.gamma(1.2, 0.03)) * sheen


def photograph(rng: np.random.Generator, linear: Array) -> Array:
    """Linear-light RGB (3, n, n) as a camera records it: exposure, white balance, lens blur, sensor noise."""
    n = linear.shape[-1]
    gains = np.exp(0.11 * _bell(rng) + np.array((0.035 * _bell(rng), 0.0, 0.05 * _bell(rng))))
    linear = linear * gains.astype(np.float32)[:, None, None]
    blur = n * rng.uniform(0.0008, 0.0035)  # standard deviation in canvas pixels
    linear = ndimage.gaussian_filter(linear, (0, blur, blur), truncate=2.5, mode="nearest")
    # Photon noise grows with the root of the light, read noise does not (EMVA 1288), in 1/256 of the image's width;
    # smaller pixels catch less.
    photon, read_noise = rng.uniform(0.01, 0.04), rng.uniform(0.001, 0.006)
    deviation = np.sqrt(np.float32(photon**2) * np.maximum(linear, 0.0) + np.float32(read_noise**2))
    deviation *= np.float32(n / 256)
    deviation *= rng.standard_normal(linear.shape, dtype=np.float32)
    linear += deviation
    return linear


def _bell(rng: np.random.Generator) -> float:
    """Normal draw, cut at two deviations."""
    return float(np.clip(rng.standard_normal(), -2.0, 2.0))
