"""Lesion masks: which pixels are meant, whatever the depth, and whether a mask fits its photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_LABELS = 31
"""Values up to here are numbers of labels, of which 0 is the background; above, they are greys."""

_OPAQUE = 127
_ROUNDING = 1.5
_SWAPPING = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height."""


@dataclass(frozen=True)
class Shape:
    """Width and height of a picture, in pixels, as people see it, and whether EXIF says that it lies on its side."""

    width: int
    height: int
    turned: bool = False

    @classmethod
    def of(cls, image: Image.Image, size: tuple[int, int]) -> Shape:
        """The shape of an opened picture.

        :param image: the picture; reading its EXIF loads the pixels of some formats.
        :param size: its width and height as stored, before it was drafted.
        """
        width, height = size
        try:
            turned = image.getexif().get(0x0112, 1) in _SWAPPING
        except Exception:
            # Broken EXIF turns nothing.
            turned = False
        return cls(height, width, True) if turned else cls(width, height)

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"


def disagreement(mask: Shape, photograph: Shape) -> str:
    """Why a mask cannot be one of its photograph; empty where it can.

    A mask may have another resolution, but not other proportions.
    """
    if abs(mask.width * photograph.height - mask.height * photograph.width) <= _ROUNDING * max(
        photograph.height, photograph.width, mask.height, mask.width
    ):
        return ""
    told = f"it is {mask} pixels, the photograph {photograph}"
    swapped = Shape(mask.height, mask.width)
    if photograph.turned != mask.turned and not disagreement_of_numbers(swapped, photograph):
        which = "photograph" if photograph.turned else "mask"
        return f"{told} upright: EXIF turns the {which} alone; turn the pixels of both, or save both without EXIF"
    return f"{told}: their proportions differ, so it is the mask of another picture, or of a part"


def disagreement_of_numbers(mask: Shape, photograph: Shape) -> bool:
    """Whether the proportions of two shapes differ by more than rounding."""
    difference = abs(mask.width * photograph.height - mask.height * photograph.width)
    return difference > _ROUNDING * max(photograph.height, photograph.width, mask.height, mask.width)


def lesion_of(image: Image.Image) -> np.ndarray:
    """Which pixels of a mask are meant.

    Of a mask of labels (values up to 31) all but 0 is meant, of greys what is above half of the largest. Where parts
    of it are transparent and the rest is of one colour, the opaque part is meant.

    :param image: the loaded mask, of any mode.
    :returns: bool (height, width).
    :raises ValueError: where it cannot be told what is meant.
    """
    if image.mode == "P" and "transparency" not in image.info:
        values = np.asarray(image.convert("RGB")).max(-1)
        return values > values.max() // 2
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info:
        return _by_alpha(np.asarray(image.convert("RGBA")))
    if image.mode in ("1", "L"):
        return _by_value(np.asarray(image.convert("L")), lossy=image.info.get("lossy", False))
    if image.mode.startswith(("I", "F")):
        return _by_value(np.asarray(image), lossy=False)
    return _by_value(np.asarray(image.convert("RGB")).max(-1), lossy=image.info.get("lossy", False))


def _by_alpha(pixels: np.ndarray) -> np.ndarray:
    opaque = pixels[..., 3] > _OPAQUE
    colours = pixels[..., :3].max(-1)
    if opaque.all() or not opaque.any():
        return _by_value(colours, lossy=False)
    shown = colours[opaque]
    if int(shown.max()) - int(shown.min()) > _LABELS:
        raise ValueError("parts of it are transparent, and the rest is of several colours: save it in black and white")
    return opaque


def _by_value(values: np.ndarray, *, lossy: bool) -> np.ndarray:
    if values.size == 0 or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("values that are negative or no numbers")
    largest = values.max()
    # A JPEG's black is not quite black.
    if largest <= _LABELS and not lossy:
        return values > 0
    return values > largest // 2
