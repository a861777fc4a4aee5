"""PNG files whose pixels are damaged: their checksums, which Pillow passes over."""

from __future__ import annotations

import struct
import zlib

from sluguq.machine.errors import SluguqError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = 12  # bytes of a chunk besides its data: length, kind, checksum


class DamagedPng(SluguqError, ValueError):
    """The checksum of a part of the pixels is wrong."""


def check_png(content: bytes) -> None:
    """Refuse a PNG file of which a part of the pixels has changed since it was written.

    Pillow decodes such a file up to the damage, and leaves the rest black.

    :param content: all bytes of a file; one that is no PNG passes, as does what is cut off, which the decoder tells.
    :raises DamagedPng: where a checksum is wrong.
    """
    if not content.startswith(_SIGNATURE):
        return
    view, place = memoryview(content), len(_SIGNATURE)
    while place + _FRAME <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 8 + length
        if end + 4 > len(content):
            return
        if view[place + 4 : place + 8] == b"IDAT":
            (stated,) = struct.unpack_from(">I", content, end)
            if zlib.crc32(view[place + 4 : end]) != stated:
                raise DamagedPng("broken: the checksum of its pixels is wrong")
        place = end + 4
