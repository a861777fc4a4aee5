"""The two figures that the report begins with: for whom the model fails, and whether it knows."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from sluguq.analysis.aggregated import groups_of, middle_configuration, mixes_of
from sluguq.analysis.percentiles import percentiles_by_model
from sluguq.analysis.tables import per_image, signals_in
from sluguq.figures.boxes import box_plots
from sluguq.figures.marks import beside, interval, percent
from sluguq.figures.signals import name_of
from sluguq.figures.style import (
    ACCENT,
    EDGE,
    UNLABELLED,
    configuration_colours,
    empty,
    figure,
    finish,
    group_colours,
    is_wide,
    legend_of,
    logarithmic,
    marker_of,
)
from sluguq.figures.words import group_label, plural, significant, span

_WORST = 90


def error_by_group(dataset: xr.Dataset, gaps: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The error of every test image by configuration and group, with the ratio of the groups' means above.

    The table has one row per image and model.

    :param dataset: an opened aggregated store.
    :param gaps: of `sluguq.analysis.fairness.gaps`.
    """
    title = "Error by group and configuration"
    groups = groups_of(dataset)
    frame = per_image(dataset, ["mse"])
    names = [group for group in groups if (frame["group"] == group).any()]
    frame = frame[frame["group"].isin(names)]
    if frame.empty:
        return empty(title, "no image of a group has scores", dataset), frame
    colours, configurations = group_colours(groups), list(dict.fromkeys(frame["configuration"]))
    fig = figure(width=5.6, height=3.4)
    axes = fig.subplots()
    box_plots(axes, frame, "mse", "group", names, colours, configurations)
    seeds = sorted(frame["seed"].unique())
    medians = frame.groupby(["configuration", "group", "seed"])["mse"].median().reset_index()
    step = 0.8 / len(names)
    for row in medians.to_dict("records"):
        place = float(configurations.index(row["configuration"]))
        place += (names.index(row["group"]) - (len(names) - 1) / 2) * step
        place += 0.5 * step * ((seeds.index(row["seed"]) + 0.5) / len(seeds) - 0.5)
        axes.plot(place, row["mse"], "o", ms=2.6, mfc="white", mec=EDGE, mew=0.6, zorder=5)
    if is_wide(frame["mse"].to_numpy(float), 8):
        logarithmic(axes)
    axes.set_ylabel("mean squared error" + (", log scale" if axes.get_yscale() == "log" else ""))
    mixes = mixes_of(dataset)
    axes.set_xticks(range(len(configurations)), [_trained_on(name, mixes.get(name, {})) for name in configurations])
    axes.set_xlabel("configuration" + (", with its training images" if mixes else ""))
    ratios = gaps[(gaps["variable"] == "mse") & (gaps["measure"] == "log_ratio")]
    for place, configuration in enumerate(configurations):
        lines = [
            _ratio(row, len(names) > 2) for row in ratios[ratios["configuration"] == configuration].to_dict("records")
        ]
        axes.annotate(
            "\n".join(lines), (place, 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", va="bottom", fontsize=7.5,
        )  # fmt: skip
    handles = [Patch(facecolor=colours[g], edgecolor=EDGE, label=group_label(g, groups)) for g in names]
    counts = frame.groupby(["group", "configuration", "seed"]).size()
    note = (
        f"n = {span(counts)} images per group and seed, {plural(len(seeds), 'seed')}. Boxes: quartiles and median, "
        "whiskers to the 5th and 95th percentile; white points: the median of each seed."
    )
    if len(ratios):
        note += (
            f" Above: the mean error as a multiple of that of {ratios['reference'].iloc[0]}, with its 95 % interval."
        )
    return finish(fig, title, note, dataset, handles=handles, columns=4), frame[
        ["configuration", "seed", "id", "group", "fst", "mse"]
    ]


def _trained_on(configuration: str, mix: dict[str, float]) -> str:
    shares = [f"{100 * share:.0f} % {group}" for group, share in mix.items() if share]
    if len(shares) == 1:
        shares = [f"{next(group for group, share in mix.items() if share)} only"]
    return "\n".join([configuration, ", ".join(shares)]) if shares else configuration


def _ratio(row: dict, named: bool) -> str:
    value, low, high = (significant(float(np.exp(row[name]))) for name in ("value", "low", "high"))
    return (f"{row['group']} " if named else "") + f"{value}× [{low}, {high}]"


def slug_knows(dataset: xr.Dataset, signals: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """SLUG against the error as percentiles of each network, and how much of the worst tenth each signal catches.

    The table has the points: configuration, seed, id, group, mse_percentile, slug_percentile.

    :param dataset: an opened aggregated store.
    :param signals: of `sluguq.analysis.signals.compare_signals`.
    """
    title = "SLUG against the error, and the worst errors it catches"
    frame = _places(dataset)
    if frame.empty or signals.empty:
        return empty(title, "no image has scores", dataset), frame
    name = str(dataset["configuration"].values[middle_configuration(dataset)])
    shares = signals[(signals["test"] == "caught") & (signals["among"] == "all")]
    # Names of two lines stand one below the other.
    fig = figure(height=max(3.3, 1.4 + 0.34 * shares["signal"].nunique()))
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.15))
    handles = _scatter(left, frame[frame["configuration"] == name], dataset)
    left.set_title(f"under {name}", fontsize=8.5)
    handles += _caught(right, shares, dataset)
    counts = frame.groupby(["configuration", "seed"]).size()
    note = (
        f"n = {span(counts)} images per seed, {plural(frame['seed'].nunique(), 'seed')}. Left: percentiles among the "
        "test images of the same network, so that networks compare; marks: seeds; shaded: the tenth with the highest "
        "SLUG, darker where it is among the worst tenth of errors. Right: the share of the worst tenth of errors that "
        "is among the tenth with the highest signal; dashed: by chance; intervals at 95 % over seeds and patients."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=6), frame


def _places(dataset: xr.Dataset) -> pd.DataFrame:
    """Percentiles of error and SLUG among the test images of the same network."""
    columns = {}
    for name in ("mse", "slug"):
        values = percentiles_by_model(dataset, dataset, name)
        columns[f"{name}_percentile"] = (("configuration", "seed", "image"), values)
    frame = per_image(dataset.assign(columns), list(columns))
    return frame[["configuration", "seed", "id", "group", *columns]]


def _scatter(axes: Axes, frame: pd.DataFrame, dataset: xr.Dataset) -> list[Line2D]:
    """Colours are groups, marks are seeds."""
    groups = groups_of(dataset)
    colours = {**group_colours(groups), "": UNLABELLED}
    seeds = sorted(frame["seed"].unique())
    axes.add_patch(Rectangle((0, _WORST), 100, 100 - _WORST, color=ACCENT, alpha=0.12, lw=0))
    axes.add_patch(Rectangle((_WORST, _WORST), 100 - _WORST, 100 - _WORST, color=ACCENT, alpha=0.25, lw=0))
    for group, seed in itertools.product(colours, seeds):
        part = frame[(frame["group"] == group) & (frame["seed"] == seed)]
        marker = marker_of(seeds.index(seed))
        axes.plot(
            part["mse_percentile"], part["slug_percentile"], marker, ms=2.8, mfc=colours[group], mec=EDGE, mew=0.25,
            alpha=0.8, rasterized=len(frame) > 500,
        )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.set_xlabel("percentile of the error")
    axes.set_ylabel("percentile of SLUG")
    present = [g for g in (*groups, "") if (frame["group"] == g).any()]
    return [
        Line2D([], [], ls="", marker="o", ms=4.5, mfc=colours[g], mec=EDGE, mew=0.4, label=g or "in no group")
        for g in present
    ]


def _caught(axes: Axes, table: pd.DataFrame, dataset: xr.Dataset) -> list[Line2D]:
    names = signals_in(table["signal"].unique())
    configurations = list(dict.fromkeys(table["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    for row in table.to_dict("records"):
        j = configurations.index(row["configuration"])
        place = names.index(row["signal"]) + beside(j, len(configurations), 0.6)
        marker = marker_of(j)
        interval(axes, row, place, colours[row["configuration"]], marker, along=True, scale=percent)
    axes.axvline(100 - _WORST, color=EDGE, lw=0.8, ls="--")
    axes.set_xlim(-2, 102)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [name_of(name) for name in names])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("worst tenth of errors caught (%)")
    return legend_of(configurations, colours)
