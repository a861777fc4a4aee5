"""Names of a zip's members, as they were before a program wrote them in an encoding that it did not tell."""

from __future__ import annotations

import unicodedata
import zipfile

_SAYS_UTF8 = 0x800


def name_of_member(info: zipfile.ZipInfo) -> str:
    """The name of a member of a zip file.

    The format knows cp437 and, by a flag, UTF-8. A Mac writes UTF-8 without the flag, and Windows programs write their
    own code page. UTF-8 is sure to be right where it can be read; else that of cp437 and cp1252 is taken in which more
    of the name is Latin letters.
    """
    name = info.orig_filename.partition("\0")[0]
    if info.flag_bits & _SAYS_UTF8 or name.isascii():
        return name
    raw = name.encode("cp437")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        other = raw.decode("cp1252")
    except UnicodeDecodeError:
        return name
    return other if _latin(other) > _latin(name) else name


def _latin(name: str) -> int:
    return sum(unicodedata.name(sign, "").startswith("LATIN") for sign in name if not sign.isascii())
