"""Lesion masks: which pixels are meant, whatever the depth, and whether a mask fits its photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from sluguq.images.orientation import SWAPPING, is_turned_by_pillow, orientation_of

_LABELS = 31
"""Values up to here are numbers of labels, of which 0 is the background; above, they are greys."""

_OPAQUE = 127

_TWO_VALUED = 0.85
"""Share of the variance of a mask's values that its two classes explain at least."""

_ROUNDING = 1.5

_LOOKED_AT = 512
"""Lines of a mask, and columns, that are looked at for how its values pass into each other."""

_GRADUAL = 2
"""Neighbours that mostly differ by no more than this are no labels."""

_FEW_VALUES = 8
_PLAIN_SHARE = 0.05
_BORDER = 0.98


@dataclass(frozen=True)
class Shape:
    """Width and height of a picture, in pixels, as people see it, and how EXIF says that it lies (1: upright)."""

    width: int
    height: int
    orientation: int = 1

    @property
    def turned(self) -> bool:
        """Whether it lies on its side."""
        return self.orientation in SWAPPING

    @classmethod
    def of(cls, image: Image.Image, size: tuple[int, int]) -> Shape:
        """The shape of an opened picture.

        :param image: the picture; reading its EXIF loads the pixels of some formats.
        :param size: its width and height as it was opened, before it was drafted.
        """
        width, height = size
        orientation = orientation_of(image)
        if orientation in SWAPPING and not is_turned_by_pillow(image):
            width, height = height, width
        return cls(width, height, orientation)

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


def is_ambiguous(mask: Shape, photograph: Shape) -> bool:
    """Whether EXIF turns or mirrors one of a fitting pair alone, and the other would fit either way.

    A mask without EXIF may have been drawn on the pixels as they are stored or as they are shown.
    """
    if mask.orientation == photograph.orientation:
        return False
    return mask.turned == photograph.turned or not disagreement_of_numbers(Shape(mask.height, mask.width), photograph)


def lesion_of(image: Image.Image) -> np.ndarray:
    """Which pixels of a mask are meant.

    Of a mask of labels (values up to 31, or colours that are few) all but 0 and black is meant, of greys that pass
    gradually into each other what is above half of the largest. Where parts of it are transparent and the rest is of
    one colour, the opaque part is meant.

    :param image: the loaded mask, of any mode.
    :returns: bool (height, width).
    :raises ValueError: where it cannot be told what is meant.
    """
    lossy = image.info.get("lossy", False)
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info:
        return _by_alpha(np.asarray(image.convert("RGBA")))
    if image.mode in ("1", "L"):
        return _by_value(np.asarray(image.convert("L")), lossy=lossy)
    if image.mode.startswith(("I", "F")):
        return _by_value(np.asarray(image), lossy=False)
    return _by_colour(image.convert("RGB"), lossy=lossy)


def _by_colour(image: Image.Image, *, lossy: bool) -> np.ndarray:
    pixels = np.asarray(image)
    values = pixels.max(-1)
    colours = None if lossy else image.getcolors(_LABELS + 1)
    if colours is None or all(len(set(colour)) == 1 for _, colour in colours if isinstance(colour, tuple)):
        return _by_value(values, lossy=lossy)
    meant = values > 0
    if meant.all():
        raise ValueError(
            f"it has {len(colours)} colours and no black, so which is the background cannot be told: save it in black "
            "and white"
        )
    return meant


def _by_alpha(pixels: np.ndarray) -> np.ndarray:
    opaque = pixels[..., 3] > _OPAQUE
    colours = pixels[..., :3].max(-1)
    if opaque.all() or not opaque.any():
        return _by_value(colours, lossy=False)
    shown = colours[opaque]
    if int(shown.max()) - int(shown.min()) > _LABELS:
        raise ValueError("parts of it are transparent, and the rest is of several colours: save it in black and white")
    corners = opaque[[0, 0, -1, -1], [0, -1, 0, -1]]
    if corners.all():
        raise ValueError(
            "its corners are opaque and a part within is transparent, so which of them is meant cannot be told: save "
            "it in black and white"
        )
    return opaque


def _by_value(values: np.ndarray, *, lossy: bool) -> np.ndarray:
    if values.size == 0 or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("values that are negative or no numbers")
    largest = values.max()
    if largest <= _LABELS and _are_whole(values):
        # A JPEG's black is not quite black, nor are its labels what they were.
        if lossy and largest > 0:
            raise ValueError(f"a JPEG (or lossy WebP) of values up to {largest} does not keep them: save it as PNG")
        if 0 < values.min() < largest:
            raise ValueError(
                f"its values go from {values.min():g} to {largest:g}, and none is 0, so which is the background cannot "
                "be told: save it in black and white"
            )
        if len(np.unique(_some(values))) > _FEW_VALUES and _passages(values)[1] <= _GRADUAL:
            raise ValueError(
                f"its values up to {largest:g} rise gradually, as probabilities do and labels do not: save it in black "
                "and white"
            )
        return values > 0
    labels = (values > 0) & (values <= _LABELS)
    if (
        not lossy
        and values.min() == 0
        and labels.sum() > (values > _LABELS).sum()
        and not np.any((values > _LABELS) & (values < largest))
    ):
        raise ValueError(
            f"it has labels up to {_LABELS} and the value {largest:g}, as where that marks what is void: save it in "
            "black and white"
        )
    if _is_photograph(values):
        raise ValueError("it has greys of all kinds, as a photograph has: name the mask, in black and white")
    if not lossy and _are_whole(values) and _has_plain_greys(values):
        raise ValueError(
            "it has greys or colours in plain areas, which may be numbers of things that are all meant, or shares of "
            "agreement: save it in black and white"
        )
    return values > (largest // 2 if _are_whole(values) else largest / 2)


def _are_whole(values: np.ndarray) -> bool:
    """Whether values are whole numbers, as labels are and probabilities are not."""
    return values.dtype.kind in "iub" or bool(np.array_equal(values, np.rint(values)))


def _steps(values: np.ndarray) -> list[int]:
    return [max(1, side // _LOOKED_AT) for side in values.shape]


def _some(values: np.ndarray) -> np.ndarray:
    """Values of some pixels, evenly spread."""
    rows, columns = _steps(values)
    return values[::rows, ::columns]


def _passages(values: np.ndarray) -> tuple[float, float]:
    """How values between 0 and the largest pass into their neighbours.

    :returns: the share of neighbours that are equal, and the median by which the others differ; 0 where there are none.
    """
    largest = values.max()
    rows, columns = _steps(values)
    equal, pairs, jumps = 0, 0, []
    for lines in (values[::rows], values[:, ::columns].T):
        first, second = lines[:, :-1].astype(np.int64), lines[:, 1:].astype(np.int64)
        between = ((first > 0) & (first < largest)) | ((second > 0) & (second < largest))
        difference = np.abs(first - second)[between]
        equal, pairs = equal + int((difference == 0).sum()), pairs + difference.size
        jumps.append(difference[difference > 0])
    jump = np.concatenate(jumps)
    return equal / max(1, pairs), float(np.median(jump)) if jump.size else 0.0


def _has_plain_greys(values: np.ndarray) -> bool:
    """Whether a good part of what is not 0 has values below the largest that stand in plain areas, as labels do.

    Those of soft edges and of probabilities pass gradually into their neighbours.
    """
    largest = int(values.max())
    shown = int((values > 0).sum())
    if ((values > 0) & (values < largest)).sum() < _PLAIN_SHARE * shown:
        return False
    share, jump = _passages(values)
    return share >= 0.5 and jump > largest / 16


def covers_border(masks: np.ndarray) -> np.ndarray:
    """Which masks cover the border and leave out something within, as inverted ones do.

    :param masks: 0 and 1 (images, height, width).
    :returns: bool (images,).
    """
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    return (border.mean(1) >= _BORDER) & (masks.mean((1, 2)) < 1)


def are_outlines(masks: np.ndarray) -> np.ndarray:
    """Which masks enclose more than twice what they cover, as outlines do that were not filled.

    :param masks: 0 and 1 (images, height, width).
    :returns: bool (images,).
    """
    covered = masks.sum((1, 2), dtype=np.int64)
    filled = np.array([ndimage.binary_fill_holes(mask).sum() for mask in masks], np.int64)
    return filled > 3 * covered


def _is_photograph(values: np.ndarray) -> bool:
    """Whether values are neither near two of them nor mostly near the smallest or the largest.

    Two classes of brightness explain _TWO_VALUED of its variance in masks (Otsu's criterion), and less in 495 of 532
    clinical photographs; of 82 masks, and of thin lines that are smoothed or saved as JPEG, none was taken for one.
    """
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values, bins=64, range=(low, high))
    ends = 64 // 8
    if high == low or counts[:ends].sum() + counts[-ends:].sum() > values.size / 2:
        return False
    shares, centres = counts / counts.sum(), (edges[:-1] + edges[1:]) / 2
    below, mean = np.cumsum(shares)[:-1], np.cumsum(shares * centres)
    parted = (below > 0) & (below < 1)
    between = (mean[-1] * below - mean[:-1])[parted] ** 2 / (below * (1 - below))[parted]
    variance = float((shares * (centres - mean[-1]) ** 2).sum())
    return float(between.max(initial=0.0)) < _TWO_VALUED * variance
