"""From a file of any kind to a square RGB picture, without trusting the file.

Decoding and resampling are Pillow's. The order is fixed and documented here once:

1. the file's first bytes are looked at (a dead link answers with HTML), its format must be a picture format,
   and width x height must be within bounds before a pixel is decoded;
2. a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is at least twice the size asked for ("draft
   mode": the decoder's own scaling in the frequency domain);
3. EXIF rotation is applied, the first frame is taken, palettes and alpha become colours (alpha over white),
   16-bit greys are scaled to 8 bits;
4. crop (centre square), pad (black, centred) or stretch, and resampling to size x size by a Lanczos filter in
   the file's own encoding of brightness;
5. an embedded ICC profile is converted to sRGB (relative colorimetric), CMYK and grey become RGB.
"""

from __future__ import annotations

import functools
import io
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

Fit = Literal["crop", "pad", "stretch"]

FILTER = "Lanczos (a = 3)"
"""The resampling filter, in words."""

MAX_PIXELS = 89_478_485
"""Largest width x height decoded, Pillow's own bound: four times a 20-megapixel photograph."""

MIN_SIDE = 16
"""Smallest width and height taken for a photograph; below lie tracking pixels and icons."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
"""Formats opened (JPEG includes MPO). Others of Pillow's run outside programs (EPS) or are no photographs."""

DRAFT_MARGIN = 2
"""A JPEG is never decoded to less than this multiple of the size asked for."""

BACKGROUND = (255, 255, 255)
"""What shows through transparent pixels."""

_DEPTHS = {"I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0, "I;16N": 65535.0}


class ImageRejected(ValueError):
    """A file is no usable picture; the message is the reason, for rejected.csv."""


def decode(content: bytes, size: int, *, fit: Fit = "crop", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one file to a square picture.

    :param content: all bytes of the file.
    :param size: side of the result in pixels.
    :param fit: ``crop`` keeps the centre square, ``pad`` adds black, ``stretch`` changes the proportions.
    :param max_pixels: largest width x height that is decoded.
    :returns: uint8 (size, size, 3), sRGB.
    :raises ImageRejected: with the reason.
    """
    image, profile = _decoded(content, size, fit, max_pixels)
    return np.asarray(_srgb(_squared(image, size, fit), profile))


def decode_mask(content: bytes, size: int, *, fit: Fit = "crop", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a lesion mask with the geometry of ``decode``: uint8 (size, size), 1 on the lesion.

    :raises ImageRejected: with the reason.
    """
    try:
        image, _ = _decoded(content, size, fit, max_pixels)
    except ImageRejected as rejection:
        raise ImageRejected(f"lesion mask: {rejection}") from rejection
    grey = np.asarray(image.convert("L"))
    # Masks hold 0 and 1, or 0 and 255; half of the largest value parts the two.
    binary = Image.fromarray(((grey > grey.max() // 2) * 255).astype(np.uint8))
    squared = _squared(binary, size, fit, resample=Image.Resampling.BOX)
    return (np.asarray(squared) > 127).astype(np.uint8)


def not_a_picture(start: bytes) -> str | None:
    """What a file is, judged by its first bytes, where it is surely no picture; else None."""
    if not start:
        return "the file is empty"
    text = start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")):
        return "an HTML page, not a picture"
    if text.startswith((b"<?xml", b"<error", b"<svg")):
        return "an XML document, not a picture"
    if text.startswith((b"{", b"[")):
        return "a JSON document, not a picture"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not a picture"
    if text.startswith(b"%pdf"):
        return "a PDF document, not a picture"
    return None


def _decoded(content: bytes, size: int, fit: Fit, max_pixels: int) -> tuple[Image.Image, bytes | None]:
    """The picture, upright, in one of the modes L, RGB, CMYK, and its colour profile."""
    try:
        opened = _opened(content, max_pixels)
        profile = opened.info.get("icc_profile")
        _draft(opened, size, fit)
        return _plain_colours(_upright(_loaded(opened))), profile
    except ImageRejected:
        raise
    except Exception as error:
        # Decoders fail in every way on broken files; one file must not end the preparation of ten thousand.
        raise ImageRejected(f"cannot be decoded: {type(error).__name__}: {error}") from error


def _opened(content: bytes, max_pixels: int) -> ImageFile.ImageFile:
    reason = not_a_picture(content[:1024])
    if reason:
        raise ImageRejected(reason)
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        if content[4:8] == b"ftyp":
            raise ImageRejected("HEIC or a video, which is not read here: convert it to JPEG or PNG") from None
        raise ImageRejected("no picture format that is known here") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRejected(f"more than {max_pixels} pixels") from None
    width, height = image.size
    if width * height > max_pixels:
        raise ImageRejected(f"{width} x {height} pixels are more than {max_pixels}")
    if min(width, height) < MIN_SIDE:
        raise ImageRejected(f"{width} x {height} pixels; both sides must be at least {MIN_SIDE}")
    return image


def _draft(image: ImageFile.ImageFile, size: int, fit: Fit) -> None:
    if image.format not in ("JPEG", "MPO"):
        return
    width, height = image.size
    wanted = DRAFT_MARGIN * size
    # Crop and stretch need the short side, pad the long one.
    scale = wanted / (max(width, height) if fit == "pad" else min(width, height))
    if scale < 1:
        image.draft(None, (max(1, round(width * scale)), max(1, round(height * scale))))


def _loaded(image: ImageFile.ImageFile) -> Image.Image:
    try:
        image.load()
    except OSError as error:
        message = str(error)
        raise ImageRejected("the file is cut off" if "truncated" in message else f"broken: {message}") from error
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image) or image
    except Exception:
        # Broken EXIF says nothing about the pixels; the picture is taken as it lies.
        return image


def _plain_colours(image: Image.Image) -> Image.Image:
    """One of the modes L, RGB, CMYK, with 8 bits and without palette or alpha."""
    if image.mode in _DEPTHS:
        return _grey(np.asarray(image, np.float32) * (255 / _DEPTHS[image.mode]))
    if image.mode in ("I", "F"):
        return _grey(_eight_bits(np.asarray(image, np.float64)))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    if image.mode in ("LA", "La", "RGBa") or (image.mode in ("L", "RGB", "1") and "transparency" in image.info):
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        background = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(background, image).convert("RGB")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale greys of unknown depth by the smallest usual depth that holds them."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if not np.isfinite(values).all() or low < 0:
        raise ImageRejected("pixels that are negative or no numbers")
    for white in (1.0, 255.0, 65535.0):
        if high <= white and (white > 1 or not float(high).is_integer()):
            return values * (255 / white)
    raise ImageRejected(f"grey values up to {high:g}, of no usual depth")


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _squared(
    image: Image.Image, size: int, fit: Fit, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    width, height = image.size
    if fit == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        square = Image.new(image.mode, (size, size), (0, 0, 0, 255) if image.mode == "CMYK" else 0)
        square.paste(image.resize(inner, resample), ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return square
    box = (0.0, 0.0, float(width), float(height))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((size, size), resample, box=box)


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        transform = _transform(profile, image.mode)
        if transform is not None:
            converted = ImageCms.applyTransform(image, transform)
            assert converted is not None
            return converted
    return image.convert("RGB")


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where the profile is sRGB, broken, or of another colour space."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        if {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(mode) != space:
            return None
        if "srgb" in (ImageCms.getProfileDescription(opened) or "").lower():
            return None
        return ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
