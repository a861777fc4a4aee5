"""A stated sample of a data set's images, the same for every network: drawn once from its own seed, in strata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from sluguq.machine.streams import stream
from sluguq.stages.subset import balanced_subset
from sluguq.stores.store import open_store

_MOST_VALUES = 12  # of a label that strata are made of; what has more is a number, an age or a name


def sampled_rows(images: str | os.PathLike[str], sample: Mapping[str, Any] | None) -> np.ndarray | None:
    """Row numbers of the sampled images, rising; None (all of them) without a sample.

    :param images: prepared images.
    :param sample: ``images`` (how many), ``by`` (what the strata are made of: label, for all labels together, fst,
        or the name of one; None for a plain sample) and ``seed``.
    :raises ValueError: where there is nothing of the name ``by``.
    """
    if sample is None:
        return None
    store = open_store(images)
    strata = _strata(store, sample["by"])
    return balanced_subset(strata, sample["images"], stream(sample["seed"], "sample"))


def _strata(store: xr.Dataset, by: str | None) -> np.ndarray:
    """The stratum of every image, as text."""
    labels = sorted(str(name) for name in store.variables if str(name).startswith("label_"))
    if by is None:
        names = []
    elif by == "label":
        names = [name for name in labels if len(set(map(str, store[name].values))) <= _MOST_VALUES]
    elif by in store.variables or f"label_{by}" in store.variables:
        names = [by if by in store.variables else f"label_{by}"]
    else:
        label_names = [name.removeprefix("label_") for name in labels]
        raise ValueError(f"sample.by: there is no {by!r}; there are label (all of them), fst, {', '.join(label_names)}")
    columns = [[f"{name}={value}" for value in store[name].values] for name in names]
    return np.array(["; ".join(row) for row in zip(*columns, strict=True)] or [""] * store.sizes["image"], object)
