"""Box plots of per-image numbers by group or skin type and configuration."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.tables import per_image
from sluguq.figures.style import empty, figure, finish, fst_colours, group_colours, is_wide, logarithmic
from sluguq.figures.words import group_label, plural, span

PANELS = {
    "mse": "mean squared error",
    "latent_std": "latent standard deviation",
    "slug": "SLUG",
}


def boxes(
    dataset: xr.Dataset,
    by: Literal["group", "fst"] = "group",
    per: Literal["image", "seed"] = "image",
) -> tuple[Figure, pd.DataFrame]:
    """Error, latent standard deviation and SLUG by configuration, and by group or skin type within.

    per: `image` has one value an image and model in each box; `seed` one point a seed, the mean over its
    images, with a line at the mean over seeds. Images in no group, or without a skin type, are left out.

    The table has one row an image and model, or a seed: configuration, seed, id, group or fst, and the
    three numbers.
    """
    frame = per_image(dataset, [name for name in PANELS if name in dataset])
    keys, colours, labels = _categories(dataset, frame, by)
    frame = frame[frame[by].isin(keys)]
    title = f"Error and uncertainty by {'group' if by == 'group' else 'skin type'}"
    title += ", means of seeds" if per == "seed" else " and configuration"
    if frame.empty:
        return empty(title, f"no image of {dataset.attrs.get('dataset', 'this data set')} has a {by}", dataset), frame
    columns = [name for name in PANELS if name in frame]
    configurations = list(dict.fromkeys(dataset["configuration"].values.astype(str)))
    counts = frame.groupby([by, "configuration", "seed"], observed=True).size()
    if per == "seed":
        frame = frame.groupby(["configuration", "seed", by], observed=True)[columns].mean().reset_index()
    wide = len(configurations) * len(keys) > 10
    fig = figure(height=1.75 * len(columns) + 1.0 if wide else 3.0)
    shape = (len(columns), 1) if wide else (1, len(columns))
    for axes, column in zip(fig.subplots(*shape, squeeze=False).ravel(), columns, strict=True):
        _panel(axes, frame, column, by, keys, colours, configurations, per)
        axes.set_title(PANELS[column])
        if not wide or column == columns[-1]:
            axes.set_xlabel("configuration")
    handles = [
        Patch(facecolor=colours[k], edgecolor="#50565c", label=f"{labels[k]}: {span(counts[k])} images a seed")
        for k in keys
        if k in counts
    ]
    seeds = plural(frame["seed"].nunique(), "seed")
    images = f"{span(counts)} images a {'group' if by == 'group' else 'skin type'} and seed"
    if per == "seed":
        note = f"n = {images}, {seeds}. Each point is the mean of one seed; the line is the mean over seeds."
    else:
        note = (
            f"n = {images}, {seeds}. Each box holds every test image of every seed: line at the median, box over the "
            "quartiles, whiskers to the 5th and 95th percentile."
        )
    table = frame[["configuration", "seed", *(["id"] if per == "image" else []), by, *columns]]
    return finish(fig, title, note, dataset, handles=handles), table


def _categories(dataset: xr.Dataset, frame: pd.DataFrame, by: str) -> tuple[list[Any], dict[Any, str], dict[Any, str]]:
    """The boxes in their fixed order, with colours and names."""
    if by == "group":
        groups = groups_of(dataset)
        keys: list[Any] = [g for g in groups if (frame["group"] == g).any()]
        return keys, dict(group_colours(groups)), {g: group_label(g, groups[g]) for g in keys}
    types = sorted(int(t) for t in frame["fst"].unique() if t >= 1)
    return list(types), dict(fst_colours(types)), {t: f"FST {t}" for t in types}


def _panel(
    axes: Axes,
    frame: pd.DataFrame,
    column: str,
    by: str,
    keys: list[Any],
    colours: dict[Any, str],
    configurations: list[str],
    per: str,
) -> None:
    step = 0.8 / len(keys)
    for j, key in enumerate(keys):
        for i, configuration in enumerate(configurations):
            chosen = (frame["configuration"] == configuration) & (frame[by] == key)
            values = frame.loc[chosen, column].dropna().to_numpy()
            if not len(values):
                continue
            place = i + (j - (len(keys) - 1) / 2) * step
            if per == "seed":
                axes.plot(np.full(len(values), place), values, "o", ms=3.6, mfc=colours[key], mec="#33383d", mew=0.5)
                axes.hlines(values.mean(), place - 0.36 * step, place + 0.36 * step, color="#33383d", lw=1.3)
                continue
            axes.boxplot(
                values,
                positions=[place],
                widths=0.82 * step,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                boxprops={"facecolor": colours[key], "edgecolor": "#33383d", "linewidth": 0.7},
                medianprops={"color": "white" if _is_dark(colours[key]) else "#1c1f22", "linewidth": 1.3},
                whiskerprops={"color": "#33383d", "linewidth": 0.7},
                capprops={"color": "#33383d", "linewidth": 0.7},
            )
    axes.set_xticks(range(len(configurations)), configurations)
    axes.set_xlim(-0.55, len(configurations) - 0.45)
    axes.grid(axis="x", visible=False)
    axes.autoscale_view()
    low, high = axes.get_ylim()
    if is_wide(frame[column].to_numpy(float)):
        logarithmic(axes)
        axes.set_ylabel("log scale")
    else:
        if 0 < low < 0.4 * high:
            axes.set_ylim(0, high)
        if high >= 1e5:
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}")


def _is_dark(colour: str) -> bool:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 128
