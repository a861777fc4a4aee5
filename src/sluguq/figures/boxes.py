"""Box plots of per-image numbers by group or skin type and configuration."""

from __future__ import annotations

import itertools
import warnings
from typing import Any, Literal

import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sluguq.analysis.aggregated import groups_of, scale_of
from sluguq.analysis.tables import per_image
from sluguq.figures.style import EDGE, MUTED, empty, figure, finish, fst_colours, group_colours, is_wide, logarithmic
from sluguq.figures.words import group_label, number, plural, span

FEWEST = 10
"""With fewer images than this, points are drawn in place of a box."""

_DARK = 0.5
"""Boxes of less brightness (of 1) than this are dark."""

PANELS = {
    "mse": "mean squared error",
    "latent_std": "latent standard deviation",
    "slug": "SLUG",
}
UNITS = {"mse": "squared intensity, mean", "latent_std": "of the prior's", "slug": "squared intensity, sum"}


def boxes(
    dataset: xr.Dataset,
    by: Literal["group", "fst"] = "group",
    per: Literal["image", "seed"] = "image",
) -> tuple[Figure, pd.DataFrame]:
    """Error, latent standard deviation and SLUG by configuration, and by group or skin type within.

    Images in no group, or without a skin type, are left out. The table has one row per image and model, or a seed:
    configuration, seed, id, group or fst, and the three numbers.

    :param dataset: an opened aggregated store.
    :param by: what the boxes of a configuration are told apart by.
    :param per: `image` has one value per image and model in each box; `seed` one point per seed, the mean over its
        images, with a line at the mean over seeds.
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
        Patch(facecolor=colours[k], edgecolor=MUTED, label=f"{labels[k]}: {span(counts[k])} images per seed")
        for k in keys
        if k in counts
    ]
    seeds = plural(frame["seed"].nunique(), "seed")
    images = f"{span(counts)} images per {'group' if by == 'group' else 'skin type'} and seed"
    if per == "seed":
        note = f"n = {images}, {seeds}. Each point is the mean of one seed; the line is the mean over seeds."
    else:
        note = (
            f"n = {images}, {seeds}. Each box holds every test image of every seed: line at the median, box over the "
            "quartiles, whiskers to the 5th and 95th percentile; white points: the median of each seed, a network of "
            f"its own. Fewer than {FEWEST} images are drawn one by one."
        )
    table = frame[["configuration", "seed", *(["id"] if per == "image" else []), by, *columns]]
    return finish(fig, title, note, dataset, handles=handles), table


def _categories(dataset: xr.Dataset, frame: pd.DataFrame, by: str) -> tuple[list[Any], dict[Any, str], dict[Any, str]]:
    """The boxes in their fixed order, with colours and names."""
    if by == "group":
        groups = groups_of(dataset)
        keys: list[Any] = [g for g in groups if (frame["group"] == g).any()]
        return keys, group_colours(groups), {g: group_label(g, groups) for g in keys}
    types = sorted(int(t) for t in frame["fst"].unique() if t >= 1)
    scale = scale_of(dataset)
    return list(types), fst_colours(types, scale), {t: f"{scale.name} {t}" for t in types}


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
    if per == "image":
        box_plots(axes, frame, column, by, keys, colours, configurations)
    for (j, key), (i, configuration) in itertools.product(enumerate(keys), enumerate(configurations)):
        cell = frame[(frame["configuration"] == configuration) & (frame[by] == key)]
        values = cell[["seed", column]].dropna().groupby("seed")[column].median().to_numpy()
        place = i + (j - (len(keys) - 1) / 2) * step
        if per == "image":
            # Each seed is a network of its own; where their levels differ, the box alone would hide it.
            places = place + 0.5 * step * ((np.arange(len(values)) + 0.5) / max(len(values), 1) - 0.5)
            axes.plot(places, values, "o", ms=2.2, mfc="white", mec=EDGE, mew=0.5, zorder=5)
        elif len(values):
            axes.plot(np.full(len(values), place), values, "o", ms=3.6, mfc=colours[key], mec=EDGE, mew=0.5)
            axes.hlines(values.mean(), place - 0.36 * step, place + 0.36 * step, color=EDGE, lw=1.3)
    axes.set_xticks(range(len(configurations)), configurations)
    axes.set_xlim(-0.55, len(configurations) - 0.45)
    axes.grid(axis="x", visible=False)
    axes.autoscale_view()
    low, high = axes.get_ylim()
    unit = UNITS[column]
    if is_wide(frame[column].to_numpy(float)):
        logarithmic(axes)
        unit += ", log scale"
    else:
        if 0 < low < 0.4 * high:
            axes.set_ylim(0, high)
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.set_ylabel(unit, fontsize=7)


def _light_medians(axes: Axes) -> None:
    """The median of a dark box in white: in the colour of its edge it could not be seen."""
    for container in axes.containers:
        for box, median in zip(getattr(container, "boxes", ()), getattr(container, "medians", ()), strict=True):
            if rgb_to_hsv(to_rgb(box.get_facecolor()))[2] < _DARK:
                median.set_color("white")


def box_plots(
    axes: Axes,
    frame: pd.DataFrame,
    column: str,
    by: str,
    keys: list[Any],
    colours: dict[Any, str],
    configurations: list[str],
) -> None:
    """Boxes over the quartiles, whiskers to the 5th and 95th percentile; single points where images are too few.

    :param axes: to draw on.
    :param frame: one row per image, or a seed, with the columns configuration, `column` and `by`.
    :param column: what is drawn.
    :param by: what the boxes of a configuration are told apart by.
    :param keys: values of `by`, in order.
    :param colours: of every key.
    :param configurations: in order.
    """
    sizes = frame.groupby(["configuration", by], observed=True)[column].transform("count")
    shared: dict[str, Any] = {
        "x": "configuration", "y": column, "hue": by, "order": configurations, "hue_order": keys, "palette": colours,
        "legend": False, "ax": axes,
    }  # fmt: skip
    many, few = frame[sizes >= FEWEST], frame[sizes < FEWEST]
    with warnings.catch_warnings():
        # Seaborn says `vert` to Matplotlib, which says `orientation` from 3.11 on.
        warnings.filterwarnings("ignore", message="vert: bool was deprecated")
        if len(many):
            sns.boxplot(
                data=many, **shared, width=0.8, gap=0.12, whis=(5, 95), showfliers=False, saturation=1, linewidth=0.8,
                linecolor=EDGE,
            )  # fmt: skip
            _light_medians(axes)
    if len(few):
        # No jitter: Seaborn draws it from the global state, so that no two pictures of the same numbers are the same.
        sns.stripplot(data=few, **shared, dodge=True, size=2.8, linewidth=0.4, edgecolor=EDGE, jitter=False)
    axes.set(xlabel="", ylabel="")
