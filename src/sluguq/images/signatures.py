"""What a file is, judged by its first bytes; the standard library alone."""

from __future__ import annotations

_TEXTS = (
    ((b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--", b"<div", b"<p>"), "an HTML page"),
    ((b"<?xml", b"<error", b"<svg"), "an XML document"),
    ((b"<?php",), "a PHP script"),
    ((b"version https://git-lfs",), "a Git LFS pointer"),
    ((b"/annex/objects/",), "a git-annex pointer"),
    ((b"%pdf",), "a PDF document"),
)

_BYTES = (
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"PK\3\4", "a zip file"),
    (0, b"PK\5\6", "a zip file"),
    (0, b"Rar!", "a RAR file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip file"),
    (257, b"ustar", "a tar file"),
    (0, b"PAR1", "a parquet file"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (0, b"8BPS", "a Photoshop document"),
)

_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def kind_of_file(start: bytes) -> str | None:
    """What a file surely is, in words, where it is surely neither picture nor table; else None.

    :param start: its first bytes, a thousand or so.
    """
    if not start:
        return "empty"
    text = start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for openings, name in _TEXTS:
        if text.startswith(openings):
            return name
    if text.startswith((b"{", b"[{", b'["', b"[\n")):
        return "a JSON document"
    return next((name for place, magic, name in _BYTES if start[place : place + len(magic)] == magic), None)


def special_format(start: bytes) -> str | None:
    """The name of a picture format that wants a decoder of its own: DICOM, HEIC, JPEG XL, RAW; else None.

    :param start: the file's first bytes, 132 at least.
    """
    if start[128:132] == b"DICM":
        return "DICOM"
    if start[:2] == b"\xff\x0a" or start[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        return "JPEG XL"
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if brand == b"crx ":
            return "RAW"
        return "HEIC" if brand in _HEIF else None if brand in (b"avif", b"avis") else "a video"
    if start[8:10] == b"CR" and start[:4] == b"II*\0":
        return "RAW"
    if start[:8] == b"FUJIFILM" or start[:4] in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0"):
        return "RAW"
    return None
