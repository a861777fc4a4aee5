"""What differs between two resolved configurations, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SECTIONS = (
    "training_dataset",
    "external_datasets",
    "scale",
    "groups",
    "configurations",
    "seeds",
    "images",
    "split",
    "model",
    "training",
    "eigenbasis",
    "score",
    "artefacts",
)
"""What changes the numbers of a run."""

_MIXTURES = ("groups", "configurations", "score.rivals")  # the keys of these are names that a user chose


def differences(
    paper: Mapping[str, Any], here: Mapping[str, Any], sections: Sequence[str] = SECTIONS
) -> list[tuple[str, str, str]]:
    """Keys of both resolved configurations whose values differ, with both values in words.

    :param paper: of the paper's configuration.
    :param here: of this run.
    :param sections: the sections and keys at the top that are compared.
    """
    first, second = (dict(_flat({name: c[name] for name in sections if name in c})) for c in (paper, here))
    keys = [key for key in first if key in second and first[key] != second[key]]
    return [(key, in_words(first[key]), in_words(second[key])) for key in keys]


def in_words(value: Any) -> str:
    """A value as a configuration writes it: `true`, `1, 2`, `A: light 1`, `none`."""
    if value is None or (isinstance(value, (list, dict)) and not value):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {in_words(item)}" for key, item in value.items())
    return str(value)


def _flat(content: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and f"{before}{key}" not in _MIXTURES:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
