"""Artefacts of clinical photographs, drawn on any image, with the exact mask of where they lie.

Rulers, surgical ink, stickers and gel bubbles are what dermatology's image archives hold beside skin (Bissoto
et al., CVPR Workshops 2020, arXiv:2004.11457). Drawn ones have a known place, so that a map of uncertainty can
be tested against it, on the same image with and without the artefact.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from sluguq.machine import extensions
from sluguq.machine.streams import drawing_stream

KINDS: tuple[str, ...] = ("ruler", "ink", "patch", "bubble")
SMALLEST = 32  # pixels along the shorter side

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_VISIBLE = 10  # of 255: fainter fringes of an artefact are not drawn and not counted


class Drawn(NamedTuple):
    """An image with an artefact on it."""

    pixels: Pixels  # (height, width, 3)
    mask: NDArray[np.bool_]  # (height, width), True exactly where the artefact was painted


class _Layer(NamedTuple):
    colour: Floats  # (height, width, 3), 0..255
    alpha: Floats  # (height, width), 0..1


def draw(pixels: Pixels, kind: str, *, seed: int) -> Drawn:
    """Draw one artefact of `kind` (see `KINDS`) on an image, or a few where they come in numbers (bubbles).

    `pixels` (height, width, 3) uint8 RGB, each side at least 32 pixels; it is left as it is. Where the artefact
    lies depends on (kind, seed) and the shape of the image alone. Outside the mask the result equals `pixels`;
    inside, the artefact's opacity is at least 4 % (fainter fringes of its outline are not painted). A clear
    ruler and a bubble count whole, not by their marks and rims alone.
    Raises ValueError for another kind, shape, type or a negative seed.
    """
    if kind not in _PAINTERS and kind not in extensions.ARTEFACTS:
        raise ValueError(f"no artefact called {kind!r}: choose one of {', '.join((*KINDS, *extensions.ARTEFACTS))}")
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(
            f"pixels must be uint8 RGB of shape (height, width, 3), not {pixels.dtype} of shape {pixels.shape}"
        )
    if min(pixels.shape[:2]) < SMALLEST:
        raise ValueError(
            f"the image must be at least {SMALLEST} pixels along each side, not {pixels.shape[1]} x {pixels.shape[0]}"
        )
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    number = KINDS.index(kind) if kind in KINDS else zlib.crc32(kind.encode())
    layer = _painter(kind)(drawing_stream(seed, number), pixels)
    # Opacity in steps of 1/255, so that what is called covered is what was painted.
    alpha = np.rint(255.0 * layer.alpha)
    mask = alpha >= _VISIBLE
    opacity = np.where(mask, alpha / 255.0, 0.0)[..., None]
    painted = np.rint(pixels + opacity * (layer.colour - pixels))
    return Drawn(np.clip(painted, 0.0, 255.0).astype(np.uint8), mask)


def _ruler(rng: np.random.Generator, pixels: Pixels) -> _Layer:
    """A plastic or paper scale along one edge, its ticks towards the middle of the image."""
    height, width = pixels.shape[:2]
    short, fine = min(height, width), _fineness(pixels)
    edge = int(rng.integers(4))
    tilt = math.radians(rng.uniform(-7.0, 7.0))
    broad = short * rng.uniform(0.15, 0.24)
    sunk = rng.uniform(-0.15, 0.3) * broad  # how much of it lies outside the image
    millimetre = short * rng.uniform(0.025, 0.045)
    clear = rng.uniform() < 0.35
    body = np.array((238, 240, 240)) - rng.integers(0, 30) - rng.integers(0, 12, 3)

    # The scale itself, lying: ticks hang from its lower edge.
    long = 2.4 * max(height, width)
    face = Image.new("RGBA", (round(long * fine), max(round(broad * fine), 4)), (*map(int, body), 90 if clear else 250))
    pen = ImageDraw.Draw(face)
    across = face.height
    mark = (25, 25, 32, 235)
    stroke = max(round(0.16 * millimetre * fine), 1)
    font = ImageFont.load_default(max(0.34 * across, 4.0))
    first = rng.uniform(0.0, 10.0)
    for tick in range(int(long / millimetre)):
        at = (tick + first % 1.0) * millimetre * fine
        length = across * (0.5 if tick % 10 == 0 else 0.38 if tick % 5 == 0 else 0.25)
        pen.rectangle((at, across - length, at + stroke, across), fill=mark)
        if tick % 10 == 0 and broad >= 12:
            pen.text((at, 0.30 * across), str(tick // 10 % 15 + 1), fill=mark, font=font, anchor="mm")
    pen.rectangle((0, 0, face.width, max(0.04 * across, 1)), fill=(*(int(0.75 * c) for c in body), 250))

    # Laid along the edge: an affine map from the fine canvas to the face.
    turn = (0.0, math.pi / 2, math.pi, -math.pi / 2)[edge] + tilt
    reach = (height if edge % 2 == 0 else width) / 2
    c, s = math.cos(turn), math.sin(turn)
    middle_x, middle_y = width * fine / 2, height * fine / 2
    shift = (reach + sunk) * fine
    inverse = (
        *(c, s, face.width / 2 - c * middle_x - s * middle_y),
        *(-s, c, shift + s * middle_x - c * middle_y),
    )
    canvas = face.transform((width * fine, height * fine), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)
    layer = _reduce(canvas, fine)
    gloss = 1.0 + 0.06 * _gradient(rng, height, width)
    return _Layer(layer.colour * gloss[..., None], layer.alpha)


def _ink(rng: np.random.Generator, pixels: Pixels) -> _Layer:
    """Strokes of a surgical marker: a ring around the middle, dashes about it, or a cross with a line."""
    height, width = pixels.shape[:2]
    short, fine = min(height, width), _fineness(pixels)
    canvas = Image.new("L", (width * fine, height * fine), 0)
    pen = ImageDraw.Draw(canvas)
    thick = max(short * rng.uniform(0.014, 0.035), 1.3) * fine
    middle = np.array((width, height)) * fine * (0.5 + rng.uniform(-0.1, 0.1, 2))
    radii = short * fine * rng.uniform(0.24, 0.42) * np.array((1.0, rng.uniform(0.7, 1.0)))
    turn = rng.uniform(0.0, 2 * math.pi)
    for path in _strokes(rng):
        rotated = path * radii @ np.array(((math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))))
        _brush(pen, middle + rotated, thick * np.clip(1.0 + 0.25 * _wander(rng, len(path)), 0.5, 1.6))
    dyes = ((88, 42, 140), (44, 62, 150), (28, 74, 120), (38, 36, 46))
    dye = np.array(dyes[rng.integers(len(dyes))], np.float32)
    strength = rng.uniform(0.7, 0.95)
    coverage = np.asarray(canvas.reduce(fine), dtype=np.float32) / np.float32(255)
    # Ink lies thicker here and thinner there.
    grain = ndimage.gaussian_filter(rng.standard_normal((height, width), dtype=np.float32), short / 150)
    grain /= max(float(grain.std()), 1e-6)
    alpha = coverage * np.clip(strength + 0.13 * grain, 0.3, 1.0)
    # A dye takes its share of the light that the skin returns, and has some body of its own.
    colour = 0.6 * (pixels * dye / np.float32(200)) + 0.4 * dye
    return _Layer(colour.astype(np.float32), alpha.astype(np.float32))


def _strokes(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Paths (points, 2) of a pen, in units of the ring's radius."""
    kind = rng.integers(3)
    if kind == 0:  # a ring, not quite closed or overlapping
        angles = np.linspace(0.0, 2 * math.pi * rng.uniform(0.85, 1.06), 80)
        radius = 1.0 + 0.06 * _wander(rng, 80)
        return [np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)]
    if kind == 1:  # dashes or dots about the lesion
        paths = []
        count = int(rng.integers(4, 11))
        span = rng.choice((0.02, 0.5)) * math.pi / count
        for start in np.arange(count) * 2 * math.pi / count + rng.normal(0.0, 0.06, count):
            angles = start + np.linspace(0.0, span * rng.uniform(0.7, 1.3), 12)
            radius = 1.0 + 0.1 * rng.standard_normal() + 0.008 * _wander(rng, 12)
            paths.append(np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1))
        return paths
    t = np.linspace(-1.0, 1.0, 40)  # a line with a cross at its end
    line = np.stack([t, 0.75 + 0.06 * _wander(rng, 40)], axis=1)
    arm = np.linspace(-0.2, 0.2, 15)
    cross = np.array((-1.15, 0.2)) + np.stack([arm, arm + 0.02 * _wander(rng, 15)], axis=1)
    return [line, cross, cross * (1, -1) + (0.0, 0.4)]


def _patch(rng: np.random.Generator, pixels: Pixels) -> _Layer:
    """A coloured sticker, round or rectangular, that reaches in from the border."""
    height, width = pixels.shape[:2]
    short, fine = min(height, width), _fineness(pixels)
    angle = rng.uniform(0.0, 2 * math.pi)
    away = rng.uniform(0.75, 1.0)
    # A ray from the middle meets the border at this distance, in half sides.
    border = 1.0 / max(abs(math.cos(angle)), abs(math.sin(angle)))
    centre = np.array((math.cos(angle), math.sin(angle))) * border * away * 0.5 + 0.5
    x, y = centre * (width, height)
    radius = short * rng.uniform(0.14, 0.27)
    turn = rng.uniform(0.0, math.pi)
    rows, columns = np.mgrid[0 : height * fine, 0 : width * fine].astype(np.float32)
    columns, rows = (columns + np.float32(0.5)) / fine - x, (rows + np.float32(0.5)) / fine - y
    u = np.abs(columns * math.cos(turn) + rows * math.sin(turn)) / radius
    v = np.abs(rows * math.cos(turn) - columns * math.sin(turn)) / radius
    if rng.uniform() < 0.6:
        depth = 1.0 - np.hypot(u, v * rng.uniform(1.0, 1.25))
    else:  # a rectangle with round corners
        corner = 0.2
        out_u, out_v = u - (1.0 - corner), v - (rng.uniform(0.5, 0.8) - corner)
        depth = corner - np.hypot(out_u.clip(0.0), out_v.clip(0.0)) - np.minimum(np.maximum(out_u, out_v), 0.0)
    hues = (
        *((38, 104, 190), (46, 150, 98), (236, 196, 52), (232, 128, 48)),
        *((196, 52, 60), (132, 76, 160), (226, 226, 220), (40, 160, 190)),
    )
    colour = np.array(hues[rng.integers(len(hues))], np.float32) * np.float32(rng.uniform(0.8, 1.05))
    # Paper: lit from one side, its edge bent down a little, its face not quite even.
    light = 1.0 + 0.12 * _gradient(rng, height, width)
    light -= 0.25 * np.exp(-_mean_of_squares(depth, fine).clip(0.0) / np.float32(0.05))
    light += 0.015 * rng.standard_normal((height, width), dtype=np.float32)
    return _Layer(light[..., None] * colour, _mean_of_squares(depth > 0, fine))


def _bubble(rng: np.random.Generator, pixels: Pixels) -> _Layer:
    """Air bubbles in contact gel: discs that bend the skin's image, with bright rims and glints."""
    height, width = pixels.shape[:2]
    short, fine = min(height, width), _fineness(pixels)
    colour = pixels.astype(np.float32)
    alpha = np.zeros((height, width), np.float32)
    lamp = rng.uniform(0.0, 2 * math.pi)
    for _ in range(rng.integers(4, 14)):
        radius = short * min(0.022 + 0.02 * rng.gamma(1.2), 0.09)
        x, y = rng.uniform(0.05, 0.95, 2) * (width, height)
        # Only the square about the bubble is touched.
        left, top = max(int(x - radius) - 1, 0), max(int(y - radius) - 1, 0)
        right, bottom = min(int(x + radius) + 3, width), min(int(y + radius) + 3, height)
        rows, columns = np.mgrid[top * fine : bottom * fine, left * fine : right * fine].astype(np.float32)
        u = ((columns + np.float32(0.5)) / fine - x) / radius
        v = ((rows + np.float32(0.5)) / fine - y) / radius
        distance = np.hypot(u, v)
        # A ball of air in gel scatters light outwards: what lies beneath appears smaller, the more so outside.
        bend = 0.75 + 0.5 * np.square(distance)
        where = [(y + v * radius * bend) - 0.5, (x + u * radius * bend) - 0.5]
        behind = np.stack(
            [ndimage.map_coordinates(pixels[..., i], where, np.float32, order=1, mode="nearest") for i in range(3)],
            axis=-1,
        )
        toward = (u * math.cos(lamp) + v * math.sin(lamp)) / np.maximum(distance, 1e-3)
        dark = 0.35 * np.exp(-np.square((distance - 0.78) / 0.12))
        rim = np.exp(-np.square((distance - 0.93) / 0.07)) * (0.45 + 0.4 * toward)
        glint = np.exp(-(np.square(u - 0.45 * math.cos(lamp)) + np.square(v - 0.45 * math.sin(lamp))) / 0.02)
        white = np.clip(rim + 0.9 * glint, 0.0, 1.0)[..., None]
        lit = behind * (1.0 - dark)[..., None]
        lit += white * (np.float32(250) - lit)
        here = (slice(top, bottom), slice(left, right))
        disc = _mean_of_squares(distance < 1.0, fine)
        alpha[here] = 1.0 - (1.0 - alpha[here]) * (1.0 - disc)
        refraction = np.stack([_mean_of_squares(lit[..., i], fine) for i in range(3)], axis=-1)
        colour[here] = np.where(disc[..., None] > 0, refraction, colour[here])
    return _Layer(colour, alpha)


_PAINTERS: dict[str, Callable[[np.random.Generator, Pixels], _Layer]] = dict(
    zip(KINDS, (_ruler, _ink, _patch, _bubble), strict=True)
)


extensions.refuse_twice("kind of artefact", KINDS, extensions.ARTEFACTS)


def _painter(kind: str) -> Callable[[np.random.Generator, Pixels], _Layer]:
    if kind in _PAINTERS:
        return _PAINTERS[kind]
    paint = extensions.ARTEFACTS[kind]
    return lambda rng, pixels: _Layer(*(np.asarray(part, np.float32) for part in paint(rng, pixels)))


def _fineness(pixels: Pixels) -> int:
    """Steps along each side of a pixel at which outlines are sampled."""
    return 4 if max(pixels.shape[:2]) <= 256 else 2


def _mean_of_squares(fine: NDArray, step: int) -> Floats:
    """Means (height, width) over the step x step samples of each pixel."""
    height, width = fine.shape[0] // step, fine.shape[1] // step
    return fine.reshape(height, step, width, step).mean(axis=(1, 3), dtype=np.float32)


def _reduce(canvas: Image.Image, step: int) -> _Layer:
    """Average an RGBA picture over squares; colours are weighted by their opacity."""
    values = np.asarray(canvas.reduce(step), dtype=np.float32)
    return _Layer(values[..., :3], values[..., 3] / np.float32(255))


def _gradient(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A ramp (height, width) from -1 to 1 in a random direction."""
    angle = rng.uniform(0.0, 2 * math.pi)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    ramp = (x[None, :] * math.cos(angle) + y[:, None] * math.sin(angle)) / math.sqrt(2)
    return ramp.astype(np.float32)


def _wander(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A smooth random course of `count` values of about unit size: a hand's unsteadiness."""
    t = np.linspace(0.0, 2 * math.pi, count)
    amplitudes, phases = rng.standard_normal(4) / (1.0, 1.5, 2.0, 3.0), rng.uniform(0.0, 2 * math.pi, 4)
    return np.sum(amplitudes[:, None] * np.sin(np.arange(1, 5)[:, None] * t + phases[:, None]), axis=0)


def _brush(pen: ImageDraw.ImageDraw, path: NDArray[np.float64], widths: NDArray[np.float64]) -> None:
    """Draw a path (points, 2) with a round nib of varying width (points,)."""
    for (x0, y0), (x1, y1), width in zip(path[:-1], path[1:], widths[1:], strict=True):
        pen.line((x0, y0, x1, y1), fill=255, width=max(round(width), 1))
        pen.ellipse((x1 - width / 2, y1 - width / 2, x1 + width / 2, y1 + width / 2), fill=255)
