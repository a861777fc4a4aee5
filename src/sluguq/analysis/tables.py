"""Tidy tables from aggregated stores: one row an image and model, and what is counted from them.

An aggregated store has the dimensions configuration, seed, image; an image that was not in a seed's test set
is NaN there. The functions take an opened `xarray.Dataset` and read only the variables that they need, so
maps stay on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import clusters_of, labels_of
from sluguq.analysis.estimates import Estimate

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


def by_seed(
    frame: pd.DataFrame, configuration: str, columns: Sequence[str], where: pd.Series | None = None
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    """Arrays and clusters of every seed, as `sluguq.analysis.estimates.over_seeds` takes them.

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
