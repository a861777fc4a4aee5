"""Where scores lie among those of the test images that the same network was not trained on.

SLUG has no absolute scale, and its level differs between networks, so an image is compared under one network at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

UNUSUAL = 95
"""From this percentile of the reference on, an image is marked as unusual."""


def percentiles(values: Any, reference: Any) -> np.ndarray:
    """The share of the reference below each value, in per cent; equal values count half.

    :param values: (n,).
    :param reference: (m,) without NaN.
    """
    ordered = np.sort(np.asarray(reference, dtype=float))
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return 50 * (below + not_above) / len(ordered)


def percentiles_by_model(dataset: xr.Dataset, reference: xr.Dataset, name: str) -> np.ndarray:
    """Percentiles of a variable among the test images of each network.

    :param dataset: an aggregated store.
    :param reference: the aggregated store of the data set that the networks were trained on; its test images are those
        that are compared with. It may be `dataset` itself.
    :param name: a variable along configuration, seed and image, such as ``slug``.
    :returns: (configuration, seed, image) in per cent; NaN where `dataset` has no value or the network no reference.
    """
    values = dataset[name].transpose("configuration", "seed", "image").values
    out = np.full(values.shape, np.nan)
    for (c, configuration), (s, seed) in (
        (c, s) for c in enumerate(dataset["configuration"].values) for s in enumerate(dataset["seed"].values)
    ):
        known = reference[name].sel(configuration=configuration, seed=seed).values
        known = known[np.isfinite(known)]
        there = np.isfinite(values[c, s])
        if len(known):
            out[c, s, there] = percentiles(values[c, s, there], known)
    return out
