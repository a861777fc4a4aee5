"""What photographs and reconstructions look like: tone, contrast, structure, lesions, and how the two maps agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from sluguq.analysis.aggregated import clusters_of, groups_of, has_errors
from sluguq.analysis.annotations import skin_tones
from sluguq.analysis.estimates import Estimate, over_seeds
from sluguq.analysis.maps import maps_by_model
from sluguq.analysis.statistics import Array, log_ratio, mean, spearman
from sluguq.analysis.tables import (
    ESTIMATE,
    REPLICATES,
    Measure,
    against_lightest,
    estimate_fields,
    estimate_rows,
    grouped,
    per_image,
    with_blocks,
)
from sluguq.images.skin_colour import ita, ita_class
from sluguq.machine.streams import plain_stream
from sluguq.stores.selection import read_rows

BLOCK = 256
"""Images of one model that are in memory at a time."""

MEASURES = {
    "ita": "skin tone of the photograph (ITA, degrees)",
    "ita_reconstruction": "skin tone of the reconstruction (ITA, degrees)",
    "ita_shift": "tone of the reconstruction less that of the photograph (degrees)",
    "relative_error": "squared error over the photograph's own variance",
    "ssim": "structural similarity of photograph and reconstruction",
    "error_lesion": "mean squared error inside the lesion",
    "error_skin": "mean squared error outside the lesion",
    "map_correlation": "rank correlation of SLUG map and error map within an image",
}

_RANGES: dict[str, Any] = {
    "relative_error": "log", "ssim": "delta", "error_lesion": "log", "error_skin": "log", "map_correlation": "fisher",
}  # fmt: skip
_COLUMNS = ("configuration", "seed", "image", "id", "group", "fst", "cluster", "mse", "slug", *MEASURES)


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Structural similarity of two pictures (y, x, channel), of their mean over channels.

    Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13, 2004: Gaussian windows of 1.5
    pixels, constants 0.01 and 0.03 of the range of 255.

    :param first: uint8.
    :param second: uint8, of the same shape.
    """
    x, y = (picture.astype(np.float64).mean(axis=-1) for picture in (first, second))

    def smooth(values: Array) -> Array:
        return gaussian_filter(values, 1.5, truncate=3.5)

    mx, my = smooth(x), smooth(y)
    vx, vy, both = smooth(x * x) - mx * mx, smooth(y * y) - my * my, smooth(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * mx * my + c1) * (2 * both + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def picture_measures(dataset: xr.Dataset) -> pd.DataFrame:
    """Every measure of `MEASURES` of every image and model; no rows where pictures or maps were not stored.

    Columns: configuration, seed, image, id, group, fst, cluster, mse, slug, and a column per measure; those of lesions
    are NaN where there is no mask.

    :param dataset: an opened aggregated store.
    """
    known = {"pixels", "reconstruction", "slug_map", "error_map"} <= set(dataset.data_vars)
    if not known or not has_errors(dataset):
        return pd.DataFrame(columns=list(_COLUMNS))
    order = dataset["configuration"].values.astype(str)
    pixels = dataset["pixels"].transpose("image", "y", "x", "channel")
    reconstruction = dataset["reconstruction"].transpose("configuration", "seed", "image", "y", "x", "channel")
    lesions = dataset["lesion_mask"].transpose("image", "y", "x") if "lesion_mask" in dataset else None
    of_photograph: dict[int, tuple[float, float]] = {}
    rows = []
    for c, s, places, grids in maps_by_model(dataset, BLOCK):
        photographs = read_rows(pixels, places)
        pictures = read_rows(reconstruction.isel(configuration=c, seed=s), places)
        masks = (
            read_rows(lesions, places).astype(bool) if lesions is not None else np.zeros(photographs.shape[:3], bool)
        )
        for k, i in enumerate(map(int, places)):
            if i not in of_photograph:
                of_photograph[i] = ita(photographs[k]), float((photographs[k] / 127.5).var())
            error = grids["error_map"][k].astype(np.float64)
            inside = masks[k]
            both = inside.any() and not inside.all()
            rows.append(
                {
                    "configuration": str(order[c]), "seed": dataset["seed"].values[s], "image": i,
                    "ita": of_photograph[i][0], "variance": of_photograph[i][1],
                    "ita_reconstruction": ita(pictures[k]), "ssim": ssim(photographs[k], pictures[k]),
                    "error_lesion": error[inside].mean() / 3 if both else np.nan,
                    "error_skin": error[~inside].mean() / 3 if both else np.nan,
                    "map_correlation": _agreement(grids["slug_map"][k], error),
                }
            )  # fmt: skip
    frame = per_image(dataset, ["mse", "slug"]).merge(pd.DataFrame(rows), on=["configuration", "seed", "image"])
    shift, relative = frame["ita_reconstruction"] - frame["ita"], frame["mse"] / frame["variance"]
    return with_blocks(frame.assign(ita_shift=shift, relative_error=relative)[list(_COLUMNS)], dataset)


def _agreement(first: Array, second: Array) -> float:
    a, b = (rankdata(values, axis=None) for values in (first, second))
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else np.nan


def appearance(dataset: xr.Dataset, replicates: int = REPLICATES, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """The mean of every measure of `MEASURES` by configuration and group, and the gap of those that have ratios.

    Columns: configuration, group, reference, measure (of `MEASURES`), kind (`mean`; `log_ratio` of the group over the
    lightest), value, low, high, seeds, undefined, images, clusters.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    :param frame: from `picture_measures`, where it is there already.
    """
    frame = picture_measures(dataset) if frame is None else frame
    names = grouped(frame, dataset) if len(frame) else []
    rows: list[dict[str, Any]] = []
    for measure in MEASURES:
        known = frame[np.isfinite(frame[measure].astype(float))]
        for group in names:
            of = {"mean": Measure(mean, {"x": measure}, _RANGES.get(measure, "identity"))}
            key = {"group": group, "reference": "", "measure": measure}
            rows += estimate_rows(known[known["group"] == group], of, key, name="kind", replicates=replicates)
        if _RANGES.get(measure) != "log":
            continue
        for group, pair in against_lightest(known, names):
            if pair["inside"].all() or not pair["inside"].any():
                continue
            of = {"log_ratio": Measure(log_ratio, {"x": measure, "group": "inside"})}
            key = {"group": group, "reference": names[0], "measure": measure}
            rows += estimate_rows(pair, of, key, name="kind", replicates=replicates)
    return pd.DataFrame(rows, columns=["configuration", "group", "reference", "measure", "kind", *ESTIMATE])


def tone_trend(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Error and SLUG along the skin tone of the photograph, which needs no label of skin type.

    Columns: configuration, variable (`mse`, `slug`), measure (`spearman` with the angle; `mean` in a class of skin
    colour), tone (the class), value, low, high, seeds, undefined, images, clusters. No rows where pixels are not
    stored.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, [v for v in ("mse", "slug") if v in dataset])
    rows: list[dict[str, Any]] = []
    if "pixels" in dataset and len(frame):
        frame = frame.assign(ita=skin_tones(dataset, frame["image"].to_numpy()))
        frame = frame.assign(tone=[ita_class(value) for value in frame["ita"]])
        for variable in (v for v in ("mse", "slug") if v in frame):
            of = {"spearman": Measure(spearman, {"x": "ita", "y": variable}, "fisher")}
            rows += estimate_rows(frame, of, {"variable": variable, "tone": ""}, replicates=replicates)
            level = {"mean": Measure(mean, {"x": variable}, "log")}
            for tone, part in frame.groupby("tone", sort=False):
                rows += estimate_rows(part, level, {"variable": variable, "tone": tone}, replicates=replicates)
    return pd.DataFrame(rows, columns=["configuration", "variable", "measure", "tone", *ESTIMATE])


# Variability: how different the images of a group are from each other.

SPREAD_REPLICATES = 200
"""Most bootstrap replicates of variability, each of which takes a matrix of images by images."""

MOST = 500
"""Images of a group, drawn at random, of which variability is measured; the same number of each group."""


_ROUNDING = 1e-9
"""Relative differences below this are of rounding: what 8-bit pixels tell apart is thousands of times as large."""


def features(pixels: NDArray[np.uint8]) -> Array:
    """Plain features of pictures (images, y, x, channel): mean and deviation of colour and of edges in 4 x 4 cells.

    :param pixels: uint8.
    """
    values = pixels.astype(np.float64) / 127.5 - 1
    down, along = np.gradient(values.mean(axis=-1), axis=(1, 2))
    maps = np.concatenate([values, np.hypot(down, along)[..., None]], axis=-1)
    size = min(maps.shape[1:3]) // 4 * 4
    cells = maps[:, :size, :size].reshape(len(maps), 4, size // 4, 4, size // 4, maps.shape[-1])
    parts = np.concatenate([cells.mean(axis=(2, 4)), cells.std(axis=(2, 4))], axis=-1).reshape(len(maps), -1)
    spread = parts.std(axis=0)
    return parts / np.where(spread > _ROUNDING, spread, 1.0)


def spread_of(kernel: Array, weights: Array) -> tuple[Array, Array]:
    """Trace of the covariance, and effective dimension (tr C)²/tr C², of vectors with these inner products.

    :param kernel: (images, images).
    :param weights: (replicates, images), how often each is drawn.
    :returns: two arrays (replicates,); NaN where none is drawn, or all that are the same but for rounding.
    """
    traces, dimensions = [], []
    least = _ROUNDING * float(np.abs(np.diag(kernel)).max(initial=0.0))
    total = weights.sum(axis=1, keepdims=True)
    for w in np.divide(weights, total, out=np.zeros_like(weights), where=total > 0):
        middle = kernel @ w
        centred = kernel - middle[:, None] - middle[None] + w @ middle
        trace = float(w @ np.diag(centred))
        known = trace > least
        traces.append(trace if known else np.nan)
        dimensions.append(trace**2 / float(w @ (centred**2) @ w) if known else np.nan)
    return np.array(traces), np.array(dimensions)


def variability(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """How different the tested images of a group are from each other: of every group over the lightest.

    Columns: group, reference, space (`pixels`, `features`), measure (`trace` of the covariance, `dimension`, the
    effective one), value (logarithm of the ratio), low, high, seeds (0: it is of images alone), undefined, images,
    clusters.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    names = list(groups_of(dataset))
    rows = []
    for group in names[1:]:
        for what, estimate in variability_estimates(dataset, replicates, (names[0], group)).items():
            space, measure = what.split()
            key = {"group": group, "reference": names[0], "space": space, "measure": measure}
            rows.append({**key, **estimate_fields(estimate)})
    return pd.DataFrame(rows, columns=["group", "reference", "space", "measure", *ESTIMATE])


def variability_estimates(dataset: xr.Dataset, replicates: int, groups: tuple[str, str]) -> dict[str, Estimate]:
    """`pixels trace`, `pixels dimension`, `features trace`, `features dimension`: the logarithm of the ratio, second
    group over first; empty where there are no pixels or fewer than three images of a group.

    Of each group as many tested images, `MOST` at most, drawn at random with a fixed key, and one of each patient (or
    what may not be parted): an effective dimension grows with the number of images, and images of one patient are
    alike.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    :param groups: which two.
    """
    tested = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values).any(axis=(0, 1))
    names = dataset["group"].values.astype(str)
    rng = plain_stream()
    clusters = clusters_of(dataset)
    places = [_one_of_each(np.flatnonzero(tested & (names == group)), clusters, rng) for group in groups]
    count = min(MOST, *map(len, places))
    if count < 3 or "pixels" not in dataset:
        return {}
    chosen = np.concatenate([np.sort(rng.choice(found, count, replace=False)) for found in places])
    pictures = read_rows(dataset["pixels"].transpose("image", "y", "x", "channel"), chosen)
    cluster = clusters[chosen]
    out = {}
    for space, vectors in (("pixels", pictures.reshape(len(pictures), -1) / 127.5), ("features", features(pictures))):
        kernel = vectors @ vectors.T
        for place, measure in enumerate(("trace", "dimension")):
            statistic = _spread_ratio(kernel, count, place)
            estimate = over_seeds(
                statistic, [{"x": np.arange(2 * count)}], [cluster], replicates=min(replicates, SPREAD_REPLICATES)
            )
            out[f"{space} {measure}"] = estimate._replace(seeds=0)
    return out


def _one_of_each(places: NDArray[np.intp], clusters: NDArray[Any], rng: np.random.Generator) -> NDArray[np.intp]:
    """One of these images of each cluster, drawn at random."""
    shuffled = rng.permutation(places)
    return shuffled[np.unique(clusters[shuffled], return_index=True)[1]]


def _spread_ratio(kernel: Array, count: int, place: int) -> Any:
    """The statistic: the first `count` images are of the first group."""

    def ratio(x: Array, weights: Array) -> Array:
        first, second = (
            np.log(spread_of(kernel[part, part], weights[:, part])[place])
            for part in (slice(0, count), slice(count, None))
        )
        return second - first

    return ratio
