"""What became of every row of a label table."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from sluguq.stores.tables import read_images, read_missing, read_rejected

Table = str | os.PathLike[str]


def availability_of(images: Table, missing: Table, rejected: Table) -> pd.DataFrame:
    """As :func:`availability`, of the tables at these paths."""
    return availability(read_images(images), read_missing(missing), read_rejected(rejected))


def availability(images: pd.DataFrame, missing: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """What became of every row of a label table: columns id, fst, state.

    Each argument needs id as text, and fst. state is ``available``, ``rejected`` or ``missing``.

    :param images: the table of acquired images.
    :param missing: that of missing images.
    :param rejected: those that could not be used.
    """
    state = np.where(images["id"].isin(set(rejected["id"])), "rejected", "available")
    parts = [images[["id", "fst"]].assign(state=state), missing[["id", "fst"]].assign(state="missing")]
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    table["fst"] = pd.to_numeric(table["fst"], errors="coerce").fillna(-1).astype(int)
    return table
