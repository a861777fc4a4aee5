"""Fitzpatrick skin types as tables write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from sluguq.datasets.nothing import is_nothing, trimmed

UNLABELLED = -1
"""FST of an image without a label."""

_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}

_WORD = re.compile(r"(?:fitzpatrick|photo-?typ[ue]?|skin|type|typ|fst|spt|f)(?:-(?!\s)|[\s_.:]*(?:-\s+)?)")
"""A word before the number, and what parts them: a hyphen right behind the word, but none right before the number."""

_COLOURS = "very|pale|white|fair|light|cream|beige|olive|medium|moderate|tan|brown|dark|deep|black|skin|to|-"

_WHOLE = re.compile(r"^(\d+)\.0+$")

_DATE = re.compile(
    r"\d{4}-\d\d-\d\d.*|\d{1,2}[./-]\d{1,2}[./]\d{2,4}|\d{1,2}[.-]\s?[^\W\d_]{3,}\.?|[^\W\d_]{3,}[ -]\d{1,2}"
)
"""Dates as spreadsheets make them of ranges such as 1-2."""

_NUMBER = re.compile(rf"([+-]?\d+(?:[.,]\d+)?|[iv]+)(?:\s+(?:{_COLOURS}))*")
"""The number, and words for what it looks like ("II white skin")."""


def parse_fst(value: object, mapping: Mapping[str, int] | None = None, levels: int = 6) -> int:
    """The skin type that a table's cell means: 1 to 6 of Fitzpatrick's, or of so many levels, or -1 for none.

    Understands ``3``, ``3.0``, ``3,0``, ``III``, ``Ⅲ``, ``type 3``, ``FST3``, ``phototype III``, ``(3)``,
    ``II white skin`` and the usual signs for nothing. A minus is a minus: ``type -1`` is no type. ``mapping`` comes
    first.

    :raises ValueError: where the value means no skin type.
    """
    text = trimmed(str(value))
    # A column with an empty cell is often written as floats.
    for name in (text, _WHOLE.sub(r"\1", text)) if mapping else ():
        if mapping and name in mapping:
            return mapping[name]
    # Full-width digits and the Roman numerals that are one sign become plain letters.
    bare = unicodedata.normalize("NFKC", text).casefold().strip().strip("()[]").strip()
    rest = bare
    while (word := _WORD.match(rest)) and word.end() < len(rest):
        rest = rest[word.end() :].strip("()[]")
    if is_nothing(bare) or is_nothing(rest):
        return UNLABELLED
    number = _NUMBER.fullmatch(rest)
    if number:
        digits = number[1].replace(",", ".")
        level = _ROMAN.get(digits) if digits.isalpha() else float(digits)
        if level == UNLABELLED:
            return UNLABELLED
        if level is not None and level in range(1, levels + 1):
            return int(level)
    hint = "; a spreadsheet makes dates of ranges such as 1-2" if _DATE.fullmatch(bare) else ""
    way = "" if mapping is None else "; say under `fst_values` what it means"
    scale = "Fitzpatrick skin type" if levels == 6 else "skin type"
    raise ValueError(f"{text!r} is no {scale} (1 to {levels}, or empty{hint}{way})")
