"""From a file of any kind to a square RGB picture, without trusting the file.

Decoding and resampling are Pillow's. The order is fixed and documented here once:

1. the file's first bytes are looked at (a dead link answers with HTML), its format must be a picture format,
   and width x height must be within bounds before a pixel is decoded;
2. a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is at least twice the size asked for ("draft
   mode": the decoder's own scaling in the frequency domain), and refused where the decoder warns of damaged data;
3. EXIF rotation is applied, the first frame is taken, palettes and alpha become colours (alpha over white; an
   alpha that hides everything is passed over), 16-bit greys are scaled to 8 bits;
4. crop (centre square), pad (black, centred) or stretch, and resampling to size x size by a Lanczos filter in
   the file's own encoding of brightness;
5. an embedded ICC profile, or Adobe RGB as cameras tell it by EXIF, is converted to sRGB (relative colorimetric),
   CMYK and grey become RGB.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin, UnidentifiedImageError

from sluguq.images.checksums import DamagedPicture, check_pixels, ends_in_zeros
from sluguq.images.jpeg import CorruptJpeg, decoded_jpeg, is_plain
from sluguq.images.masks import Shape, disagreement, is_ambiguous, lesion_of
from sluguq.images.orientation import is_turned_by_pillow, orientation_of, upright
from sluguq.images.profiles import profile_of, to_srgb
from sluguq.images.signatures import kind_of_file, special_format
from sluguq.images.special import NotReadHere, open_special, repaired_tiff
from sluguq.machine.errors import SluguqError

Fit = Literal["crop", "pad", "stretch"]

FILTER = "Lanczos (a = 3)"
"""The resampling filter, in words."""

MAX_PIXELS = 89_478_485
"""Most pixels decoded of one picture, Pillow's own bound: four times a 20-megapixel photograph."""

LARGEST_DRAFTED = 8
"""A JPEG that draft mode decodes in part may have this many times as many pixels."""

_BAND = 2**20
"""Pixels of a large picture that are converted at a time."""

MIN_SIDE = 16
"""Smallest width and height taken for a photograph; below lie tracking pixels and icons."""

DARKEST_WHITE = 16
"""A photograph without a pixel as bright as this shows nothing."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
"""Formats opened (JPEG includes MPO). Others of Pillow's run outside programs (EPS) or are no photographs."""

_SILENT = ("WEBP", "AVIF", "JPEG2000")
"""Formats whose decoders show what there is of a file, and say nothing."""

_FRAMES = 8
"""Pictures of a file that are looked at."""

DRAFT_MARGIN = 2
"""A JPEG is never decoded to less than this multiple of the size asked for."""

BACKGROUND = (255, 255, 255)
"""What shows through transparent pixels."""

_RAISE = "raise images.max_megapixels to take it"

_DEPTHS = {"I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0, "I;16N": 65535.0}


Room = Callable[[int], AbstractContextManager[None]]
"""Waits until there is room for so many bytes of decoded pictures, and holds them."""


class ImageRejected(SluguqError, ValueError):
    """A file is no usable picture; the message is the reason, for rejected.csv."""


@dataclass(frozen=True)
class Picture:
    """One decoded photograph.

    :ivar pixels: uint8 (size, size, 3), sRGB.
    :ivar shape: width and height of the photograph itself, upright.
    :ivar is_first: whether its file holds further pictures of its size or larger.
    """

    pixels: np.ndarray
    shape: Shape
    is_first: bool = False


def decode(content: bytes, size: int, *, fit: Fit = "crop", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one file to a square picture.

    :param content: all bytes of the file.
    :param size: side of the result in pixels.
    :param fit: ``crop`` keeps the centre square, ``pad`` adds black, ``stretch`` changes the proportions.
    :param max_pixels: most pixels decoded; a JPEG of which draft mode decodes a part may be larger.
    :returns: uint8 (size, size, 3), sRGB.
    :raises ImageRejected: with the reason.
    """
    return decode_picture(content, size, fit=fit, max_pixels=max_pixels).pixels


def decode_picture(
    content: bytes, size: int, *, fit: Fit = "crop", max_pixels: int = MAX_PIXELS, room: Room | None = None
) -> Picture:
    """As :func:`decode`, with the shape of the photograph.

    :param room: asked for the bytes that decoding takes, which are known before.
    """
    with _reasons(), _opened(content, max_pixels) as image:
        stored, is_first = image.size, _is_first_of_several(image)
        _draft(image, size, fit)
        with _room_for(image, content, max_pixels, room):
            shape, profile = Shape.of(image, stored), profile_of(image)
            square = _squared(_plain_colours(_loaded(image, content)), size, fit)
            # The pixels go before the room that they took is given back.
            image.close()
        return Picture(np.asarray(_srgb(square, profile)), shape, is_first)


def _is_first_of_several(image: Image.Image) -> bool:
    """Whether a TIFF file goes on with pictures no smaller than its first, which thumbnails behind it would be."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    first = image.width * image.height
    try:
        for frame in range(1, min(image.n_frames, _FRAMES)):
            image.seek(frame)
            if image.width * image.height >= first:
                return True
    except Exception:
        # What is broken behind the first picture is not taken.
        pass
    finally:
        image.seek(0)
    return False


def check_brightness(pixels: np.ndarray) -> None:
    """Refuse a photograph that shows nothing.

    :param pixels: uint8, of any shape.
    :raises ImageRejected: where no pixel is as bright as DARKEST_WHITE.
    """
    if pixels.max() < DARKEST_WHITE:
        raise ImageRejected(
            f"all but black: its brightest value is {pixels.max()} of 255, as where the file stores fewer bits than it "
            "states"
        )


def decode_mask(
    content: bytes,
    size: int,
    *,
    fit: Fit = "crop",
    max_pixels: int = MAX_PIXELS,
    photograph: Shape | None = None,
    room: Room | None = None,
    what: str = "lesion mask",
    unsure: Callable[[], None] | None = None,
) -> np.ndarray:
    """Decode a mask with the geometry of ``decode``: uint8 (size, size), 1 on what is meant.

    :param photograph: shape of the photograph, whose proportions the mask must have.
    :param what: what the mask is called in reasons.
    :param unsure: called where EXIF turns or mirrors one of the two alone and their proportions do not tell whether
        they lie alike.
    :raises ImageRejected: with the reason.
    """
    try:
        with _reasons(), _opened(content, max_pixels) as image:
            lossy = _is_lossy(image, content)
            stored = image.size
            _draft(image, size, fit)
            with _room_for(image, content, max_pixels, room):
                shape = Shape.of(image, stored)
                reason = disagreement(shape, photograph) if photograph else ""
                if reason:
                    raise ImageRejected(reason)
                if photograph and unsure and is_ambiguous(shape, photograph):
                    unsure()
                loaded = _loaded(image, content)
                loaded.info["lossy"] = lossy
                lesion = _meant(loaded)
        binary = Image.fromarray((lesion * 255).astype(np.uint8))
        squared = _squared(binary, size, fit, resample=Image.Resampling.BOX)
        return (np.asarray(squared) > 127).astype(np.uint8)
    except ImageRejected as rejection:
        raise ImageRejected(f"{what}: {rejection}") from rejection


def _is_lossy(image: Image.Image, content: bytes) -> bool:
    """Whether a file keeps its values by and large only."""
    if image.format == "WEBP":
        return b"VP8 " in content[:64]
    return image.format in ("JPEG", "MPO", "AVIF") or image.info.get("compression") == "jpeg"


def _meant(mask: Image.Image) -> np.ndarray:
    try:
        return lesion_of(mask)
    except ValueError as error:
        raise ImageRejected(str(error)) from error


def not_a_picture(start: bytes) -> str | None:
    """What a file is, judged by its first bytes, where it is surely no picture; else None."""
    kind = kind_of_file(start)
    if kind is None:
        return "plain text, not a picture" if _is_text(start) else None
    return "the file is empty" if kind == "empty" else f"{kind}, not a picture"


def _is_text(start: bytes) -> bool:
    """Whether a file begins with words; what PPM files begin with is written in ASCII too."""
    printable = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    return printable and not (start[:1] == b"P" and start[1:2].isdigit())


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Whatever a decoder raises, as a reason: one file must not end the preparation of ten thousand."""
    try:
        yield
    except ImageRejected:
        raise
    except (CorruptJpeg, DamagedPicture, NotReadHere) as error:
        raise ImageRejected(_of_jpeg(str(error))) from error
    except Exception as error:
        raise ImageRejected(f"cannot be decoded: {type(error).__name__}: {error}") from error


def _of_jpeg(message: str) -> str:
    if message.lower().startswith("premature end of jpeg file"):
        return "the file is cut off"
    return f"broken: {message}" if "jpeg data" in message.lower() else message


def _opened(content: bytes, max_pixels: int) -> Image.Image:
    """The picture, its head read and its pixels not."""
    reason = not_a_picture(content[:1024])
    if reason:
        raise ImageRejected(reason)
    kind = special_format(content[:1024])
    try:
        if kind:
            with _reasons():
                image = open_special(content, kind)
        else:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageRejected("no picture format that is known here: convert it to JPEG or PNG") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRejected(f"more than {max_pixels} pixels; {_RAISE}") from None
    if image.format in _SILENT and ends_in_zeros(content):
        raise ImageRejected("the file ends in zeros: it never came whole")
    width, height = image.size
    most = max_pixels * (LARGEST_DRAFTED if _is_drafted(image) else 1)
    if width * height > most:
        raise ImageRejected(f"{width} x {height} pixels are more than {most}; {_RAISE}")
    if min(width, height) < MIN_SIDE:
        raise ImageRejected(f"{width} x {height} pixels; both sides must be at least {MIN_SIDE}")
    return image


def _is_drafted(image: Image.Image) -> bool:
    """Whether only a part of the picture may be decoded; a progressive JPEG is always held whole."""
    return image.format in ("JPEG", "MPO") and not image.info.get("progressive")


def _draft(image: Image.Image, size: int, fit: Fit) -> None:
    if image.format not in ("JPEG", "MPO"):
        return
    width, height = image.size
    wanted = DRAFT_MARGIN * size
    # Crop and stretch need the short side, pad the long one.
    scale = wanted / (max(width, height) if fit == "pad" else min(width, height))
    if scale < 1:
        image.draft(None, (max(1, round(width * scale)), max(1, round(height * scale))))


def _room_for(image: Image.Image, content: bytes, max_pixels: int, room: Room | None) -> AbstractContextManager[None]:
    """Room for the pixels that are about to be decoded.

    :raises ImageRejected: where they are too many even in draft mode.
    """
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageRejected(f"{image.width} x {image.height} pixels are more than {max_pixels}; {_RAISE}")
    # Pillow holds three colours in four bytes; with alpha, both the picture and what it is laid over.
    each = 9 if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info else 5
    return room(pixels * each + len(content)) if room else contextlib.nullcontext()


def _loaded(image: Image.Image, content: bytes) -> Image.Image:
    """The pixels, upright as EXIF or XMP tell."""
    orientation = orientation_of(image)
    decoded = decoded_jpeg(image, content) if isinstance(image, ImageFile.ImageFile) and is_plain(image) else None
    if decoded is None:
        check_pixels(image, content)
        decoded = repaired_tiff(image, content)
        try:
            decoded.load()
        except OSError as error:
            message = str(error)
            raise ImageRejected("the file is cut off" if "truncated" in message else f"broken: {message}") from error
    return decoded if is_turned_by_pillow(image) else upright(decoded, orientation)


def _plain_colours(image: Image.Image) -> Image.Image:
    """One of the modes L, RGB, CMYK, with 8 bits and without palette or alpha."""
    if image.mode in _DEPTHS:
        return _grey(image, 255 / _DEPTHS[image.mode])
    if image.mode in ("I", "F"):
        return _grey(image, 255 / _white(image))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    if image.mode in ("LA", "La", "RGBa") or (image.mode in ("L", "RGB", "1") and "transparency" in image.info):
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        return _laid_over_white(image)
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of a few lines each that cover a picture, so that no copy of a large one is made whole."""
    lines = max(1, _BAND // image.width)
    for top in range(0, image.height, lines):
        yield 0, top, image.width, min(image.height, top + lines)


def _laid_over_white(image: Image.Image) -> Image.Image:
    low, high = image.getchannel("A").getextrema()
    # Some programs leave the fourth channel empty; a photograph that nobody sees is no photograph.
    if high == 0 or low == 255:
        return image.convert("RGB")
    laid = Image.new("RGB", image.size)
    for box in _bands(image):
        band = image.crop(box)
        background = Image.new("RGBA", band.size, (*BACKGROUND, 255))
        laid.paste(Image.alpha_composite(background, band).convert("RGB"), box[:2])
    return laid


def _white(image: Image.Image) -> float:
    """The value of white of greys of unknown depth: the smallest usual one that none of them exceeds."""
    low, high, finite, whole = np.inf, -np.inf, True, True
    for box in _bands(image):
        values = np.asarray(image.crop(box), np.float64)
        finite &= bool(np.isfinite(values).all())
        whole &= image.mode == "I" or bool(np.array_equal(values, np.rint(values)))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not finite or low < 0:
        raise ImageRejected("pixels that are negative or no numbers")
    for white in (1.0, 255.0, 65535.0):
        if high <= white and (white > 1 or not whole):
            return white
    raise ImageRejected(f"grey values up to {high:g}, of no usual depth")


def _grey(image: Image.Image, factor: float) -> Image.Image:
    scaled = Image.new("L", image.size)
    exact = "float64" if image.mode in ("I", "F") else "float32"
    for box in _bands(image):
        values = np.asarray(image.crop(box)).astype(exact) * factor
        scaled.paste(Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)), box[:2])
    return scaled


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
    transform = to_srgb(profile, image.mode) if profile else None
    if transform is None:
        return image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted
