"""What an aggregated store says of itself: groups, mixes, labels, clusters."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from sluguq.datasets.units import TIES, units_of
from sluguq.machine.errors import SluguqError


def middle_configuration(dataset: xr.Dataset) -> int:
    """The position of the configuration with the most even mix of groups, or of the first.

    :param dataset: an opened aggregated store.
    """
    names = list(dataset["configuration"].values.astype(str))
    mixes = mixes_of(dataset)

    def unevenness(position: int) -> float:
        shares = list(mixes.get(names[position], {"": 1.0}).values())
        return sum(share**2 for share in shares)

    return min(range(len(names)), key=lambda position: (unevenness(position), position))


class NoScores(SluguqError, ValueError):
    """A store holds nothing that tables could be made of; the message says which and why."""


class Scale(NamedTuple):
    """The scale that skin is sorted by: its short name, its name in full, and how many levels it has."""

    name: str = "FST"
    title: str = "Fitzpatrick skin type"
    levels: int = 6


FITZPATRICK = Scale()


class Groups(dict[str, list[int]]):
    """Skin types of every group by its name, with the scale that they are levels of."""

    def __init__(self, groups: Any, scale: Scale = FITZPATRICK):
        super().__init__(groups)
        self.scale = scale


def scale_of(dataset: xr.Dataset) -> Scale:
    """The scale of a dataset's skin types, as its experiment named it.

    :param dataset: an opened aggregated store.
    """
    resolved = yaml.safe_load(dataset.attrs.get("configuration") or "{}")
    named = resolved.get("scale") if isinstance(resolved, dict) else None
    return Scale(**{key: named[key] for key in Scale._fields if key in named}) if named else FITZPATRICK


def has_errors(dataset: xr.Dataset) -> bool:
    """Whether any image has a finite error under any model.

    :param dataset: an opened aggregated store.
    """
    return bool(np.isfinite(dataset["mse"].values).any())


def check_scores(dataset: xr.Dataset) -> None:
    """Refuse a store that no table can be made of.

    :param dataset: an opened aggregated store.
    :raises NoScores: no image has a finite error, or skin types are no whole numbers.
    """
    name = dataset.attrs.get("dataset") or "the data set"
    if not has_errors(dataset):
        models = dataset.sizes["configuration"] * dataset.sizes["seed"]
        raise NoScores(
            f"{name}: no image has a finite error under any of the {models} models, so there is nothing to make tables "
            "of. Every training diverged (models/<configuration>/seed-<n>/history.csv shows the losses): train again "
            "with a lower learning rate. If only this data set is concerned, look at its images"
        )
    if "fst" in dataset and dataset["fst"].dtype.kind not in "iu":
        raise NoScores(
            f"{name}: the variable fst is of type {dataset['fst'].dtype}; skin types are whole numbers, 1 the lightest "
            "and -1 unknown"
        )


def groups_of(dataset: xr.Dataset) -> Groups:
    """The groups of a dataset by name, from the lightest to the darkest mean skin type.

    :param dataset: an opened aggregated store.
    """
    groups = json.loads(dataset.attrs.get("groups", "{}"))
    return Groups(sorted(groups.items(), key=lambda item: float(np.mean(item[1]))), scale_of(dataset))


def mixes_of(dataset: xr.Dataset) -> dict[str, dict[str, float]]:
    """The share of every group in the training images of each configuration; empty where not recorded.

    :param dataset: an opened aggregated store.
    """
    resolved = yaml.safe_load(dataset.attrs.get("configuration") or "{}")
    mixes = resolved.get("configurations", {}) if isinstance(resolved, dict) else {}
    return {str(name): {str(g): float(s) for g, s in mix.items()} for name, mix in mixes.items()}


def blocks_of(dataset: xr.Dataset) -> np.ndarray | None:
    """(seed,) the block of the pool that each seed was trained on; None where seeds share one pool.

    :param dataset: an opened aggregated store.
    """
    resolved = yaml.safe_load(dataset.attrs.get("configuration") or "{}") or {}
    split = resolved.get("split") if isinstance(resolved, dict) else None
    number = split.get("blocks") if isinstance(split, dict) else None
    return dataset["seed"].values.astype(int) % int(number) if number else None


def labels_of(dataset: xr.Dataset) -> list[str]:
    """Names of the label variables (`label_*`) of a dataset.

    :param dataset: an opened aggregated store.
    """
    return sorted(str(name) for name in dataset.variables if str(name).startswith("label_"))


def label_values(dataset: xr.Dataset, name: str) -> np.ndarray:
    """(image,) a label as numbers, NaN where it is none or is not known.

    :param dataset: an opened aggregated store.
    :param name: of the label's variable.
    """
    return pd.to_numeric(pd.Series(dataset[name].values), errors="coerce").to_numpy(float)


def flags_of(dataset: xr.Dataset) -> list[str]:
    """The labels that only say yes or no (0 and 1, or missing) and do say yes somewhere.

    :param dataset: an opened aggregated store.
    """
    found = []
    for name in labels_of(dataset):
        values = label_values(dataset, name)
        known = values[np.isfinite(values)]
        if len(known) and np.isin(known, (0, 1)).all() and (known == 1).any():
            found.append(name)
    return found


def clusters_of(dataset: xr.Dataset) -> np.ndarray:
    """Integers (image,): images of one patient, one lesion or one group of duplicates share theirs.

    :param dataset: an opened aggregated store.
    """
    columns = {name: dataset[name].values for name in TIES if name in dataset}
    return units_of(columns, dataset.sizes["image"])
