"""Do the maps find artefacts? Measured against drawn artefacts with masks, and against masks that people drew.

A store of images with drawn artefacts is an aggregated store with `artefact_mask` (image, y, x), `artefact`
(image), the kind of the artefact, and `clean_image` (image), the id of the image that it was drawn on. The
bare images are in it too, with an empty `artefact`. A store of photographs whose artefacts a person outlined has
`artefact_mask` alone: its artefacts are of the one kind `MASKED`, and there is no bare image to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter

from sluguq.analysis.maps import maps_by_model
from sluguq.analysis.statistics import mean
from sluguq.analysis.tables import ESTIMATE, REPLICATES, Measure, estimate_rows, with_blocks
from sluguq.datasets.units import TIES, cluster_labels, tying_labels
from sluguq.stores.selection import read_rows

MAPS = {
    "slug_map": "SLUG map",
    "error_map": "error map",
    "slug_bare": "SLUG map of the bare image",
    "gradient": "image gradient",
    "colour": "distance from the median colour",
}
"""The maps that are compared: two of the network, a control, and two plain ones of the image alone.

The control is the SLUG map of the same image without the artefact, held against the same pixels: what it finds
comes from where the artefact lies (rulers lie along borders, where maps glow anyhow), not from the artefact.
"""


MASKED = "masked by hand"
"""The kind of an artefact in a photograph that came with a mask of it."""

_WHO = ("configuration", "seed", "id", "clean_image", "artefact", "group")


def gradient_map(pixels: np.ndarray) -> np.ndarray:
    """The length of the image's gradient, smoothed by one pixel: edges of anything. (y, x) from (y, x, 3).

    :param pixels: uint8.
    """
    grey = pixels.astype(np.float64).mean(axis=-1) / 127.5
    down, along = np.gradient(grey)
    return gaussian_filter(np.hypot(down, along), 1.0)


def colour_map(pixels: np.ndarray) -> np.ndarray:
    """Distance of every pixel's colour from the median colour of its image, on [-1, 1]. (y, x).

    :param pixels: (y, x, 3) uint8.
    """
    scaled = pixels.astype(np.float64) / 127.5
    return np.linalg.norm(scaled - np.median(scaled, axis=(0, 1)), axis=-1)


def find_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision of `values` for boolean `truth`, both flat; from one sort.

    As scikit-learn's roc_auc_score and average_precision_score, several times faster on the tens of thousands of
    pixels of a map. Equal values count as one threshold.

    :param truth: (n,) boolean, neither all true nor all false.
    :param values: (n,).
    """
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    at = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = np.concatenate(([0.0], hits[at]))
    false = np.concatenate(([0.0], at + 1 - hits[at]))
    precision = found[1:] / (at + 1)
    return (
        float(np.trapezoid(found, false) / (found[-1] * false[-1])),
        float(np.sum(np.diff(found) * precision) / found[-1]),
    )


def pixel_scores(
    dataset: xr.Dataset,
    maps: Sequence[str] = tuple(MAPS),
    configuration: str | None = None,
) -> pd.DataFrame:
    """How well each map tells the pixels of the drawn artefact from the rest, image by image.

    The control `slug_bare` is there where the same model scored the bare image; the plain maps of the image alone are
    repeated for every model, so that they can be compared seed by seed. Columns: configuration, seed, id, clean_image,
    artefact, group, map, auroc, average_precision, prevalence (share of artefact pixels: the average precision of a
    map that knows nothing). An image whose mask is empty or full is left out; no rows where the store has no maps.

    :param dataset: the opened aggregated store of images with drawn artefacts.
    :param maps: of `MAPS`.
    :param configuration: this one alone; None for all.
    """
    columns = [*_WHO, "map", "auroc", "average_precision", "prevalence"]
    if not {"artefact_mask", "slug_map", "error_map"} <= set(dataset.data_vars):
        return pd.DataFrame(columns=columns)
    if configuration is not None:
        chosen = [str(c) for c in dataset["configuration"].values].index(configuration)
        dataset = dataset.isel(configuration=[chosen])
    dataset = with_kinds(dataset)
    mask = dataset["artefact_mask"].transpose("image", "y", "x")
    kinds, origin = dataset["artefact"].values.astype(str), dataset["clean_image"].values.astype(str)
    bare = {name: k for k, name in enumerate(origin) if kinds[k] == ""}
    rows: list[dict[str, object]] = []
    plain: dict[int, dict[str, tuple[float, float]]] = {}
    for c, s, places, grids in maps_by_model(dataset):
        at = {int(i): k for k, i in enumerate(places)}
        truths = read_rows(mask, places).astype(bool).reshape(len(places), -1)
        for k, i in enumerate(places):
            truth = truths[k]
            if truth.all() or not truth.any():
                continue
            if i not in plain:
                plain[i] = _plain_scores(dataset, int(i), truth) if {"gradient", "colour"} & set(maps) else {}
            seen = {name: grids[name][k] for name in ("slug_map", "error_map")}
            counterpart = at.get(bare.get(origin[i], -1))
            if counterpart is not None:
                seen["slug_bare"] = grids["slug_map"][counterpart]
            measured = {n: find_scores(truth, g.astype(np.float64).ravel()) for n, g in seen.items() if n in maps}
            measured |= plain[i]
            rows += [
                {
                    **_who(dataset, c, s, int(i)),
                    "map": name,
                    "auroc": measured[name][0],
                    "average_precision": measured[name][1],
                    "prevalence": float(truth.mean()),
                }
                for name in maps
                if name in measured
            ]
    return pd.DataFrame(rows, columns=columns)


def with_kinds(dataset: xr.Dataset) -> xr.Dataset:
    """The store with `artefact` and `clean_image`, also where a person outlined the artefacts of photographs.

    :param dataset: an opened aggregated store.
    """
    if "clean_image" in dataset:
        return dataset
    kinds = np.full(dataset.sizes["image"], MASKED, dtype=object)
    return dataset.assign(artefact=("image", kinds), clean_image=("image", dataset["id"].values))


def _plain_scores(dataset: xr.Dataset, image: int, truth: np.ndarray) -> dict[str, tuple[float, float]]:
    """How well the maps of the image alone find the artefact."""
    picture = dataset["pixels"].isel(image=image).transpose("y", "x", "channel").values
    return {
        "gradient": find_scores(truth, gradient_map(picture).ravel()),
        "colour": find_scores(truth, colour_map(picture).ravel()),
    }


def region_means(dataset: xr.Dataset, lesions: xr.Dataset | None = None) -> pd.DataFrame:
    """The mean of the SLUG map and the error map inside the artefact, inside the lesion, and elsewhere.

    The lesion is without what the artefact covers; NaN where there is no mask or it is empty. Columns: configuration,
    seed, id, clean_image, artefact, group, {slug,error}_{artefact,lesion,rest}, and error_bare: the error of the same
    image without the artefact, over the artefact's pixels; NaN where the model did not score it.

    :param dataset: the opened aggregated store of images with drawn artefacts.
    :param lesions: a store with `lesion_mask` of the bare images by `id`, for example the training data set's; by
        default `dataset` itself.
    """
    masks = _lesion_masks(dataset, lesions)
    artefacts = dataset["artefact_mask"].transpose("image", "y", "x")
    rows: list[dict[str, object]] = []
    regions: dict[int, dict[str, np.ndarray]] = {}
    origin, kinds = dataset["clean_image"].values.astype(str), dataset["artefact"].values.astype(str)
    bare = {name: k for k, name in enumerate(origin) if kinds[k] == ""}
    for c, s, places, grids in maps_by_model(dataset):
        at = {int(i): k for k, i in enumerate(places)}
        inside = read_rows(artefacts, places).astype(bool)
        for k, i in enumerate(map(int, places)):
            if not inside[k].any():
                continue
            if i not in regions:
                lesion = masks(i)
                lesion = np.zeros_like(inside[k]) if lesion is None else lesion & ~inside[k]
                regions[i] = {"artefact": inside[k], "lesion": lesion, "rest": ~inside[k] & ~lesion}
            row = _who(dataset, c, s, i)
            clean = at.get(bare.get(origin[i], -1))
            own = None if clean is None else grids["error_map"][clean].astype(np.float64)
            row["error_bare"] = np.nan if own is None else float(own[inside[k]].mean())
            for name, grid in grids.items():
                values = grid[k].astype(np.float64)
                for region, chosen in regions[i].items():
                    key = f"{name.removesuffix('_map')}_{region}"
                    row[key] = float(values[chosen].mean()) if chosen.any() else np.nan
            rows.append(row)
    keys = [f"{m}_{r}" for m in ("slug", "error") for r in ("artefact", "lesion", "rest")]
    return pd.DataFrame(rows, columns=[*_WHO, *keys, "error_bare"])


def _lesion_masks(dataset: xr.Dataset, lesions: xr.Dataset | None) -> Callable[[int], np.ndarray | None]:
    store = dataset if lesions is None else lesions
    if "lesion_mask" not in store:
        return lambda i: None
    names = store["id"].values.astype(str)
    place = {name: k for k, name in enumerate(names)}
    wanted = dataset["id" if lesions is None else "clean_image"].values.astype(str)

    def mask(i: int) -> np.ndarray | None:
        k = place.get(wanted[i])
        if k is None:
            return None
        return store["lesion_mask"].isel(image=k).transpose("y", "x").values.astype(bool)

    return mask


def with_and_without(dataset: xr.Dataset) -> pd.DataFrame:
    """SLUG and error of images with a drawn artefact, beside those of the same image without it.

    Columns: configuration, seed, id, clean_image, artefact, group, mse, mse_clean, slug, slug_clean. Rows
    without a bare counterpart in the same seed are left out.

    :param dataset: the opened aggregated store of images with drawn artefacts.
    """
    rows: list[dict[str, object]] = []
    values = {n: dataset[n].transpose("configuration", "seed", "image").values for n in ("mse", "slug")}
    kinds = dataset["artefact"].values.astype(str)
    origin = dataset["clean_image"].values.astype(str)
    bare = {name: k for k, name in enumerate(origin) if kinds[k] == ""}
    for i in np.flatnonzero(kinds != ""):
        clean = bare.get(origin[i])
        if clean is None:
            continue
        both = np.isfinite(values["mse"][:, :, i]) & np.isfinite(values["mse"][:, :, clean])
        for c, s in np.argwhere(both):
            row = _who(dataset, int(c), int(s), int(i))
            for name, array in values.items():
                row[name] = float(array[c, s, i])
                row[f"{name}_clean"] = float(array[c, s, clean])
            rows.append(row)
    return pd.DataFrame(rows, columns=[*_WHO, "mse", "mse_clean", "slug", "slug_clean"])


_PAIRS = ("with_artefact", "without")
_CHANGES = (
    "configuration", "seed", "id", "clean_image", "artefact", "group", "variable", *_PAIRS, *ESTIMATE,
)  # fmt: skip


def changes(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """The ratio of SLUG, and of the error, with an artefact to without: of every image, and its mean over seeds.

    Columns: configuration, seed, id, clean_image, artefact, group, variable (`slug`, `mse`), with_artefact, without,
    value (their ratio), and for the means over seeds, whose seed is -1, those of `mean_changes`.

    :param dataset: the opened aggregated store of images with drawn artefacts.
    :param replicates: of the bootstrap behind every interval.
    """
    pairs = with_and_without(dataset)
    means = mean_changes(with_blocks(pairs, dataset), artefact_clusters(dataset), replicates)
    means = means.assign(seed=-1, id="", clean_image="", group="")
    single = [
        pairs[[*_WHO]].assign(
            variable=name,
            with_artefact=pairs[name],
            without=pairs[f"{name}_clean"],
            value=pairs[name] / pairs[f"{name}_clean"],
        )
        for name in ("slug", "mse")
    ]
    return pd.concat([means, *single], ignore_index=True).reindex(columns=list(_CHANGES))


def mean_changes(pairs: pd.DataFrame, cluster: Mapping[str, int], replicates: int = REPLICATES) -> pd.DataFrame:
    """The mean ratio of SLUG, and of the error, with an artefact to without, by kind of artefact and configuration.

    Columns: configuration, artefact, variable (``slug``, ``mse``), value (the geometric mean over images, averaged over
    seeds on the logarithmic scale), low, high, seeds, undefined, images, clusters.

    :param pairs: from `with_and_without`.
    :param cluster: from `artefact_clusters`.
    :param replicates: bootstrap replicates behind an interval.
    """
    logarithms = {name: np.log((pairs[name] / pairs[f"{name}_clean"]).to_numpy(float)) for name in ("slug", "mse")}
    frame = pairs.assign(cluster=[cluster[name] for name in pairs["clean_image"]], **logarithms)
    measures = {name: Measure(mean, {"x": name}) for name in ("slug", "mse")}
    rows: list[dict[str, object]] = []
    for kind, part in frame.groupby("artefact", sort=False):
        rows += estimate_rows(part, measures, {"artefact": kind}, name="variable", replicates=replicates)
    table = pd.DataFrame(rows, columns=["configuration", "artefact", "variable", *ESTIMATE])
    return table.assign(**{name: np.exp(table[name].astype(float)) for name in ("value", "low", "high")})


def artefact_clusters(dataset: xr.Dataset) -> dict[str, int]:
    """The patient's integer by id of the bare image, as `artefacts_found` takes it.

    All drawings on one image are together, and so are those on images of one patient, lesion or group of duplicates.

    :param dataset: the opened aggregated store of images with drawn artefacts.
    """
    origin = with_kinds(dataset)["clean_image"].values.astype(str)
    images = np.unique(origin, return_inverse=True)[1]
    ties = tying_labels({name: dataset[name].values for name in TIES if name in dataset.variables})
    return dict(zip(origin, map(int, cluster_labels(images, *ties.values())), strict=True))


def artefacts_found(
    scores: pd.DataFrame, cluster: Mapping[str, int] | None = None, replicates: int = REPLICATES
) -> pd.DataFrame:
    """Pixel AUROC and average precision of every map by kind of artefact and configuration, with intervals.

    Columns: configuration, artefact, map, measure (`auroc`, `average_precision`, `prevalence`), value, low, high,
    seeds, undefined, images, clusters.

    :param scores: from `pixel_scores`.
    :param cluster: from `artefact_clusters`; without it every image counts as a patient.
    :param replicates: of the bootstrap behind every interval.
    """
    codes = pd.factorize(scores["clean_image"])[0]
    if cluster is not None:
        codes = np.array([cluster.get(n, -1 - c) for n, c in zip(scores["clean_image"], codes, strict=True)])
    measures = {name: Measure(mean, {"x": name}, "share") for name in ("auroc", "average_precision", "prevalence")}
    rows: list[dict[str, object]] = []
    for (kind, name), part in scores.assign(cluster=codes).groupby(["artefact", "map"], sort=False):
        rows += estimate_rows(part, measures, {"artefact": kind, "map": name}, replicates=replicates)
    return pd.DataFrame(rows, columns=["configuration", "artefact", "map", "measure", *ESTIMATE])


def _who(dataset: xr.Dataset, c: int, s: int, i: int) -> dict[str, object]:
    return {
        "configuration": str(dataset["configuration"].values[c]),
        "seed": dataset["seed"].values[s],
        "id": str(dataset["id"].values[i]),
        "clean_image": str(dataset["clean_image"].values[i]),
        "artefact": str(dataset["artefact"].values[i]),
        "group": str(dataset["group"].values[i]) if "group" in dataset else "",
    }
