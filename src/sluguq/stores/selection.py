"""Which images of a prepared store play which role of a split."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.stores.store import open_store
from sluguq.stores.tables import read_split

_GAP = 8


def rows_of_role(store: xr.Dataset, split: str | os.PathLike[str], role: str) -> np.ndarray:
    """Row numbers in ``store`` of the images that a split gives a role, in the split's order, repeats kept.

    :param store: prepared images with the coordinate ``id`` along ``image``.
    :param split: csv with the columns ``id`` and ``role``.
    :param role: a role; one that ends in ``*`` stands for all that begin so.
    :returns: integer array (n,).
    :raises ValueError: where the split has no such role, or names an image that the store lacks.
    """
    table = read_split(split)
    matches = table.role.str.startswith(role[:-1]) if role.endswith("*") else table.role == role
    if not matches.any():
        raise ValueError(f"{Path(split)} has no role {role!r}; it has {sorted(table.role.unique())}")
    index = pd.Index(store.id.values)
    rows = index.get_indexer(table.id[matches])
    if (rows < 0).any():
        absent = table.id[matches][rows < 0].iloc[0]
        raise ValueError(
            f"{Path(split)} names the image {absent!r}, which the prepared store lacks; run the split again"
        )
    return rows


class ChosenRows:
    """Rows of a stored variable along `image`, read when they are sliced.

    :param variable: for example the pixels of a prepared store.
    :param rows: which, in the order wanted.
    """

    def __init__(self, variable: xr.DataArray, rows: np.ndarray) -> None:
        self._variable, self._rows = variable, rows
        self.shape = (len(rows), *variable.shape[1:])
        self.dtype = variable.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, part: slice) -> np.ndarray:
        return read_rows(self._variable, self._rows[part])


def read_rows(variable: xr.DataArray, rows: np.ndarray) -> np.ndarray:
    """Rows of a stored variable along `image`; each stored row is read once, however often it is asked for.

    Rows that lie close together are read in one slice, which takes a tenth of the time of as many single images.

    :param variable: with ``image`` as its first dimension.
    :param rows: (n,) their numbers, in any order.
    """
    distinct, inverse = np.unique(rows, return_inverse=True)
    if not len(distinct):
        return variable.isel(image=slice(0)).values
    runs = np.split(distinct, np.flatnonzero(np.diff(distinct) > _GAP) + 1)
    slices = [variable.isel(image=slice(int(run[0]), int(run[-1]) + 1)).values[run - run[0]] for run in runs]
    values = slices[0] if len(slices) == 1 else np.concatenate(slices)
    return values if np.array_equal(inverse, np.arange(len(distinct))) else values[inverse]


def tested_rows(store: str | os.PathLike[str], split: str | os.PathLike[str] | None) -> np.ndarray | None:
    """Row numbers of the test images of a split, each once and in the store's order; None (all) without a split.

    :param store: prepared images.
    :param split: of a seed.
    """
    return None if split is None else np.unique(rows_of_role(open_store(store), split, "test_*"))


def image_table(store: str | os.PathLike[str]) -> pd.DataFrame:
    """What a split needs to know of prepared images: id, fst, patient, lesion, duplicate_group and sha256.

    :param store: prepared images.
    """
    dataset = open_store(store)
    columns = ("id", "fst", "patient", "lesion", "duplicate_group", "sha256")
    names = [name for name in columns if name in dataset.variables]
    return pd.DataFrame({name: dataset[name].values for name in names})
