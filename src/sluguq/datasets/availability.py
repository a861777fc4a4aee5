"""What became of every row of a label table."""

from __future__ import annotations

import numpy as np
import pandas as pd


def availability(images: pd.DataFrame, missing: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """What became of every row of a label table: columns id, fst, state.

    Each argument needs id and fst. state is ``available``, ``rejected`` or ``missing``.

    :param images: the table of acquired images.
    :param missing: that of missing images.
    :param rejected: those that could not be used.
    """
    unusable = set(rejected["id"].astype(str))
    state = np.where(images["id"].astype(str).isin(unusable), "rejected", "available")
    parts = [images[["id", "fst"]].assign(state=state), missing[["id", "fst"]].assign(state="missing")]
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    table["fst"] = pd.to_numeric(table["fst"], errors="coerce").fillna(-1).astype(int)
    return table
