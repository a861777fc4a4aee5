"""Does a gap depend on who labelled? Groups by one annotation, by another, and by measured skin tone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sluguq.analysis.aggregated import groups_of, label_values
from sluguq.analysis.given import takes_results
from sluguq.analysis.statistics import log_ratio, spearman
from sluguq.analysis.tables import ESTIMATE, REPLICATES, Measure, estimate_rows, per_image
from sluguq.images.skin_colour import ita
from sluguq.stores.selection import read_rows

OTHER_TYPES = "label_fst_other"
"""Skin types by another annotation than the one that groups are made of."""

ANNOTATIONS = {
    "labels": "skin types as the groups have them",
    "other labels": "skin types by the other annotation",
    "both labels": "both annotations agree on the group",
    "measured tone": "skin tone measured (ITA): darkest against lightest third",
}
"""Who says what an image's skin is, in words."""

FEWEST_PIXELS = 0.05
"""With a smaller share of a picture outside its masks than this, the tone is that of the whole picture."""

_BLOCK = 256
"""Pictures in memory at a time."""


def other_groups(dataset: xr.Dataset) -> tuple[NDArray[np.object_], NDArray[np.int8]]:
    """Groups (image,) and skin types (image,) by the other annotation; empty text and -1 where it has none.

    :param dataset: an aggregated store that has ``label_fst_other``.
    """
    types = label_values(dataset, OTHER_TYPES)
    owner = {fst: name for name, members in groups_of(dataset).items() for fst in members}
    groups = np.array([owner.get(int(t), "") if np.isfinite(t) else "" for t in types], dtype=object)
    return groups, np.nan_to_num(types, nan=-1).astype(np.int8)


def skin_tones(dataset: xr.Dataset, images: NDArray[np.int64]) -> NDArray[np.float64]:
    """Individual typology angle in degrees of the photographs at these places, repeats allowed.

    Of the pixels outside the lesion's mask and the mask of what is not skin, where the store has masks and these leave
    at least `FEWEST_PIXELS` of the picture; else of all pixels.

    :param dataset: an aggregated store with ``pixels``.
    :param images: (n,) places along ``image``.
    """
    pixels = dataset["pixels"].transpose("image", "y", "x", "channel")
    masks = [dataset[name].transpose("image", "y", "x") for name in ("lesion_mask", "artefact_mask") if name in dataset]
    distinct, inverse = np.unique(images, return_inverse=True)
    tones = np.empty(len(distinct))
    for start in range(0, len(distinct), _BLOCK):
        places = distinct[start : start + _BLOCK]
        pictures = read_rows(pixels, places)
        skin = ~np.any([read_rows(mask, places).astype(bool) for mask in masks], axis=0) if masks else None
        for k, picture in enumerate(pictures):
            seen = skin is not None and skin[k].mean() >= FEWEST_PIXELS
            tones[start + k] = ita(picture, skin[k] if skin is not None and seen else None)
    return tones[inverse]


@takes_results
def gaps_by_annotation(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """The darkest group against the lightest in error and SLUG, by who says what an image's skin is.

    Columns: by (of `ANNOTATIONS`), configuration, variable (`mse`, `slug`), measure (`log_ratio` of means, darkest over
    lightest; `spearman`, rank correlation of the variable with darkness: skin type, or minus the angle), value, low,
    high, seeds, undefined, images, clusters. ``other labels`` and ``both labels`` where the store has another
    annotation, ``measured tone`` where it has pixels: its ends are thirds of each seed's test images.

    :param dataset: an aggregated store, or results.
    :param replicates: of the bootstrap.
    """
    frame = per_image(dataset, [name for name in ("mse", "slug") if name in dataset])
    names = list(groups_of(dataset))
    rows: list[dict[str, Any]] = []
    if len(names) > 1 and len(frame):
        for by, part in _taken(dataset, frame).items():
            ends = part[part["group"].isin([names[0], names[-1]])]
            ends = ends.assign(inside=ends["group"] == names[-1])
            for variable in (name for name in ("mse", "slug") if name in part):
                key = {"by": by, "variable": variable}
                if ends["inside"].any() and not ends["inside"].all():
                    of = {"log_ratio": Measure(log_ratio, {"x": variable, "group": "inside"})}
                    rows += estimate_rows(ends, of, key, replicates=replicates)
                dark = part[np.isfinite(part["darkness"])]
                if dark["darkness"].nunique() > 1:
                    of = {"spearman": Measure(spearman, {"x": "darkness", "y": variable}, "fisher")}
                    rows += estimate_rows(dark, of, key, replicates=replicates)
    return pd.DataFrame(rows, columns=["by", "configuration", "variable", "measure", *ESTIMATE])


def _taken(dataset: xr.Dataset, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows with group and darkness, by who says so."""
    places = frame["image"].to_numpy()
    types = frame["fst"].to_numpy(float)
    found = {"labels": frame.assign(darkness=np.where(types > 0, types, np.nan))}
    if OTHER_TYPES in dataset:
        groups, other = other_groups(dataset)
        darkness = np.where(other > 0, other, np.nan)[places]
        found["other labels"] = frame.assign(group=groups[places], darkness=darkness)
        agree = (groups[places] == frame["group"].to_numpy()) & (groups[places] != "")
        found["both labels"] = found["labels"][agree]
    if "pixels" in dataset:
        names = list(groups_of(dataset))
        toned = frame.assign(darkness=-skin_tones(dataset, places))
        third = toned.groupby(["configuration", "seed"])["darkness"].rank(pct=True)
        ends = np.select([third <= 1 / 3, third > 2 / 3], [names[0], names[-1]], "")
        found["measured tone"] = toned.assign(group=ends)
    return found
