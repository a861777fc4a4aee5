"""How SLUG goes with the error: scatter, and correlations seed by seed."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.tables import per_image
from sluguq.figures.marks import interval
from sluguq.figures.style import (
    EDGE,
    MARKERS,
    UNLABELLED,
    WIDTH,
    configuration_colours,
    empty,
    figure,
    finish,
    group_colours,
    is_wide,
    logarithmic,
    marker_of,
)
from sluguq.figures.words import decimal, group_label, plural, span

POINTS = 3000
"""At most this many points are drawn in one panel; the numbers are of all."""


def slug_against_mse(dataset: xr.Dataset, correlations: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """SLUG against the error of every test image, a panel a configuration, with both correlations; marks are seeds.

    The table has the points: configuration, seed, id, group, fst, mse, slug.

    :param dataset: an opened aggregated store.
    :param correlations: of `sluguq.analysis.association.correlations`.
    """
    title = "SLUG against reconstruction error"
    frame = per_image(dataset, ["mse", "slug"])
    if frame.empty:
        return empty(title, "no image has scores", dataset), frame
    groups = groups_of(dataset)
    colours = {**group_colours(groups), "": UNLABELLED}
    names = {**{g: group_label(g, groups) for g in groups}, "": "in no group"}
    present = [g for g in (*groups, "") if (frame["group"] == g).any()]
    configurations = list(dict.fromkeys(frame["configuration"]))
    seeds = sorted(frame["seed"].unique())
    across = min(len(configurations), 3)
    down = -(-len(configurations) // across)
    fig = figure(width=WIDTH if across > 1 else 4.2, height=2.35 * down + 0.95)
    grid = fig.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, configuration in zip(grid.ravel(), configurations, strict=False):
        part = frame[frame["configuration"] == configuration]
        points = part if len(part) <= POINTS else part.sample(POINTS, random_state=0)
        for group, (number, seed) in itertools.product(present, enumerate(seeds)):
            some = points[(points["group"] == group) & (points["seed"] == seed)]
            axes.plot(
                some["mse"],
                some["slug"],
                marker_of(number),
                ms=2.8,
                mfc=colours[group],
                mec=EDGE,
                mew=0.2,
                alpha=0.75,
                rasterized=len(points) > 500,
            )
        axes.set_title(f"{configuration}\n{_summary(correlations, configuration)}", fontsize=7.8)
    for axes in grid.ravel()[len(configurations) :]:
        axes.set_visible(False)
    positive = bool((frame[["mse", "slug"]].min() > 0).all())
    log = positive and any(is_wide(frame[name].to_numpy(), 8) for name in ("mse", "slug"))
    if log:
        logarithmic(grid[0, 0], "x")
        logarithmic(grid[0, 0], "y")
    for axes in grid[:, 0]:
        axes.set_ylabel("SLUG (squared intensity)" + (",\nlog scale" if log else ""))
    for column in range(across):
        lowest = [axes for axes in grid[:, column] if axes.get_visible()][-1]
        lowest.set_xlabel("mean squared error" + (", log scale" if log else ""))
        lowest.xaxis.set_tick_params(labelbottom=True)
    handles = [
        Line2D(
            [],
            [],
            ls="",
            marker="o",
            ms=4,
            mfc=colours[g],
            mec=EDGE,
            mew=0.4,
            label=names[g],
        )
        for g in present
    ]
    if len(seeds) > 1:
        handles += [
            Line2D([], [], ls="", marker=marker_of(i), ms=4, mfc="white", mec=EDGE, label=f"seed {s}")
            for i, s in enumerate(seeds[: len(MARKERS)])
        ]
    counts = frame.groupby(["configuration", "seed"]).size()
    note = (
        f"n = {span(counts)} images per seed, {plural(frame['seed'].nunique(), 'seed')} in one panel. "
        "Each seed is a network of its own, and SLUG's level differs between networks. Correlations: mean over seeds "
        "with 95 % interval over seeds and patients."
    )
    if counts.groupby("configuration").sum().max() > POINTS:
        note += f" Drawn: {POINTS:,} points chosen at random."
    finish(fig, title, note, dataset, handles=handles, columns=6)
    return fig, frame[["configuration", "seed", "id", "group", "fst", "mse", "slug"]]


def _summary(measured: pd.DataFrame, configuration: str) -> str:
    lines = []
    for kind, name in (("spearman", "rank"), ("pearson", "linear")):
        rows = measured[
            (measured["configuration"] == configuration) & (measured["kind"] == kind) & (measured["seed"] == -1)
        ]
        value, low, high = rows[["value", "low", "high"]].to_numpy()[0]
        lines.append(f"{name} {decimal(value)} [{decimal(low)}, {decimal(high)}]")
    return "\n".join(lines)


def correlation_by_seed(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Rank and linear correlation of SLUG with the error in every seed, with intervals.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.association.correlations`.
    """
    title = "Correlation of SLUG with the error, seed by seed"
    if table.empty:
        return empty(title, "no image has scores", dataset), table
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    fig = figure(height=2.7)
    panels = fig.subplots(1, 2, sharey=True)
    for axes, kind, name in zip(panels, ("spearman", "pearson"), ("rank (Spearman)", "linear (Pearson)"), strict=True):
        _seed_panel(axes, table[table["kind"] == kind], colours)
        axes.set_title(name)
    panels[0].set_ylabel("correlation with the error")
    note = (
        f"n = {span(table.loc[table['seed'] >= 0, 'images'])} images per seed, "
        f"{plural(int(table['seeds'].max()), 'seed')}. Thin: one seed, interval over its patients. Thick: "
        "mean over seeds, interval over seeds and patients. All at 95 %."
    )
    return finish(fig, title, note, dataset), table


def _seed_panel(axes: Axes, table: pd.DataFrame, colours: dict[str, str]) -> None:
    configurations = list(dict.fromkeys(table["configuration"]))
    for i, configuration in enumerate(configurations):
        part = table[table["configuration"] == configuration]
        single = part[part["seed"] >= 0]
        places = i - 0.3 + 0.48 * (np.arange(len(single)) + 0.5) / max(len(single), 1)
        for place, row in zip(places, single.to_dict("records"), strict=True):
            interval(axes, row, place, colours[configuration], "o", line=0.7, size=2.4)
        whole = part[part["seed"] == -1].iloc[0]
        interval(axes, whole, i + 0.32, colours[configuration], "D", line=2.4, size=4.5, mec="white", mew=0.6)
    axes.axhline(0, color=EDGE, lw=0.7)
    axes.set_xticks(range(len(configurations)), configurations)
    axes.set_xlim(-0.5, len(configurations) - 0.5)
    axes.set_xlabel("configuration")
    axes.grid(axis="x", visible=False)
    axes.set_ylim(max(-1.02, min(-0.05, table["low"].min() - 0.05)), 1.02)
