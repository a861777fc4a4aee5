"""Fitzpatrick skin types as tables write them."""

from __future__ import annotations

from collections.abc import Mapping

UNLABELLED = -1
"""FST of an image without a label."""


_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}


_NO_LABEL = frozenset({"", "-1", "nan", "none", "na", "n/a", "unknown", "none_selected", "none_identified"})


def parse_fst(value: object, mapping: Mapping[str, int] | None = None) -> int:
    """The Fitzpatrick skin type that a table's cell means: 1 to 6, or -1 for none.

    Understands ``3``, ``3.0``, ``III``, ``type 3``, ``FST3`` and the usual signs for nothing. ``mapping`` comes first.

    :raises ValueError: where the value means no skin type.
    """
    text = str(value).strip()
    if mapping and text in mapping:
        return mapping[text]
    bare = text.lower()
    if bare in _NO_LABEL:
        return UNLABELLED
    for word in ("fitzpatrick", "skin", "type", "fst"):
        if bare.startswith(word):
            bare = bare.removeprefix(word).lstrip(" _-.:")
    if bare in _ROMAN:
        return _ROMAN[bare]
    try:
        number = float(bare)
    except ValueError:
        number = 0.0
    if number == UNLABELLED:
        return UNLABELLED
    if number not in (1, 2, 3, 4, 5, 6):
        raise ValueError(f"{text!r} is no Fitzpatrick skin type (1 to 6, or empty)")
    return int(number)
