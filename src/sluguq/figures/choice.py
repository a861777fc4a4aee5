"""Which images are shown: stated rules, so that nobody picks by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import groups_of, label_values
from sluguq.analysis.labelled_images import ordered_flags
from sluguq.analysis.tables import per_image

QUANTILES = (0.1, 0.5, 0.9)


def at_quantiles(dataset: xr.Dataset, quantiles: tuple[float, ...] = QUANTILES, column: str = "mse") -> pd.DataFrame:
    """For every group, the images whose mean error is nearest to these quantiles of the group.

    The mean of `column` is over configurations and seeds. Where no image is in a group, all images count
    as one. No image is taken twice. Columns: group, quantile, image (position), id, `column`; fewer rows
    where a group has fewer images.

    :param dataset: an opened aggregated store.
    :param quantiles: 0 to 1.
    :param column: a score of the store.
    """
    frame = per_image(dataset, [column])
    frame = frame.dropna(subset=[column])
    groups = [g for g in groups_of(dataset) if (frame["group"] == g).any()] or [""]
    rows: list[dict[str, Any]] = []
    for group in groups:
        part = frame[frame["group"] == group] if group else frame
        level = part.groupby(["image", "id"])[column].mean().reset_index()
        for q in quantiles:
            earlier = {row["image"] for row in rows}
            rest = level[~level["image"].isin(earlier)]
            if rest.empty:
                continue
            # Ties go to the first id, so that the choice does not depend on the order of images.
            distance = (rest[column] - float(level[column].quantile(q))).abs()
            best = rest.assign(distance=distance).sort_values(["distance", "id"]).iloc[0]
            rows.append(
                {"group": group, "quantile": q, "image": int(best["image"]), "id": best["id"], column: best[column]}
            )
    return pd.DataFrame(rows, columns=["group", "quantile", "image", "id", column])


def by_label(dataset: xr.Dataset, each: int = 2, column: str = "slug") -> pd.DataFrame:
    """For every yes-or-no label, images that carry it and as few others as may be, by quantile of `column`.

    Labels of known artefacts come first (`labelled_images.ordered_flags`). Among the images with the label,
    those with the fewest further labels come first; of these the ones nearest to evenly spaced quantiles of
    the mean of `column`. Columns: group (the label's name), quantile, image, id, `column`.

    :param dataset: an opened aggregated store.
    :param each: images of a label.
    :param column: a score of the store.
    """
    artefacts, others = ordered_flags(dataset)
    flags = [*artefacts, *others]
    level = per_image(dataset, [column]).dropna(subset=[column]).groupby(["image", "id"])[column].mean().reset_index()
    marks = pd.DataFrame({n: np.nan_to_num(label_values(dataset, n)) for n in flags})
    rows: list[dict[str, Any]] = []
    for name in flags:
        carrying = level[marks[name].to_numpy()[level["image"]] == 1]
        carrying = carrying[~carrying["image"].isin({row["image"] for row in rows})]
        further = marks.to_numpy()[carrying["image"]].sum(axis=1) - 1
        pure = carrying[further <= np.sort(further)[: max(each, 1)].max()] if len(carrying) else carrying
        for q in np.linspace(0, 1, 2 * each + 1)[1::2]:
            rest = pure[~pure["image"].isin({row["image"] for row in rows})]
            if rest.empty:
                continue
            distance = (rest[column] - float(pure[column].quantile(q))).abs()
            best = rest.assign(distance=distance).sort_values(["distance", "id"]).iloc[0]
            rows.append(
                {
                    "group": name.removeprefix("label_").replace("_", " "),
                    "quantile": q,
                    "image": int(best["image"]),
                    "id": best["id"],
                    column: best[column],
                }
            )
    return pd.DataFrame(rows, columns=["group", "quantile", "image", "id", column])


def first_seed(dataset: xr.Dataset, image: int) -> int | None:
    """The position of the first seed in whose test set an image is, or None.

    :param dataset: an opened aggregated store.
    :param image: position of the image.
    """
    mse = dataset["mse"].isel(image=image).transpose("configuration", "seed").values
    seeds = np.flatnonzero(np.isfinite(mse).any(axis=0))
    return int(seeds[0]) if len(seeds) else None
