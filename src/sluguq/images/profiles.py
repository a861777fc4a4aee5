"""Colour profiles: what a profile does to colours decides, not what it is called."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
from PIL import Image, ImageCms

_NEARLY = 2
"""Grey levels by which a profile may differ from sRGB and count as it."""

_MODES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}

_UNCALIBRATED, _EXIF, _INTEROPERABILITY, _COLOUR_SPACE, _INDEX = 0xFFFF, 0x8769, 0xA005, 0xA001, 1


@functools.lru_cache(maxsize=64)
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB, by relative colorimetric intent.

    :param profile: an ICC profile.
    :param mode: mode of the pictures: L, RGB or CMYK.
    :returns: None where the profile is sRGB in effect, broken, or of another colour space than the mode.
    """
    try:
        colours = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _MODES.get(mode) != colours.profile.xcolor_space.strip():
            return None
        transform = ImageCms.buildTransform(
            colours,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def profile_of(image: Image.Image) -> bytes | None:
    """The colour profile of a picture: its own, or that of Adobe RGB where a camera tells it by EXIF alone."""
    embedded: bytes | None = image.info.get("icc_profile")
    if embedded or image.mode != "RGB":
        return embedded
    try:
        exif = image.getexif()
        inner = exif.get_ifd(_EXIF)
        if inner.get(_COLOUR_SPACE) != _UNCALIBRATED:
            return None
        index = exif.get_ifd(_INTEROPERABILITY).get(_INDEX, "")
    except Exception:
        # Broken EXIF tells nothing.
        return None
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    return adobe_rgb() if text.startswith("R03") else None


@functools.cache
def adobe_rgb() -> bytes:
    """An ICC profile of Adobe RGB (1998): its primaries adapted to D50, gamma 563/256."""
    return matrix_profile(
        "Adobe RGB (1998)",
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        563 / 256,
    )


def matrix_profile(name: str, primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    """An ICC profile (version 2, for displays) of three primaries and one gamma.

    :param name: what it is called, in ASCII.
    :param primaries: XYZ of red, green and blue, adapted to D50.
    :param gamma: exponent from encoded to linear values.
    """

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    text = name.encode("ascii") + b"\0"
    white = (0.9642, 1.0, 0.8249)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0No copyright\0",
        b"wtpt": xyz(white),
        **{tag: xyz(values) for tag, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)},
        **{tag: b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) for tag in (b"rTRC", b"gTRC", b"bTRC")},
    }
    start, table, data = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += padded
    head = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(data), b"", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(number, white))
    return head.ljust(128, b"\0") + table + data


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of RGB leaves a lattice of colours where they are."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(27, 27, 3)
    converted = ImageCms.applyTransform(Image.fromarray(lattice), transform)
    assert converted is not None
    return int(np.abs(np.asarray(converted, int) - lattice.astype(int)).max()) <= _NEARLY
