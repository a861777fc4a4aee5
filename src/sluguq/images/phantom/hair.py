"""Hairs: curved, tapering strokes of varying number."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from sluguq.images.phantom.fields import Array
from sluguq.images.phantom.subjects import Patient

_DRAWN = 1024  # pixels along the side on which strokes are drawn, before averaging to the canvas
_STEPS = 10

# Density of hair at each body site, relative to the hairiest.
_DENSITY = {"trunk": 0.45, "arm": 0.8, "leg": 1.0, "face": 0.35, "hand": 0.25}


def draw_hair(rng: np.random.Generator, patient: Patient, site: str, n: int) -> Array:
    """Share of each pixel (n, n) that hair covers, in [0, 1].

    :param rng: random numbers.
    :param patient: whose hair it is.
    :param site: of the body.
    :param n: pixels of a side.
    """
    mean = 70.0 * _DENSITY[site] * patient.hairiness**2
    count = int(rng.poisson(mean))
    if count == 0:
        return np.zeros((n, n), np.float32)
    picture = Image.new("L", (_DRAWN, _DRAWN), 0)
    pen = ImageDraw.Draw(picture)
    lie = rng.uniform(0.0, 2 * np.pi)
    t = np.linspace(0.0, 1.0, _STEPS)[:, None]
    for _ in range(count):
        root = rng.uniform(-0.1, 1.1, 2)
        angle = lie + 0.35 * rng.standard_normal()
        bend = 0.5 * rng.standard_normal()
        length = rng.uniform(0.08, 0.4)
        way = np.array((np.cos(angle), np.sin(angle)))
        side = np.array((-way[1], way[0]))
        points = (root + length * (t * way + bend * t * t * side)) * _DRAWN
        width = rng.uniform(1.5, 4.5)
        half = _STEPS // 2
        pen.line([tuple(p) for p in points[: half + 1]], fill=235, width=max(1, round(width)), joint="curve")
        pen.line([tuple(p) for p in points[half:]], fill=200, width=max(1, round(0.6 * width)))
    whole = _DRAWN % n == 0
    picture = picture.reduce(_DRAWN // n) if whole else picture.resize((n, n), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float32) / np.float32(255)
