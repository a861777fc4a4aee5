"""Damage that Pillow passes over: checksums of pixels in PNG and TIFF files, and files that never came whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image, TiffImagePlugin

from sluguq.machine.errors import SluguqError

_FRAME = 12  # bytes of a PNG's chunk besides its data: length, kind, checksum
_DEFLATED = frozenset({8, 32946})
_COMPRESSION = 259
_PARTS = ((273, 279), (324, 325))  # where strips and tiles begin, and how long they are
_BLOCK = 2**20
_LEAST_ZEROS = 1024


class DamagedPicture(SluguqError, ValueError):
    """The pixels of a file have changed since it was written."""


def check_pixels(image: Image.Image, content: bytes) -> None:
    """Refuse a PNG or TIFF file whose pixels do not have the checksum that it states.

    Pillow decodes such a file up to the damage, and leaves the rest black.

    :param image: the picture, opened and perhaps not loaded.
    :param content: all bytes of its file; what is cut off passes, as the decoder tells it.
    :raises DamagedPicture: where a checksum is wrong.
    """
    if image.format == "PNG":
        _check_png(content)
    elif isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_COMPRESSION) in _DEFLATED:
        for part in _parts_of_tiff(image, content):
            _check_deflated(part)


def ends_in_zeros(content: bytes) -> bool:
    """Whether the last twentieth of a file, 1 kB at least, is zeros, as where a transfer set room aside and stopped."""
    length = max(_LEAST_ZEROS, len(content) // 20)
    return len(content) > 2 * _LEAST_ZEROS and not any(content[-length:])


def _check_png(content: bytes) -> None:
    view, place = memoryview(content), 8
    while place + _FRAME <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 8 + length
        if end + 4 > len(content):
            return
        if view[place + 4 : place + 8] == b"IDAT":
            (checksum,) = struct.unpack_from(">I", content, end)
            if zlib.crc32(view[place + 4 : end]) != checksum:
                raise DamagedPicture("broken: the checksum of its pixels is wrong")
        place = end + 4


def _parts_of_tiff(image: TiffImagePlugin.TiffImageFile, content: bytes) -> Iterator[memoryview]:
    view = memoryview(content)
    for starts, lengths in _PARTS:
        for start, length in zip(image.tag_v2.get(starts, ()), image.tag_v2.get(lengths, ()), strict=False):
            yield view[start : start + length]


def _check_deflated(part: memoryview) -> None:
    """Unpack a part of a TIFF file, a block at a time, as far as its own checksum."""
    stream, rest = zlib.decompressobj(), bytes(part)
    try:
        while rest and not stream.eof:
            stream.decompress(rest, _BLOCK)
            rest = stream.unconsumed_tail
    except zlib.error as error:
        raise DamagedPicture("broken: the checksum of its pixels is wrong") from error
