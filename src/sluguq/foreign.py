"""Do the maps find foreign objects? Measured against drawn objects with masks, and against labels.

A store of images with drawn objects is an aggregated store with `artefact_mask` (image, y, x), `artefact`
(image), the kind of the object, and `clean_image` (image), the id of the image that it was drawn on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter
from sklearn.metrics import average_precision_score, roc_auc_score

MAPS = {
    "slug_map": "SLUG map",
    "error_map": "error map",
    "gradient": "image gradient",
    "colour": "distance from the median colour",
}
"""The maps that are compared: two of the network, and two plain ones of the image alone."""


def gradient_map(pixels: np.ndarray) -> np.ndarray:
    """The length of the image's gradient, smoothed by one pixel: edges of anything. (y, x) from (y, x, 3)."""
    grey = pixels.astype(np.float64).mean(axis=-1) / 127.5
    down, along = np.gradient(grey)
    return gaussian_filter(np.hypot(down, along), 1.0)


def colour_map(pixels: np.ndarray) -> np.ndarray:
    """Distance of every pixel's colour from the median colour of its image, on [-1, 1]. (y, x)."""
    scaled = pixels.astype(np.float64) / 127.5
    return np.linalg.norm(scaled - np.median(scaled, axis=(0, 1)), axis=-1)


def pixel_scores(dataset: xr.Dataset, baselines: bool = True) -> pd.DataFrame:
    """How well each map tells the pixels of the drawn object from the rest, image by image.

    Columns: configuration, seed, id, clean_image, artefact, group, map, auroc, average_precision, prevalence
    (share of object pixels: the average precision of a map that knows nothing). An image whose mask is
    empty or full is left out. baselines: also the plain maps of the image alone, repeated for every model
    so that they can be compared seed by seed.
    """
    mask = dataset["artefact_mask"].transpose("image", "y", "x")
    rows: list[dict[str, object]] = []
    for i, where, base in _images(dataset):
        truth = mask.isel(image=i).values.astype(bool).ravel()
        if truth.all() or not truth.any():
            continue
        plain = {}
        if baselines:
            picture = dataset["pixels"].isel(image=i).transpose("y", "x", "channel").values
            plain = {
                name: (
                    float(roc_auc_score(truth, values.ravel())),
                    float(average_precision_score(truth, values.ravel())),
                )
                for name, values in (("gradient", gradient_map(picture)), ("colour", colour_map(picture)))
            }
        for c, s in where:
            measured = dict(plain)
            for name in ("slug_map", "error_map"):
                values = base[name][c, s].astype(np.float64).ravel()
                measured[name] = (
                    float(roc_auc_score(truth, values)),
                    float(average_precision_score(truth, values)),
                )
            rows.extend(
                {
                    **_who(dataset, c, s, i),
                    "map": name,
                    "auroc": auroc,
                    "average_precision": precision,
                    "prevalence": float(truth.mean()),
                }
                for name, (auroc, precision) in measured.items()
            )
    columns = ["configuration", "seed", "id", "clean_image", "artefact", "group", "map"]
    return pd.DataFrame(rows, columns=[*columns, "auroc", "average_precision", "prevalence"])


def region_means(dataset: xr.Dataset) -> pd.DataFrame:
    """The mean of the SLUG map and the error map inside the object, inside the lesion, and elsewhere.

    The lesion is without what the object covers; NaN where the store has no lesion mask or it is empty.
    Columns: configuration, seed, id, clean_image, artefact, group, and {slug,error}_{object,lesion,rest}.
    """
    rows = []
    lesions = dataset.get("lesion_mask")
    for i, where, base in _images(dataset):
        inside = dataset["artefact_mask"].isel(image=i).transpose("y", "x").values.astype(bool)
        lesion = np.zeros_like(inside)
        if lesions is not None:
            lesion = lesions.isel(image=i).transpose("y", "x").values.astype(bool) & ~inside
        regions = {"object": inside, "lesion": lesion, "rest": ~inside & ~lesion}
        for c, s in where:
            row = _who(dataset, c, s, i)
            for name in ("slug_map", "error_map"):
                values = base[name][c, s].astype(np.float64)
                for region, chosen in regions.items():
                    key = f"{name.removesuffix('_map')}_{region}"
                    row[key] = float(values[chosen].mean()) if chosen.any() else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def with_and_without(dataset: xr.Dataset, clean: xr.Dataset) -> pd.DataFrame:
    """SLUG and error of images with a drawn object, beside those of the same image without it.

    clean: the aggregated store of the images that were drawn on. Columns: configuration, seed, id,
    clean_image, artefact, group, mse, mse_clean, slug, slug_clean. Rows without a clean counterpart in
    the same seed are left out.
    """
    drawn = dataset[["mse", "slug"]].to_dataframe().reset_index()
    position = drawn["image"].to_numpy()
    lookup = {image: place for place, image in enumerate(dataset["image"].values)}
    at = np.array([lookup[image] for image in position])
    for name in ("id", "clean_image", "artefact", "group"):
        drawn[name] = dataset[name].values.astype(str)[at]
    plain = clean[["mse", "slug"]].to_dataframe().reset_index()
    ids = dict(zip(clean["image"].values, clean["id"].values.astype(str), strict=True))
    plain["clean_image"] = [ids[image] for image in plain["image"]]
    keys = ["configuration", "seed", "clean_image"]
    joined = drawn.merge(
        plain[[*keys, "mse", "slug"]].rename(columns={"mse": "mse_clean", "slug": "slug_clean"}), on=keys
    )
    columns = ["configuration", "seed", "id", "clean_image", "artefact", "group"]
    return joined[[*columns, "mse", "mse_clean", "slug", "slug_clean"]].dropna().reset_index(drop=True)


SUMMARIES = {
    "sum": "sum",
    "maximum": "maximum",
    "upper": "99th percentile",
    "contrast": "99th percentile over median",
}
"""Summaries of a map by which a whole image may be called suspect."""


def map_summaries(dataset: xr.Dataset) -> pd.DataFrame:
    """Summaries of the SLUG and the error map of every image and model.

    Columns: configuration, seed, image (position), id, map, and a column for each of `SUMMARIES`.
    """
    rows = []
    ids = dataset["id"].values.astype(str)
    for i, where, base in _images(dataset):
        for c, s in where:
            for name in ("slug_map", "error_map"):
                values = base[name][c, s].astype(np.float64)
                upper, middle = np.nanpercentile(values, [99, 50])
                rows.append(
                    {
                        "configuration": str(dataset["configuration"].values[c]),
                        "seed": dataset["seed"].values[s],
                        "image": i,
                        "id": ids[i],
                        "map": name,
                        "sum": values.sum(),
                        "maximum": values.max(),
                        "upper": upper,
                        "contrast": upper / middle if middle > 0 else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def _images(dataset: xr.Dataset) -> Iterator[tuple[int, list[tuple[int, int]], dict[str, np.ndarray]]]:
    """Image by image: its position, the (configuration, seed) that scored it, and its maps of all models."""
    mse = np.isfinite(dataset["mse"].transpose("image", "configuration", "seed").values)
    maps = {n: dataset[n].transpose("image", "configuration", "seed", "y", "x") for n in ("slug_map", "error_map")}
    for i in range(dataset.sizes["image"]):
        where = [(int(c), int(s)) for c, s in np.argwhere(mse[i])]
        if where:
            yield i, where, {name: variable.isel(image=i).values for name, variable in maps.items()}


def _who(dataset: xr.Dataset, c: int, s: int, i: int) -> dict[str, object]:
    return {
        "configuration": str(dataset["configuration"].values[c]),
        "seed": dataset["seed"].values[s],
        "id": str(dataset["id"].values[i]),
        "clean_image": str(dataset["clean_image"].values[i]),
        "artefact": str(dataset["artefact"].values[i]),
        "group": str(dataset["group"].values[i]) if "group" in dataset else "",
    }
