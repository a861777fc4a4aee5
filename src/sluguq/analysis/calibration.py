"""Is SLUG in proportion to the squared error it is said to expect, image by image and pixel by pixel?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from sluguq.analysis.labelled_images import without_rim
from sluguq.analysis.maps import maps_by_model
from sluguq.analysis.statistics import Array, logarithm
from sluguq.analysis.tables import ESTIMATE, REPLICATES, Measure, estimate_rows, per_image

BLOCK = 256
"""Images of one model whose maps are in memory at a time."""


def calibration(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Expected against observed squared error, by tenths of SLUG.

    SLUG has no absolute scale, so every model's is scaled to the mean of its errors. Columns: configuration, measure,
    tenth, value, low, high, seeds, undefined, images, clusters. Measures: `slope`, of the logarithm of the error on
    that of SLUG over images (1: in proportion; 0: SLUG says nothing; least squares); `observed_over_expected`,
    the ratio of mean error to mean scaled SLUG in every tenth of the images, from the lowest SLUG on; and, where maps
    are stored, `pixels_observed_over_expected`, the same in every tenth of an image's own pixels, by its SLUG map
    without the rim: what it says of where in a picture errors are, whatever it says of the picture.

    :param dataset: an aggregated store.
    :param replicates: bootstrap replicates behind an interval.
    """
    frame = per_image(dataset, ["mse", "slug"])
    columns = {"x": "slug", "y": "mse"}
    rows = estimate_rows(frame, {"slope": Measure(_slope, columns)}, {"tenth": 0}, replicates=replicates)
    for tenth in range(1, 11):
        of = {"observed_over_expected": Measure(_of_tenth(tenth), columns, "log")}
        rows += estimate_rows(frame, of, {"tenth": tenth}, replicates=replicates)
    if {"slug_map", "error_map"} <= set(dataset.data_vars):
        frame = frame.merge(_pixels(dataset), on=["configuration", "seed", "image"])
        for tenth in range(1, 11):
            within = {"observed": f"error_{tenth}", "expected": f"expected_{tenth}"}
            of = {"pixels_observed_over_expected": Measure(_ratio, within, "log")}
            rows += estimate_rows(frame, of, {"tenth": tenth}, replicates=replicates)
    return pd.DataFrame(rows, columns=["configuration", "measure", "tenth", *ESTIMATE])


def _pixels(dataset: xr.Dataset) -> pd.DataFrame:
    """By image and model, the mean error in every tenth of its pixels by the SLUG map, and what that map expects.

    Columns: configuration, seed, image, error_1 to error_10, expected_1 to expected_10; the map is scaled to the
    image's mean error.
    """
    parts = []
    for c, s, places, grids in maps_by_model(dataset, BLOCK):
        slug, error = (
            without_rim(grids[name]).reshape(len(places), -1).astype(np.float64) for name in ("slug_map", "error_map")
        )
        order = np.argsort(slug, axis=1, kind="stable")
        mean = slug.mean(axis=1, keepdims=True)
        scaled = slug * np.divide(
            error.mean(axis=1, keepdims=True), mean, out=np.full_like(mean, np.nan), where=mean > 0
        )
        tenths = np.array_split(np.arange(slug.shape[1]), 10)
        values: dict[str, Array] = {}
        for name, grid in (("error", error), ("expected", scaled)):
            ranked = np.take_along_axis(grid, order, axis=1)
            values |= {f"{name}_{k}": ranked[:, tenth].mean(axis=1) for k, tenth in enumerate(tenths, 1) if len(tenth)}
        model = {
            "configuration": str(dataset["configuration"].values[c]),
            "seed": dataset["seed"].values[s],
            "image": places,
        }
        parts.append(pd.DataFrame({**model, **values}))
    return pd.concat(parts, ignore_index=True)


def _ratio(observed: Array, expected: Array, weights: Array) -> Array:
    return (weights @ observed) / _positive(weights @ expected)


def _positive(values: Array) -> Array:
    """The values, NaN where they are not positive."""
    return np.where(values > 0, values, np.nan)


def _slope(x: Array, y: Array, weights: Array) -> Array:
    log_x, log_y = logarithm(x), logarithm(y)
    rest = log_x - (weights @ log_x / weights.sum(axis=1))[:, None]
    variance, covariance = (weights * rest**2).mean(axis=1), (weights * rest * log_y).mean(axis=1)
    # Images whose SLUG differs by less than a billionth part do not differ.
    return np.divide(covariance, variance, out=np.full_like(variance, np.nan), where=variance > 1e-18)


def _of_tenth(tenth: int) -> Any:
    def ratio(x: Array, y: Array, weights: Array) -> Array:
        # Images of one SLUG are in one tenth, so that none depends on their order.
        inside = (10 * (rankdata(x) - 0.5) // len(x)) == tenth - 1
        part = weights[:, inside]
        expected = (weights @ y) * (part @ x[inside]) / _positive(weights @ x)
        return (part @ y[inside]) / _positive(expected)

    return ratio
