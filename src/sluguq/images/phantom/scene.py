"""One synthetic photograph: skin, lesion, hair and light put together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluguq.images.phantom import subjects
from sluguq.images.phantom.fields import Array, canvas_size, grid, inside, noise
from sluguq.images.phantom.hair import draw_hair
from sluguq.images.phantom.lesions import draw_lesion
from sluguq.images.phantom.light import photograph, shade
from sluguq.images.phantom.optics import skin_reflectance
from sluguq.images.phantom.subjects import Patient
from sluguq.images.skin_colour import linear_to_srgb

SMALLEST, LARGEST = 32, 512

_SCALE = np.array((0.62, 0.58, 0.52), np.float32)  # linear-light RGB of dry scale
_CRUST = np.array((0.10, 0.035, 0.022), np.float32)  # of dried blood
# Curvature of the body at each site, per width of the image.
_CURVATURE = {"trunk": 0.15, "arm": 0.8, "leg": 0.6, "face": 0.5, "hand": 0.7}


class PhantomImage(NamedTuple):
    """A synthetic photograph with what is known of it."""

    pixels: NDArray[np.uint8]  # (size, size, 3), sRGB
    lesion_mask: NDArray[np.bool_]  # (size, size), True where at least half of the pixel is lesion
    condition: str  # one of `CONDITIONS`
    ita: float  # degrees, of the patient's skin before light, lesions and camera
    patient: str
    site: str


def render(fst: int, *, seed: int, index: int, size: int) -> PhantomImage:
    """Draw image `index` of skin type `fst` (1 to 6) at `size` x `size` pixels (32 to 512).

    The same (fst, seed, index) shows the same scene at every size: smaller ones are averages of it in
    linear light, larger ones add finer texture.

    :param fst: skin type, 1 to 6.
    :param seed: of the data set.
    :param index: number of the image among those of its skin type.
    :param size: pixels of a side.
    :raises ValueError: for a skin type, seed, index or size out of range.
    """
    who = subjects.record(fst, seed=seed, index=index)
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must be from {SMALLEST} to {LARGEST} pixels, not {size}")
    patient = subjects.patient_of(fst, seed=seed, index=index)

    def rng(purpose: int) -> np.random.Generator:
        return subjects.stream(seed, fst, index, purpose)

    n = canvas_size(size)
    x, y = grid(n)
    melanin, haemoglobin, height = _healthy_skin(rng(subjects.SKIN), patient, x, y)
    lesion = draw_lesion(who.condition, rng(subjects.LESION), x, y)
    skin = skin_reflectance(patient.lab, melanin + lesion.melanin, haemoglobin + lesion.haemoglobin, lesion.missing)
    _cover(skin, lesion.scale, _SCALE)
    _cover(skin, lesion.crust, _CRUST)

    diffuse, sheen = shade(rng(subjects.LIGHT), x, y, height + lesion.height, _CURVATURE[who.site])
    hair = draw_hair(rng(subjects.HAIR), patient, who.site, n)
    down, right = round(0.006 * n), round(0.004 * n)
    skin[:, down:, right:] *= 1.0 - 0.35 * hair[:-down, :-right]  # its shadow
    sheen *= 1.0 - hair
    _cover(skin, hair, np.array(patient.hair, np.float32))
    skin *= diffuse
    skin += sheen

    light = photograph(rng(subjects.CAMERA), skin)
    pixels = linear_to_srgb(np.clip(_average(light, size), 0.0, 1.0))
    return PhantomImage(
        pixels=np.ascontiguousarray(np.rint(pixels * 255.0).astype(np.uint8).transpose(1, 2, 0)),
        lesion_mask=_average(lesion.cover.astype(np.float32), size) >= 0.5,
        condition=who.condition,
        ita=patient.ita,
        patient=patient.name,
        site=who.site,
    )


def _healthy_skin(rng: np.random.Generator, patient: Patient, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Melanin and haemoglobin in excess of the base (n, n), and the relief (n, n) in image widths."""
    n = x.shape[1]
    view = rng.uniform(25.0, 80.0)  # millimetres across the image
    mottle = noise(rng, n, slope=1.4)
    melanin = np.float32(rng.uniform(0.03, 0.09)) * mottle
    haemoglobin = np.float32(rng.uniform(0.02, 0.07)) * noise(rng, n, slope=1.4, lowest=2.0)

    # Microrelief: two families of furrows that cross, about a millimetre apart, and pores.
    across = view / rng.uniform(0.8, 2.0)  # furrows from side to side
    turn = rng.uniform(0.0, np.pi)
    band = {"slope": 0.0, "lowest": 0.35 * across, "highest": across, "stretch": 2.0}
    first = noise(rng, n, angle=turn, **band)
    second = noise(rng, n, angle=turn + rng.uniform(0.8, 1.6), **band)
    relief = np.exp(-np.square(first / np.float32(0.35)))
    relief += np.exp(-np.square(second / np.float32(0.35))) * np.float32(rng.uniform(0.3, 1.0))
    depth = np.float32(rng.uniform(0.03, 0.09) * (0.5 + patient.age / 90.0) / across)
    pores = inside(np.float32(2.0) - np.float32(0.7) * (first + second), 0.15)
    height = -depth * (relief + 2 * pores)
    # Less light comes back from a furrow or a pore than from the open surface.
    haemoglobin += np.float32(rng.uniform(0.02, 0.08)) * (relief - relief.mean())
    melanin += np.float32(rng.uniform(0.0, 0.25)) * pores

    if rng.uniform() < patient.age / 160.0:  # spots that light and years leave
        patches = noise(rng, n, slope=0.0, lowest=3.0, highest=14.0)
        melanin += np.float32(rng.uniform(0.1, 0.45)) * inside(np.float32(rng.uniform(1.6, 2.3)) - patches, 0.12)
    if rng.uniform() < patient.age / 140.0:  # creases of the skin, along one direction
        turn = rng.uniform(0.0, np.pi)
        along = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)) + np.float32(0.025) * mottle
        for _ in range(rng.integers(1, 5)):
            place, width = rng.uniform(-0.5, 1.3), rng.uniform(0.006, 0.02)
            height -= np.float32(0.3 * width) * np.exp(-np.square((along - place) / np.float32(width)))
    return melanin, haemoglobin, height


def _cover(colours: Array, opacity: Array, over: Array) -> None:
    """Lay a colour (3,) over colours (3, n, n), in place."""
    for colour, value in zip(colours, over, strict=True):
        colour += opacity * (value - colour)


def _average(canvas: Array, size: int) -> Array:
    """Means over the squares of a canvas (..., n, n) that make up each pixel of an image of `size`."""
    step = canvas.shape[-1] // size
    squares = canvas.reshape(*canvas.shape[:-2], size, step, size, step)
    return squares.mean(axis=-1).mean(axis=-2)
