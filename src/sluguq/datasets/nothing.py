"""What a cell of a table says when it says nothing.

Spreadsheets, R, pandas, databases and people write an unknown value each in a way of their own. They mean the same in
every column: an unknown skin type, a patient nobody knows, no mask.
"""

from __future__ import annotations

_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"
"""Signs without a width that web pages and spreadsheets leave at the ends of cells."""

NOTHING = frozenset(
    {
        *("", "-", "--", "-1", "-1.0", "?", "#n/a", "#na", "n/a", "n.a.", "na", "<na>", "nan", "nat", "nil", "none"),
        *("null", "unk", "unknown", "missing", "none_selected", "none_identified"),
        *("??", "???", "---", "–", "—", "−", "−1"),
        *("#div/0!", "#name?", "#null!", "#num!", "#ref!", "#value!"),  # a spreadsheet's formula that failed
    }
)
"""Signs for nothing, in lower case and without the blanks around them."""


def is_nothing(value: object) -> bool:
    """Whether a cell says nothing: empty, or one of the usual signs for an unknown value.

    >>> [is_nothing(cell) for cell in ("", " NA ", "#N/A", -1, None, float("nan"), "0", "P1")]
    [True, True, True, True, True, True, False, False]
    """
    return trimmed(str(value)).lower() in NOTHING


def trimmed(text: str) -> str:
    """A text without the blanks and the signs without a width at its ends.

    >>> trimmed("\u200b P1\u00a0")
    'P1'
    """
    while text != (bare := text.strip().strip(_UNSEEN)):
        text = bare
    return text


def said(value: object) -> str:
    """What a cell says, without the blanks around it; empty where it says nothing."""
    text = trimmed(str(value))
    return "" if text.lower() in NOTHING else text
