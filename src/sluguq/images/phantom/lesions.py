"""Lesions: what each condition adds to or takes from the skin, as maps on the canvas.

Doses are optical densities of the green channel (see `optics`) and follow the same laws for all skin types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluguq.images.phantom.fields import Array, inside, noise, outline


@dataclass
class Lesion:
    """Maps (n, n) of one image's lesion; all zero where there is none, `cover` True inside its outline."""

    melanin: Array
    haemoglobin: Array
    missing: Array  # share of the melanin that is lost
    scale: Array  # opacity of dry, whitish scale
    crust: Array  # opacity of dark crust
    height: Array  # in widths of the image
    cover: NDArray[np.bool_]

    @classmethod
    def none(cls, n: int) -> Lesion:
        def zeros() -> Array:
            return np.zeros((n, n), np.float32)

        return cls(zeros(), zeros(), zeros(), zeros(), zeros(), zeros(), cover=np.zeros((n, n), bool))


@dataclass
class _Place:
    """Where a lesion is drawn, with the noise that its kind may use."""

    rng: np.random.Generator
    x: Array
    y: Array
    coarse: Array  # 1/f^1.6, of variance 1
    fine: Array  # blobs of about 1/30 of the image, of variance 1
    lesion: Lesion

    def shape(self, low: float, high: float, *, lobes: float, rough: float, elongated: float = 1.35) -> Array:
        """Signed distance, in radii, from the border of a lesion near the middle of the image."""
        rng = self.rng
        centre = (0.5 + 0.1 * float(_bell(rng)), 0.5 + 0.1 * float(_bell(rng)))
        return self.blob(centre, rng.uniform(low, high), lobes, rough, rng.uniform(1.0, elongated))

    def blob(self, centre: tuple[float, float], radius: float, lobes: float, rough: float, elongation: float) -> Array:
        signed = outline(self.rng, self.x, self.y, centre=centre, radius=radius, elongation=elongation, lobes=lobes)
        signed += np.float32(rough) * (0.6 * self.coarse + 0.25 * self.fine)
        # The core always belongs, so that no border noise can make a lesion vanish.
        core = np.hypot(self.x - centre[0], self.y - centre[1]) < 0.45 * radius
        np.minimum(signed, np.float32(-0.2), out=signed, where=core)
        self.lesion.cover |= signed < 0
        return signed

    def satellites(self, signed: Array, most: int, low: float, high: float, *, rough: float) -> Array:
        """Join up to `most` smaller blobs, anywhere in the image, to a lesion."""
        for _ in range(self.rng.integers(most + 1)):
            centre = (self.rng.uniform(0.08, 0.92), self.rng.uniform(0.08, 0.92))
            other = self.blob(centre, self.rng.uniform(low, high), 0.12, rough, self.rng.uniform(1.0, 1.5))
            signed = np.minimum(signed, other)
        return signed


def draw_lesion(condition: str, rng: np.random.Generator, x: Array, y: Array) -> Lesion:
    """Maps of one lesion of a kind in `subjects.CONDITIONS`, on the grid x (1, n), y (n, 1).

    :param condition: its kind.
    :param rng: random numbers.
    :param x: of the pixels' centres, (1, n), from 0 to 1.
    :param y: likewise, (n, 1).
    """
    n = x.shape[1]
    coarse = noise(rng, n, slope=1.6, lowest=2.0, highest=40.0)
    fine = noise(rng, n, slope=1.0, lowest=8.0, highest=48.0)
    place = _Place(rng, x, y, coarse, fine, Lesion.none(n))
    _KINDS[condition](place)
    return place.lesion


def _naevus(p: _Place) -> None:
    signed = p.shape(0.07, 0.17, lobes=0.07, rough=0.12, elongated=1.6)
    within = inside(signed, p.rng.uniform(0.04, 0.12))
    centre = np.clip(-signed, 0.0, 1.0)
    dose = p.rng.uniform(0.7, 1.7)
    p.lesion.melanin += dose * within * (0.75 + 0.45 * centre + 0.14 * p.coarse + 0.12 * p.fine).clip(0.2)
    p.lesion.haemoglobin += p.rng.uniform(0.0, 0.3) * within
    p.lesion.height += p.rng.choice((0.0, 0.02, 0.05)) * within * np.sqrt(centre)


def _macule(p: _Place) -> None:
    signed = p.shape(0.08, 0.2, lobes=0.14, rough=0.22)
    signed = p.satellites(signed, 5, 0.02, 0.06, rough=0.2)
    dose = p.rng.uniform(0.3, 0.75)
    p.lesion.melanin += (
        dose * inside(signed, p.rng.uniform(0.06, 0.14)) * (0.9 + 0.2 * p.coarse + 0.15 * p.fine).clip(0.2)
    )


def _keratosis(p: _Place) -> None:
    signed = p.shape(0.11, 0.22, lobes=0.12, rough=0.16, elongated=1.5)
    within = inside(signed, p.rng.uniform(0.03, 0.06))
    warts = np.tanh(p.fine)
    dose = p.rng.uniform(0.5, 1.5)
    p.lesion.melanin += dose * within * (0.8 - 0.35 * warts + 0.15 * p.coarse).clip(0.1)
    p.lesion.haemoglobin += p.rng.uniform(0.0, 0.35) * inside(signed, 0.15)
    p.lesion.height += within * (0.03 + 0.007 * warts) * p.rng.uniform(0.5, 1.2)
    p.lesion.scale += p.rng.uniform(0.05, 0.3) * within * (0.4 + 0.6 * p.coarse).clip(0.0, 1.0)


def _plaque(p: _Place) -> None:
    signed = p.shape(0.18, 0.33, lobes=0.16, rough=0.25, elongated=1.7)
    signed = p.satellites(signed, 3, 0.04, 0.09, rough=0.25)
    within = inside(signed, p.rng.uniform(0.03, 0.08))
    p.lesion.haemoglobin += p.rng.uniform(0.45, 1.0) * within * (0.85 + 0.2 * p.coarse).clip(0.3)
    p.lesion.melanin += p.rng.uniform(0.05, 0.35) * within
    p.lesion.height += 0.012 * within * (1.0 + 0.15 * p.fine)
    flakes = inside(np.float32(p.rng.uniform(0.1, 1.3)) - p.coarse - np.float32(0.4) * p.fine, 0.25)
    p.lesion.scale += p.rng.uniform(0.1, 0.5) * flakes * inside(signed + 0.12, 0.05)


def _erythema(p: _Place) -> None:
    signed = p.shape(0.2, 0.38, lobes=0.2, rough=0.35, elongated=1.6)
    patchy = (0.8 + 0.3 * p.coarse).clip(0.1)
    p.lesion.haemoglobin += p.rng.uniform(0.35, 0.85) * inside(signed, p.rng.uniform(0.14, 0.28)) * patchy
    if p.rng.uniform() < 0.5:  # papules
        spots = inside(1.3 - p.fine, 0.12) * inside(signed, 0.1)
        p.lesion.haemoglobin += p.rng.uniform(0.2, 0.6) * spots
        p.lesion.height += 0.004 * spots


def _nodule(p: _Place) -> None:
    signed = p.shape(0.08, 0.17, lobes=0.05, rough=0.07, elongated=1.3)
    within = inside(signed, 0.05)
    dome = np.sqrt(np.clip(1.0 - np.square(1.0 + np.minimum(signed, 0.0)), 0.0, 1.0))
    p.lesion.height += p.rng.uniform(0.03, 0.08) * dome
    p.lesion.haemoglobin += p.rng.uniform(0.25, 0.9) * within + p.rng.uniform(0.0, 0.3) * inside(signed, 0.3)
    p.lesion.melanin += p.rng.choice((0.0, 0.0, 0.5, 1.3)) * within * (0.9 + 0.2 * p.coarse).clip(0.2)
    vessels = np.exp(-np.square((p.coarse + 0.4 * p.fine) / 0.1))  # thin lines where the noise crosses zero
    p.lesion.haemoglobin += p.rng.uniform(0.0, 0.5) * vessels * within
    if p.rng.uniform() < 0.45:  # ulcer
        sore = inside(signed + p.rng.uniform(0.4, 0.65) + 0.12 * p.coarse + 0.06 * p.fine, 0.05)
        p.lesion.crust += p.rng.uniform(0.6, 0.95) * sore
        p.lesion.height -= 0.01 * sore * (1.0 + 0.4 * p.fine)


def _hypopigmentation(p: _Place) -> None:
    signed = p.shape(0.13, 0.3, lobes=0.18, rough=0.2, elongated=1.7)
    signed = p.satellites(signed, 4, 0.03, 0.09, rough=0.2)
    within = inside(signed, p.rng.uniform(0.03, 0.08))
    p.lesion.missing += np.clip(p.rng.uniform(0.25, 0.85) * within * (0.97 + 0.06 * p.coarse), 0.0, 1.0)


_KINDS: dict[str, Callable[[_Place], None]] = {
    "naevus": _naevus,
    "macule": _macule,
    "keratosis": _keratosis,
    "plaque": _plaque,
    "erythema": _erythema,
    "nodule": _nodule,
    "hypopigmentation": _hypopigmentation,
}


def _bell(rng: np.random.Generator) -> float:
    """Normal draw, cut at two deviations."""
    return float(np.clip(rng.standard_normal(), -2.0, 2.0))
