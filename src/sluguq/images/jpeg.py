"""JPEG files decoded by libjpeg-turbo with its warnings heard, which Pillow passes over.

The pixels are those of Pillow, bit by bit: the same library scales in the frequency domain.
"""

from __future__ import annotations

import re

import simplejpeg
from PIL import Image, ImageFile

from sluguq.machine.errors import SluguqError

_HARMLESS_TAIL = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_CORRUPT = ("corrupt jpeg data", "premature end")


class CorruptJpeg(SluguqError, ValueError):
    """The data of a JPEG file are damaged; the message is what the decoder says."""


def is_plain(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture is a JPEG of greys or of red, green and blue."""
    return image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB")


def decoded_jpeg(image: ImageFile.ImageFile, content: bytes) -> Image.Image | None:
    """Decode a plain JPEG at the size that draft mode gave it.

    :param image: the picture, opened by Pillow and perhaps drafted, not loaded.
    :param content: all bytes of its file.
    :returns: the picture; None where this decoder cannot read it or gives another size, and Pillow should.
    :raises CorruptJpeg: where the decoder warns of damaged data.
    """
    space = "RGB" if image.mode == "RGB" else "GRAY"
    bounds = {"min_height": image.height, "min_width": image.width, "min_factor": 1}
    try:
        array = simplejpeg.decode_jpeg(content, space, strict=True, **bounds)
    except ValueError as error:
        message = str(error)
        if any(sign in message.lower() for sign in _CORRUPT) and not _is_padding(message, content):
            raise CorruptJpeg(message) from None
        return None
    if array.shape[:2] != (image.height, image.width):
        return None
    return Image.fromarray(array if space == "RGB" else array[..., 0])


def _is_padding(message: str, content: bytes) -> bool:
    """Whether what is left over before the end of the picture is the padding that some phones write."""
    match = _HARMLESS_TAIL.search(message)
    end = content.rfind(b"\xff\xd9")
    if match is None or end < 0:
        return False
    tail = content[end - min(int(match[1]), end) : end]
    return len(set(tail)) <= 1
