"""What a server sends: unpacked where it packs, and whether it came to its end."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from sluguq.machine.errors import SluguqError

_GZIP = b"\x1f\x8b"
_UNDONE = frozenset({"gzip", "x-gzip", "deflate"})
_PACKED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})


class CutTransfer(SluguqError):
    """A packed body ends before its end."""


class Unpacker:
    """Undoes the packing of a body, block by block.

    Only what a server says to be gzip or deflate is unpacked, and gzip only where it is some: servers say so of files
    that they send as they are.

    :param encoding: what the server says, a word of :func:`packing_of`.
    """

    def __init__(self, encoding: str):
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._plain = False
        self._began = False

    def unpack(self, block: bytes) -> bytes:
        """The next bytes.

        :raises zlib.error: where the body is damaged.
        """
        if not self._began:
            self._began = True
            self._plain = self._encoding != "deflate" and not block.startswith(_GZIP[: len(block)])
        if self._plain:
            return block
        unpacked = b""
        while block:
            if self._stream is None:
                self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
            unpacked += self._stream.decompress(block)
            block = b""
            if self._stream.eof and self._stream.unused_data.startswith(_GZIP):
                # A gzip file may have several parts.
                block, self._stream = self._stream.unused_data, None
        return unpacked

    def finish(self) -> None:
        """Check that the body came to its end.

        :raises CutTransfer: where it did not.
        """
        if not self._plain and self._stream is not None and not self._stream.eof:
            raise CutTransfer("the packed transfer ended early")


def packing_of(headers: Mapping[str, str]) -> str:
    """How a server packs what it sends, although it was asked not to; empty where it sends files as they are.

    :raises ValueError: where it packs in a way that is not undone here.
    """
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding in _PACKED or "," in encoding:
        raise ValueError(f"packed with {encoding}, which is not undone here")
    return encoding if encoding in _UNDONE else ""


def is_cut_off(content: bytes) -> bool:
    """Whether a picture surely lacks its end, where the server did not say how long it is.

    :param content: all bytes of a JPEG, PNG, GIF or WebP file; others pass.
    """
    if content.startswith(b"\xff\xd8"):
        # The scan goes on to the mark of the end; what some phones add behind it is theirs.
        return content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda") or b"\xff\xda" not in content
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content[-(2**16) :]
    if content.startswith(b"GIF8"):
        return not content.rstrip(b"\0").endswith(b"\x3b")
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    return False
