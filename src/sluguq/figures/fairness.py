"""Gaps between groups with intervals, and who is flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.fairness import SHARE
from sluguq.figures.marks import beside, interval
from sluguq.figures.style import (
    EDGE,
    WHISKER,
    configuration_colours,
    empty,
    figure,
    finish,
    group_colours,
    legend_of,
    marker_of,
    ratio_axis,
)
from sluguq.figures.words import group_label, images_and_seeds

_NAMES = {"mse": "mean squared error", "latent_std": "latent standard deviation", "slug": "SLUG"}
_FEW = "fewer than two groups have scores"


def group_gaps(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Each group against the lightest: ratio of means and Cliff's delta, with intervals.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.fairness.gaps`.
    """
    title = "Gaps between groups"
    if table.empty:
        return empty(title, _FEW, dataset), table
    variables = list(dict.fromkeys(table["variable"]))
    configurations = list(dict.fromkeys(table["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    groups = groups_of(dataset)
    reference = table["reference"].iloc[0]
    others = list(dict.fromkeys(table["group"]))
    lines = [(v, g) for v in variables for g in others]
    fig = figure(height=0.42 * len(lines) + 1.55)
    panels = fig.subplots(1, 2, sharey=True)
    for axes, measure in zip(panels, ("log_ratio", "cliffs_delta"), strict=True):
        for i, (variable, group) in enumerate(lines):
            for j, configuration in enumerate(configurations):
                row = table[
                    (table["variable"] == variable)
                    & (table["group"] == group)
                    & (table["configuration"] == configuration)
                    & (table["measure"] == measure)
                ].iloc[0]
                place = i + beside(j, len(configurations), 0.6)
                colour, scale = colours[configuration], np.exp if measure == "log_ratio" else float
                interval(axes, row, place, colour, marker_of(j), along=True, scale=scale)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    # The axis is as wide as the estimates need: an interval of two seeds may run out of it on either side.
    ratios = table.loc[table["measure"] == "log_ratio", "value"].to_numpy(float)
    ratio_axis(panels[0], "x", ratios, margin=1.7)
    panels[1].axvline(0, color=EDGE, lw=0.7)
    panels[0].set_title("ratio of means")
    panels[1].set_title("Cliff's delta")
    panels[1].set_xlim(-1.04, 1.04)
    many = len(others) > 1
    panels[0].set_yticks(range(len(lines)), [_NAMES[v] + (f"\n{g}" if many else "") for v, g in lines])
    whom = "each group" if many else group_label(others[0], groups)
    handles = legend_of(configurations, colours)
    note = (
        f"{whom} against {group_label(reference, groups)}. n = {images_and_seeds(table)}; intervals at 95 % over "
        "seeds and patients. Cliff's delta: 0 where the groups do not differ, 1 where every image of the one is above "
        "every image of the other."
    )
    finish(fig, title, note, dataset, handles=handles, columns=8)
    return fig, table


def flagged(dataset: xr.Dataset, table: pd.DataFrame, share: float = SHARE) -> tuple[Figure, pd.DataFrame]:
    """When the tenth of images with the highest SLUG is flagged: whose they are, and which errors they catch.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.fairness.flagging`.
    :param share: of the images that is flagged, as in the table.
    """
    title = f"Who is flagged when {100 * share:.0f} % of the images are"
    if table.empty:
        return empty(title, "no image of a group has scores", dataset), table
    groups = groups_of(dataset)
    colours = group_colours(groups)
    names = [g for g in groups if (table["group"] == g).any()]
    configurations = list(dict.fromkeys(table["configuration"]))
    panels_of = {
        "flagged": "share of the group\nthat is flagged",
        "worst": f"share of the group among\nthe worst {100 * share:.0f} % of errors",
        "caught": "share of its worst errors\nthat is flagged",
    }
    fig = figure(height=2.9)
    for axes, (measure, heading) in zip(fig.subplots(1, 3), panels_of.items(), strict=True):
        step = 0.8 / len(names)
        for j, group in enumerate(names):
            part = table[(table["measure"] == measure) & (table["group"] == group)].set_index("configuration")
            for i, configuration in enumerate(configurations):
                row = part.loc[configuration]
                place = i + (j - (len(names) - 1) / 2) * step
                if not np.isfinite(row["value"]):
                    axes.text(place, 1.0, "–", ha="center", va="bottom", fontsize=8)
                    continue
                axes.bar(place, 100 * row["value"], 0.86 * step, color=colours[group], edgecolor=EDGE, linewidth=0.6)
                if row["value"] == 0:
                    axes.plot(place, 0, "_", ms=9, mew=2, color=EDGE, clip_on=False, zorder=4)
                if np.isfinite(row["low"]):
                    axes.vlines(place, 100 * row["low"], 100 * row["high"], color=WHISKER, lw=1.6)
        if measure != "caught":
            axes.axhline(100 * share, color=EDGE, lw=0.8, ls="--")
        axes.set_title(heading, fontsize=7.8)
        axes.set_xticks(range(len(configurations)), configurations)
        axes.set_xlim(-0.55, len(configurations) - 0.45)
        axes.set_xlabel("configuration")
        axes.set_ylim(0, None)
        axes.grid(axis="x", visible=False)
    fig.axes[0].set_ylabel("%")
    handles = [Patch(facecolor=colours[g], edgecolor=EDGE, label=group_label(g, groups)) for g in names]
    note = (
        f"n = {images_and_seeds(table)}; intervals at 95 % over seeds and patients. Dashed: "
        f"{100 * share:.0f} %, what each group would have if groups did not differ. Thresholds are over the test "
        "images of all groups of a seed. –: no image of the group is among the worst."
    )
    finish(fig, title, note, dataset, handles=handles, columns=4)
    return fig, table
