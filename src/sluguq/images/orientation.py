"""How EXIF says that a picture lies, and how it is set upright."""

from __future__ import annotations

from PIL import Image, TiffImagePlugin

ORIENTATION = 0x0112

SWAPPING = frozenset({5, 6, 7, 8})
"""Orientations that exchange width and height."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(image: Image.Image) -> int:
    """The orientation of a picture that is opened and not loaded, 1 (upright) to 8, by its EXIF or XMP.

    :param image: the picture; reading its EXIF loads the pixels of some formats.
    """
    try:
        orientation = int(image.getexif().get(ORIENTATION, 1))
    except Exception:
        # Broken EXIF says nothing about the pixels; the picture is taken as it lies.
        orientation = 1
    return orientation if orientation in _TURNS else 1


def is_turned_by_pillow(image: Image.Image) -> bool:
    """Whether Pillow sets a picture upright as it loads it, and gives its size so before: TIFF, and no other."""
    return isinstance(image, TiffImagePlugin.TiffImageFile)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """A loaded picture, turned and mirrored as its orientation asks."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
