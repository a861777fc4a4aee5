"""Images whose labels contradict each other: one photograph, or one patient, with two skin types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sluguq.datasets.units import identities

COLUMNS = ("kind", "of", "fst", "groups", "images")
"""kind of tie, the value that ties, its skin types, the groups they are in, and the images (text, by commas)."""

_KINDS = {"sha256": "same file", "duplicate_group": "duplicates", "patient": "patient"}


def contradictions(columns: Mapping[str, ArrayLike], groups: Mapping[str, Sequence[int]] | None = None) -> pd.DataFrame:
    """Photographs and patients that stand with more than one skin type.

    :param columns: arrays (images,): id, fst and any of sha256, duplicate_group (equal pixels and near-duplicates) and
        patient. Images without a skin type contradict nobody.
    :param groups: skin types of each group, to say which groups a contradiction joins.
    :returns: one row per contradiction, with the columns of COLUMNS; pairs of the same file are not repeated among the
        duplicates.
    """
    fst, ids = np.asarray(columns["fst"]).astype(int), np.asarray(columns["id"]).astype(str)
    rows: list[dict[str, str]] = []
    earlier: set[str] = set()
    for name, kind in _KINDS.items():
        if name not in columns:
            continue
        ties = identities(columns[name])
        has_both = (ties != "") & (fst > 0)
        for tie, members in pd.Series(np.flatnonzero(has_both)).groupby(ties[has_both]):
            types = sorted(set(fst[members].tolist()))
            images = ", ".join(sorted(ids[members].tolist()))
            if len(types) > 1 and images not in earlier:
                earlier.add(images)
                rows.append(
                    {
                        "kind": kind,
                        "of": str(tie)[:12] if name == "sha256" else str(tie),
                        "fst": ", ".join(map(str, types)),
                        "groups": ", ".join(_groups_of(types, groups or {})),
                        "images": images,
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _groups_of(types: list[int], groups: Mapping[str, Sequence[int]]) -> list[str]:
    return [name for name, members in groups.items() if set(types) & set(members)]
