"""Do the maps tell images that a person labelled as having an artefact?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import clusters_of, flags_of, label_values
from sluguq.analysis.estimates import over_seeds
from sluguq.analysis.maps import maps_by_model
from sluguq.analysis.statistics import auroc
from sluguq.analysis.tables import estimate_fields
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


def map_summaries(dataset: xr.Dataset) -> pd.DataFrame:
    """Summaries of the SLUG and the error map of every image and model.

    Columns: configuration, seed, image (position), id, map, and a column for each of `SUMMARIES`.
    """
    ids = dataset["id"].values.astype(str)
    parts = []
    for c, s, places, grids in maps_by_model(dataset, BLOCK):
        for name, grid in grids.items():
            values = grid.reshape(len(places), -1).astype(np.float64)
            middle, upper = np.percentile(values, [50, 99], axis=1)
            parts.append(
                pd.DataFrame(
                    {
                        "configuration": str(dataset["configuration"].values[c]),
                        "seed": dataset["seed"].values[s],
                        "image": places,
                        "id": ids[places],
                        "map": name,
                        "sum": values.sum(axis=1),
                        "maximum": values.max(axis=1),
                        "upper": upper,
                        "contrast": np.divide(upper, middle, out=np.full_like(upper, np.nan), where=middle > 0),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def ordered_flags(dataset: xr.Dataset) -> tuple[list[str], list[str]]:
    """The yes-or-no labels of a dataset: those of known artefacts (`ARTEFACT_LABELS`), and any other.

    Only the first are artefacts or marks of the camera; another may be a diagnosis, or anything.
    """
    flags = flags_of(dataset)
    known = [flag for flag in flags if flag.removeprefix("label_") in ARTEFACT_LABELS]
    return known, [flag for flag in flags if flag not in known]


def labels_found(dataset: xr.Dataset, summaries: pd.DataFrame, replicates: int = 300) -> pd.DataFrame:
    """How well summaries of the maps tell images that carry a label (ruler, ink) from those that do not.

    summaries: from `map_summaries` of the same dataset. Only labels that say yes or no, those of known artefacts first.
    Columns: configuration, label, artefact (whether the label is of a known artefact), map, summary, value (AUROC),
    low, high, seeds, images, clusters, carrying (images with the label).
    """
    clusters = clusters_of(dataset)
    rows: list[dict[str, object]] = []
    artefacts, others = ordered_flags(dataset)
    for label in (*artefacts, *others):
        carried = label_values(dataset, label)
        known = summaries[np.isfinite(carried[summaries["image"]])]
        for (configuration, name), part in known.groupby(["configuration", "map"], sort=False):
            by = [some for _, some in part.groupby("seed")]
            for summary in SUMMARIES:
                kept = [some[np.isfinite(some[summary])] for some in by]
                columns = [{"x": some[summary].to_numpy(float), "group": carried[some["image"]] == 1} for some in kept]
                own = [clusters[some["image"]] for some in kept]
                if not any(len(c) for c in own):
                    continue
                estimate = over_seeds(auroc, columns, own, transform="logit", replicates=replicates)
                key = {"configuration": configuration, "label": label.removeprefix("label_")}
                key |= {"artefact": label in artefacts, "map": name}
                carrying = int((carried == 1).sum())
                rows.append({**key, "summary": summary, **estimate_fields(estimate), "carrying": carrying})
    return pd.DataFrame(rows)
