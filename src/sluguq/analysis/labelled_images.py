"""Do the maps tell images that a person labelled as having an artefact?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import clusters_of, flags_of, label_values, labels_of
from sluguq.analysis.maps import maps_by_model
from sluguq.analysis.statistics import auroc
from sluguq.analysis.tables import ESTIMATE, REPLICATES, Measure, estimate_rows, with_blocks
from sluguq.stores.variables import ARTEFACT_LABELS

BLOCK = 1024
"""Images of one model whose maps are in memory at a time, where a data set may have any number."""

SUMMARIES = {
    "sum": "sum",
    "maximum": "maximum",
    "upper": "99th percentile",
    "contrast": "99th percentile over median",
}
"""Summaries of a map by which a whole image may be called suspect."""


RIM = 16
"""One of so many parts of a map's side, on each of its four sides, is rim: zero padding makes SLUG maps glow there."""


def without_rim(maps: np.ndarray) -> np.ndarray:
    """Maps (images, y, x) without their rim.

    :param maps: of any number.
    """
    width = min(maps.shape[1:]) // RIM
    return maps[:, width : maps.shape[1] - width, width : maps.shape[2] - width]


def map_summaries(dataset: xr.Dataset) -> pd.DataFrame:
    """Summaries of the SLUG and the error map of every image and model.

    Columns: configuration, seed, image (position), id, map, and a column for each of `SUMMARIES`; all but the sum
    are of the map without its rim.

    :param dataset: an opened aggregated store.
    """
    ids = dataset["id"].values.astype(str)
    columns = ["configuration", "seed", "image", "id", "map", *SUMMARIES]
    none = pd.DataFrame(columns=columns).astype({"image": int, **dict.fromkeys(SUMMARIES, float)})
    parts: list[pd.DataFrame] = []
    for c, s, places, grids in maps_by_model(dataset, BLOCK):
        for name, grid in grids.items():
            values = grid.reshape(len(places), -1).astype(np.float64)
            inner = without_rim(grid).reshape(len(places), -1).astype(np.float64)
            middle, upper = np.percentile(inner, [50, 99], axis=1)
            parts.append(
                pd.DataFrame(
                    {
                        "configuration": str(dataset["configuration"].values[c]),
                        "seed": dataset["seed"].values[s],
                        "image": places,
                        "id": ids[places],
                        "map": name,
                        "sum": values.sum(axis=1),
                        "maximum": inner.max(axis=1),
                        "upper": upper,
                        "contrast": np.divide(upper, middle, out=np.full_like(upper, np.nan), where=middle > 0),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else none


def ordered_flags(dataset: xr.Dataset) -> tuple[list[str], list[str]]:
    """The yes-or-no labels of a dataset: those of known artefacts (`ARTEFACT_LABELS`), and any other.

    Only the first are artefacts or marks of the camera; another may be a diagnosis, or anything.

    :param dataset: an opened aggregated store.
    """
    flags = flags_of(dataset)
    known = [flag for flag in flags if flag.removeprefix("label_") in ARTEFACT_LABELS]
    return known, [flag for flag in flags if flag not in known]


def labels_found(dataset: xr.Dataset, summaries: pd.DataFrame, replicates: int = REPLICATES) -> pd.DataFrame:
    """How well summaries of the maps tell images that carry a label (ruler, ink) from those that do not.

    Only labels that say yes or no, those of known artefacts first.
    Columns: configuration, label, known_artefact (whether the label is of a known artefact), map, summary,
    value (AUROC), low, high, seeds, undefined, images, clusters, carrying (images with the label).

    :param dataset: an opened aggregated store.
    :param summaries: from `map_summaries` of the same dataset.
    :param replicates: of the bootstrap behind every interval.
    """
    clusters = clusters_of(dataset)
    artefacts, others = ordered_flags(dataset)
    measures = {name: Measure(auroc, {"x": name, "group": "carried"}, "share") for name in SUMMARIES}
    rows: list[dict[str, object]] = []
    for label in (*artefacts, *others):
        carried = label_values(dataset, label)
        known = with_blocks(summaries[np.isfinite(carried[summaries["image"]])], dataset)
        known = known.assign(carried=carried[known["image"]] == 1, cluster=clusters[known["image"]])
        key = {"label": label.removeprefix("label_"), "known_artefact": label in artefacts}
        key["carrying"] = int((carried == 1).sum())
        for name, part in known.groupby("map", sort=False):
            rows += estimate_rows(part, measures, {**key, "map": name}, name="summary", replicates=replicates)
    columns = ["configuration", "label", "known_artefact", "map", "summary", *ESTIMATE, "carrying"]
    return pd.DataFrame(rows, columns=columns)


def labelled(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """`labels_found` by the stored maps; no rows where a dataset has no maps or no yes-or-no labels.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    if not {"slug_map", "error_map"} <= set(dataset.data_vars) or not flags_of(dataset):
        dataset, summaries = dataset.drop_vars(labels_of(dataset)), pd.DataFrame({"image": [], "map": []})
        return labels_found(dataset, summaries.astype({"image": int}), replicates)
    return labels_found(dataset, map_summaries(dataset), replicates)
