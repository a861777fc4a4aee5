"""Tidy tables from aggregated stores: one row an image and model, and what is counted from them.

An aggregated store has the dimensions configuration, seed, image; an image that was not in a seed's test set
is NaN there. The functions take an opened `xarray.Dataset` and read only the variables that they need, so
maps stay on disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from sluguq.statistics import Estimate, cluster_labels

SIGNALS = {
    "slug": "SLUG",
    "jacobian_norm": "‖J‖², no projection",
    "ensemble_variance": "ensemble variance over seeds",
    "latent_std": "latent standard deviation",
    "kl": "KL divergence",
    "total_variation": "total variation",
    "compressed_size": "compressed size",
}
"""Signals that may rank with the error, the dearest first, by their names for people."""

COLUMN_LABELS = {"mse": "mean squared error", **SIGNALS}


ESTIMATE = ("value", "low", "high", "seeds", "images", "clusters")
"""The columns of a table that an estimate fills."""


def estimate_fields(estimate: Estimate) -> dict[str, float]:
    """An estimate as the columns `ESTIMATE`."""
    return {name: getattr(estimate, name) for name in ESTIMATE}


def groups_of(dataset: xr.Dataset) -> dict[str, list[int]]:
    """The groups of a dataset by name, from the lightest to the darkest mean skin type."""
    groups = json.loads(dataset.attrs.get("groups", "{}"))
    return dict(sorted(groups.items(), key=lambda item: float(np.mean(item[1]))))


def mixes_of(dataset: xr.Dataset) -> dict[str, dict[str, float]]:
    """The share of every group in the training images of each configuration; empty where not recorded."""
    resolved = yaml.safe_load(dataset.attrs.get("configuration") or "{}")
    mixes = resolved.get("configurations", {}) if isinstance(resolved, dict) else {}
    return {str(name): {str(g): float(s) for g, s in mix.items()} for name, mix in mixes.items()}


def labels_of(dataset: xr.Dataset) -> list[str]:
    """Names of the label variables (`label_*`) of a dataset."""
    return sorted(str(name) for name in dataset.data_vars if str(name).startswith("label_"))


def label_values(dataset: xr.Dataset, name: str) -> np.ndarray:
    """(image,) a label as numbers, NaN where it is none or is not known."""
    return pd.to_numeric(pd.Series(dataset[name].values), errors="coerce").to_numpy(float)


def flags_of(dataset: xr.Dataset) -> list[str]:
    """The labels that only say yes or no (0 and 1, or missing) and do say yes somewhere."""
    found = []
    for name in labels_of(dataset):
        values = label_values(dataset, name)
        known = values[np.isfinite(values)]
        if len(known) and np.isin(known, (0, 1)).all() and (known == 1).any():
            found.append(name)
    return found


def clusters_of(dataset: xr.Dataset) -> np.ndarray:
    """Integers (image,): images of one patient, one lesion or one group of duplicates share theirs."""
    columns = [dataset[name].values for name in ("patient", "lesion", "duplicate_group") if name in dataset]
    if not columns:
        return np.arange(dataset.sizes["image"])
    return cluster_labels(*columns)


def per_image(dataset: xr.Dataset, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One row an image and model: configuration, seed, id, image, group, fst, cluster, and numbers.

    columns: variables to take, by default mse and every signal and label that the dataset has; those
    without configuration and seed are repeated. Rows without an error (image not in that seed's test
    set) are left out. `cluster` is the integer of the patient (see `clusters_of`).
    """
    if columns is None:
        columns = [name for name in (*COLUMN_LABELS, *labels_of(dataset)) if name in dataset]
    mse = dataset["mse"].transpose("configuration", "seed", "image").values
    c, s, i = np.nonzero(np.isfinite(mse))
    frame: dict[str, Any] = {
        "configuration": dataset["configuration"].values.astype(str)[c],
        "seed": dataset["seed"].values[s],
        "id": dataset["id"].values.astype(str)[i] if "id" in dataset.variables else i.astype(str),
        "image": i,
        "group": _strings(dataset, "group")[i],
        "fst": dataset["fst"].values[i] if "fst" in dataset else np.full(len(i), -1),
        "cluster": clusters_of(dataset)[i],
    }
    for name in columns:
        variable = dataset[name]
        if variable.dims == ("image",):
            frame[name] = variable.values[i]
        elif "seed" in variable.dims:
            frame[name] = variable.transpose("configuration", "seed", "image").values[c, s, i]
        else:
            frame[name] = variable.transpose("configuration", "image").values[c, i]
    return pd.DataFrame(frame)


def _strings(dataset: xr.Dataset, name: str) -> np.ndarray:
    if name not in dataset:
        return np.full(dataset.sizes["image"], "", dtype=object)
    return dataset[name].values.astype(str).astype(object)


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


def by_seed(
    frame: pd.DataFrame, configuration: str, columns: Sequence[str], where: pd.Series | None = None
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    """Arrays and clusters of every seed, as `sluguq.statistics.over_seeds` takes them.

    frame: from `per_image`. Rows of the configuration (and of `where`) with all columns finite. A seed
    without such a row is left out.
    """
    chosen = frame[frame["configuration"] == configuration]
    if where is not None:
        chosen = chosen[where.loc[chosen.index]]
    chosen = chosen.dropna(subset=[c for c in columns if chosen[c].dtype.kind == "f"])
    seeds, clusters = [], []
    for _, part in chosen.groupby("seed", sort=True):
        seeds.append({name: part[name].to_numpy() for name in columns})
        clusters.append(part["cluster"].to_numpy())
    return seeds, clusters
