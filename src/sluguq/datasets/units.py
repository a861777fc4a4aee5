"""Images that may not be parted: which names say something, and what they tie together.

A split draws these units, a bootstrap resamples them, and both ask here, so that they never differ.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sluguq.datasets.nothing import is_nothing, said

TIES = ("patient", "lesion", "duplicate_group")
"""What ties images together: columns of a table of images, variables of a store."""

_WHOLE = re.compile(r"(\d+)\.0+")
"""A whole number as it is written where a column was once read as floats."""


def named(label: ArrayLike) -> NDArray[np.bool_]:
    """Where an array of names or numbers says something; see :mod:`sluguq.datasets.nothing` for what does not.

    :param label: (images,) of text, whole numbers (-1 says nothing) or floats (nor does NaN).
    :returns: bool (images,).
    """
    array = np.asarray(label)
    if array.dtype.kind in "iu":
        return array != -1
    if array.dtype.kind == "f":
        return np.isfinite(array) & (array != -1)
    return np.array([not is_nothing(value) for value in array.tolist()], bool)


def identities(label: ArrayLike) -> NDArray[np.object_]:
    """Names as they are compared: without blanks around them, in Unicode's composed form, and 1.0 as 1.

    A table's column with an empty cell is often read as floats and written again, which makes 1.0 of patient 1. Zeros
    in front stay: 01 is not 1.

    >>> identities([" P1", "7.0", "07", "n/a"]).tolist()
    ['P1', '7', '07', '']

    :param label: (images,) of text or numbers.
    :returns: text (images,), empty where nothing is said.
    """
    array = np.asarray(label)
    names = np.full(len(array), "", object)
    for index in np.flatnonzero(named(array)):
        value = array[index]
        text = said(int(value) if isinstance(value, float | np.floating) and float(value).is_integer() else value)
        number = _WHOLE.fullmatch(text)
        names[index] = number[1] if number else unicodedata.normalize("NFC", text)
    return names


def lesion_names(patient: ArrayLike, lesion: ArrayLike) -> NDArray[np.object_]:
    """Names of lesions that no two patients share.

    Many tables count lesions afresh in every patient. A name that stands with several patients is therefore joined
    with the patient's, as ``patient/lesion``; any other stays as it is. A slash within a name becomes ``%2F``, and a
    per cent sign ``%25``, so that no two lesions get one name by being joined.

    :param patient: (images,) names of patients.
    :param lesion: (images,) names of lesions.
    :returns: text (images,), empty where the lesion is not known.
    """
    patients, lesions = identities(patient), identities(lesion)
    has_lesion, who = lesions != "", patients != ""
    owners: dict[str, set[str]] = {}
    for name, person in zip(lesions[has_lesion & who], patients[has_lesion & who], strict=True):
        owners.setdefault(name, set()).add(person)
    names = np.full(len(lesions), "", object)
    for index in np.flatnonzero(has_lesion):
        shared = who[index] and len(owners[lesions[index]]) > 1
        parts = [patients[index], lesions[index]] if shared else [lesions[index]]
        names[index] = "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
    return names


def tying_labels(columns: Mapping[str, ArrayLike], *, duplicates: bool = True) -> dict[str, NDArray]:
    """The labels among the columns that tie images together, as :func:`identities`.

    Lesions have names that no two patients share.

    :param columns: arrays (images,) by name; those not in TIES are passed over.
    :param duplicates: whether groups of duplicates tie.
    :returns: arrays (images,) by name.
    """
    ties: dict[str, NDArray] = {name: np.asarray(columns[name]) for name in TIES if name in columns}
    if not duplicates:
        ties.pop("duplicate_group", None)
    for name in ties.keys() - {"duplicate_group"}:
        ties[name] = identities(ties[name])
    if "patient" in ties and "lesion" in ties:
        ties["lesion"] = lesion_names(ties["patient"], ties["lesion"])
    return ties


def units_of(columns: Mapping[str, ArrayLike], count: int, *, duplicates: bool = True) -> NDArray[np.int64]:
    """The unit of every image: those of one patient, one lesion or one group of duplicates share theirs.

    :param columns: arrays (images,) by name: any of TIES; others are passed over.
    :param count: number of images.
    :param duplicates: whether groups of duplicates tie.
    :returns: (images,) numbers from 0 in order of first appearance.
    """
    ties = tying_labels(columns, duplicates=duplicates)
    return cluster_labels(*ties.values()) if ties else np.arange(count, dtype=np.int64)


def cluster_labels(*labels: ArrayLike) -> NDArray[np.int64]:
    """Images joined into clusters that a resampling may not part.

    Images that share a value of any label fall into one cluster, also by way of third images. What says nothing
    joins nothing.

    :param labels: any number of arrays (images,), of str or int: patient, lesion, duplicate group.
    :returns: (images,) numbers from 0 in order of first appearance.
    :raises ValueError: where the arrays differ in length or none is given.
    """
    arrays = [np.asarray(label) for label in labels]
    if not arrays or len({len(array) for array in arrays}) != 1:
        raise ValueError("cluster_labels needs one or more label arrays of one length")
    count = len(arrays[0])
    rows, columns, offset = [], [], 0
    for array in arrays:
        if array.dtype.kind in "iuf":
            present = named(array)
        else:
            array = identities(array).astype(str)
            present = array != ""
        values, inverse = np.unique(array[present], return_inverse=True)
        rows.append(np.flatnonzero(present))
        columns.append(inverse.ravel() + offset)
        offset += len(values)
    row, column = np.concatenate(rows), np.concatenate(columns)
    size = count + offset
    graph = coo_matrix((np.ones(len(row)), (row, column + count)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return np.unique(component[:count], return_inverse=True)[1].astype(np.int64)
