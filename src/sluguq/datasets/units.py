"""Images that may not be parted: which names say something, and what they tie together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def _is_known(column: pd.Series) -> pd.Series:
    """Where a column of patients, lesions or duplicate groups says something."""
    return column.notna() & ~column.astype(str).isin(("", "-1"))


def named(label: ArrayLike) -> NDArray[np.bool_]:
    """Where an array of names or numbers says something: neither empty, nor a negative integer, nor NaN."""
    array = np.asarray(label)
    if array.dtype.kind in "iu":
        return array >= 0
    if array.dtype.kind == "f":
        return np.isfinite(array)
    return ~np.isin(array.astype(str), ["", "nan", "None"])


def cluster_labels(*labels: ArrayLike) -> NDArray[np.int64]:
    """Images joined into clusters that a resampling may not part.

    labels: any number of arrays (images,), of str or int: patient, lesion, duplicate group. Images that
    share a value of any of them fall into one cluster, also by way of third images. Empty strings,
    negative integers and NaN join nothing. Returns integers (images,), 0 to the number of clusters - 1.

    Raises ValueError where the arrays differ in length or none is given.
    """
    arrays = [np.asarray(label) for label in labels]
    if not arrays or len({len(array) for array in arrays}) != 1:
        raise ValueError("cluster_labels needs one or more label arrays of one length")
    count = len(arrays[0])
    rows, columns, offset = [], [], 0
    for array in arrays:
        present = named(array)
        if array.dtype.kind not in "iuf":
            array = array.astype(str)
        values, inverse = np.unique(array[present], return_inverse=True)
        rows.append(np.flatnonzero(present))
        columns.append(inverse.ravel() + offset)
        offset += len(values)
    row, column = np.concatenate(rows), np.concatenate(columns)
    size = count + offset
    graph = coo_matrix((np.ones(len(row)), (row, column + count)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return np.unique(component[:count], return_inverse=True)[1].astype(np.int64)
