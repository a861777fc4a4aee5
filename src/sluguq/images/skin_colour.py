"""Skin colour: sRGB to CIELAB and back, and the individual typology angle (ITA).

The angle orders skin from very light to dark by lightness and yellowness alone:

    ITA = atan((L* - 50) / b*) * 180 / pi        [degrees]

with the classes of Chardon, Cretois and Hourseau (Int. J. Cosmet. Sci. 13:191-208, 1991), completed by
Del Bino and Bernerd (Br. J. Dermatol. 169(s3):33-40, 2013): very light > 55 >= light > 41 >= intermediate
> 28 >= tan > 10 >= brown > -30 >= dark. On a photograph it depends on exposure and white balance too, so it
compares images taken alike; it is no diagnosis of a person's skin type.

Conversions follow IEC 61966-2-1 (sRGB) and CIE 15 (CIELAB, illuminant D65, 2 degree observer).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Lower bound of each class in degrees, from very light to dark.
ITA_CLASSES: tuple[tuple[str, float], ...] = (
    ("very light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
    ("dark", -90.0),
)

_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_XYZ_TO_RGB = np.linalg.inv(_RGB_TO_XYZ)
_WHITE = _RGB_TO_XYZ.sum(axis=1)  # XYZ of sRGB's own white, so that white is exactly (100, 0, 0)
_DELTA = 6.0 / 29.0


def srgb_to_linear(srgb: ArrayLike) -> NDArray[np.floating]:
    """Undo the sRGB transfer function (IEC 61966-2-1): values in [0, 1] to linear light in [0, 1]."""
    srgb = _floating(srgb)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: ArrayLike) -> NDArray[np.floating]:
    """Apply the sRGB transfer function (IEC 61966-2-1): linear light in [0, 1] to sRGB in [0, 1]."""
    linear = _floating(linear)
    bright = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, bright)


def srgb_to_lab(srgb: ArrayLike) -> NDArray[np.floating]:
    """CIELAB of sRGB colours.

    `srgb` (..., 3): uint8 in 0..255 or floating in [0, 1]. Returns (..., 3): L* in [0, 100], a*, b*.
    Raises ValueError where the last axis is not 3, TypeError for other integer types.
    """
    srgb = np.asarray(srgb)
    _require_triples(srgb, "srgb")
    if srgb.dtype == np.uint8:
        srgb = srgb / 255.0
    elif not np.issubdtype(srgb.dtype, np.floating):
        raise TypeError(f"sRGB colours must be uint8 (0..255) or floating (0..1), not {srgb.dtype}")
    ratio = (srgb_to_linear(srgb) @ _RGB_TO_XYZ.T) / _WHITE
    root = np.where(ratio > _DELTA**3, np.cbrt(np.maximum(ratio, _DELTA**3)), ratio / (3 * _DELTA**2) + 4.0 / 29.0)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def lab_to_linear(lab: ArrayLike) -> NDArray[np.floating]:
    """Linear-light RGB of CIELAB colours (..., 3); outside [0, 1] where sRGB cannot show the colour."""
    lab = _floating(lab)
    _require_triples(lab, "lab")
    y = (lab[..., 0] + 16.0) / 116.0
    root = np.stack([y + lab[..., 1] / 500.0, y, y - lab[..., 2] / 200.0], axis=-1)
    ratio = np.where(root > _DELTA, root**3, 3 * _DELTA**2 * (root - 4.0 / 29.0))
    return (ratio * _WHITE) @ _XYZ_TO_RGB.T


def lab_to_srgb(lab: ArrayLike) -> NDArray[np.floating]:
    """sRGB in [0, 1] of CIELAB colours (..., 3); colours that sRGB cannot show are clipped to it."""
    return linear_to_srgb(np.clip(lab_to_linear(lab), 0.0, 1.0))


def ita_of_lab(lab: ArrayLike) -> NDArray[np.floating]:
    """Individual typology angle, in degrees in (-180, 180], of CIELAB colours (..., 3).

    atan2(L* - 50, b*), which is the published atan((L* - 50) / b*) for every b* > 0 and stays continuous
    where a bluish cast makes b* zero or negative.
    """
    lab = _floating(lab)
    _require_triples(lab, "lab")
    return np.degrees(np.arctan2(lab[..., 0] - 50.0, lab[..., 2]))


def ita(pixels: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Individual typology angle, in degrees, of the median skin colour of one photograph.

    `pixels` (height, width, 3), uint8 or floating in [0, 1]; `mask` (height, width) bool, True where there is
    skin to count (all pixels without it). The median of L*, a* and b* is taken first, so that a lesion, hair
    or a glint that covers less than half of the picture hardly moves the answer.
    Raises ValueError where shapes do not fit or the mask is empty.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must have shape (height, width, 3), not {pixels.shape}")
    colours = pixels.reshape(-1, 3)
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape != pixels.shape[:2] or mask.dtype != bool:
            raise ValueError(f"mask must be bool of shape {pixels.shape[:2]}, not {mask.dtype} of shape {mask.shape}")
        colours = colours[mask.ravel()]
    if colours.shape[0] == 0:
        raise ValueError("no pixel to measure: the mask or the image is empty")
    return float(ita_of_lab(np.median(srgb_to_lab(colours), axis=0)))


def ita_class(degrees: float) -> str:
    """Name of the class (see `ITA_CLASSES`) that an angle in degrees falls in.

    Raises ValueError for an angle that is not a number.
    """
    if np.isnan(degrees):
        raise ValueError("the individual typology angle is not a number")
    return next((name for name, lower in ITA_CLASSES if degrees > lower), ITA_CLASSES[-1][0])


def _floating(values: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(values)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _require_triples(array: NDArray, name: str) -> None:
    if array.ndim == 0 or array.shape[-1] != 3:
        raise ValueError(f"{name} must have a last axis of length 3, not shape {array.shape}")
