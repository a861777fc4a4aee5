"""Fairness beyond means: the upper end of every group, and gaps among images of one condition or body site."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.fairness import FEWEST, QUANTILES
from sluguq.figures.marks import beside, interval
from sluguq.figures.style import (
    EDGE,
    configuration_colours,
    empty,
    figure,
    finish,
    group_colours,
    is_wide,
    legend_of,
    logarithmic,
    marker_of,
    ratio_axis,
)
from sluguq.figures.words import group_label, number, plural, span

_SHOWN = {"mse": "mean squared error", "slug": "SLUG"}
BEYOND = 2
"""A quantile is drawn where at least so many images of a group lie beyond it in every seed; the table has all."""

LEVELS = 6
"""Levels of a label in the figure, those with the most images of the smaller group; the table has all."""


def levels_by_group(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Mean, median and upper quantiles of error and SLUG of every group, by configuration; the worst group is ringed.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.fairness.levels`.
    """
    title = "Mean and worst cases of each group"
    if table.empty:
        return empty(title, "no image of a group has scores", dataset), table
    groups = groups_of(dataset)
    names = [g for g in groups if (table["group"] == g).any()]
    colours = group_colours(groups)
    configurations = list(dict.fromkeys(table["configuration"]))
    variables = [v for v in _SHOWN if (table["variable"] == v).any()]
    fewest = int(table["images"].min())
    shown_quantiles = [q for q in QUANTILES if fewest * (1 - q) >= BEYOND]
    measures = {"mean": "mean"} | {f"q{100 * q:.0f}": f"{100 * q:.0f} %" for q in shown_quantiles}
    fig = figure(height=1.75 * len(variables) + 1.3)
    grid = fig.subplots(len(variables), len(configurations), squeeze=False, sharex=True, sharey="row")
    for line, variable in zip(grid, variables, strict=True):
        for axes, configuration in zip(line, configurations, strict=True):
            part = table[(table["variable"] == variable) & (table["configuration"] == configuration)]
            for row in part[part["measure"].isin(measures)].to_dict("records"):
                j = names.index(row["group"])
                place = list(measures).index(row["measure"]) + beside(j, len(names), 0.55)
                interval(
                    axes, row, place, colours[row["group"]], marker_of(j),
                    line=0.8, line_colour=EDGE, size=4.2, mec=EDGE, mew=0.5,
                )  # fmt: skip
                if row["worst"] and len(names) > 1:
                    axes.plot(place, row["value"], "o", ms=8.5, mfc="none", mec=EDGE, mew=0.7)
            if variable == variables[0]:
                axes.set_title(configuration)
            axes.set_xticks(range(len(measures)), measures.values(), fontsize=6.8)
            axes.set_xlim(-0.5, len(measures) - 0.5)
            axes.grid(axis="x", visible=False)
        values = table.loc[table["variable"] == variable, "value"].to_numpy(float)
        if is_wide(values, 8):
            logarithmic(line[0])
        else:
            line[0].set_ylim(bottom=0)
        log = line[0].get_yscale() == "log"
        line[0].set_ylabel(_SHOWN[variable] + (", log scale" if log else ""))
        if not log:
            line[0].yaxis.set_major_formatter(lambda value, _: number(value))
    handles = [
        Line2D([], [], ls="", marker=marker_of(j), ms=4.2, mfc=colours[g], mec=EDGE, mew=0.5,
               label=group_label(g, groups))
        for j, g in enumerate(names)
    ]  # fmt: skip
    note = (
        f"n = {span(table['images'])} images per group and seed, {plural(int(table['seeds'].max()), 'seed')}; "
        "intervals at 95 % over seeds and patients. Along each panel: the mean, and the value that this share of the "
        "group's images stays below."
    )
    if len(names) > 1:
        note += " Ringed: the worst group, the one with the largest value."
    return finish(fig, title, note, dataset, handles=handles, columns=4), table


def gaps_within_labels(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The darkest group against the lightest, in error, among images of one condition or body site.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.fairness.gaps_within`, which has SLUG and the other groups too.
    """
    title = "Gaps within one condition or body site"
    if table.empty:
        reason = f"no label has a level with {FEWEST} images of each of two groups"
        return empty(title, reason, dataset), table
    groups = groups_of(dataset)
    group, reference = list(dict.fromkeys(table["group"]))[-1], table["reference"].iloc[0]
    gaps = table[(table["group"] == group) & (table["variable"] == "mse")]
    lines: list[tuple[str, str, str]] = []
    for label, part in gaps.groupby("label", sort=False):
        levels = part[part["measure"] == "within"].drop_duplicates("level").sort_values("smallest", ascending=False)
        if len(levels) > 1:
            # With one level both would repeat it.
            lines += [(label, "", "all"), (label, "", "adjusted")]
        lines += [(label, level, "within") for level in levels["level"].head(LEVELS)]
    configurations = list(dict.fromkeys(gaps["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    fig = figure(width=5.8, height=0.27 * len(lines) + 1.7)
    axes = fig.subplots()
    ticks = []
    for i, (label, level, measure) in enumerate(lines):
        match = (gaps["label"] == label) & (gaps["level"] == level) & (gaps["measure"] == measure)
        for j, configuration in enumerate(configurations):
            row = gaps[match & (gaps["configuration"] == configuration)].iloc[0]
            place = i + beside(j, len(configurations), 0.6)
            interval(axes, row, place, colours[configuration], marker_of(j), along=True, scale=np.exp)
        alone = [other for other, _, _ in lines].count(label) == 1
        level_name = f"{label.replace('_', ' ')}: “{level[:28]}”" if alone else f"“{level[:28]}”"
        name = {"all": f"{label.replace('_', ' ')}: all", "adjusted": "adjusted"}.get(measure, level_name)
        ticks.append(f"{name} ({row['smallest']})")
        if i and label != lines[i - 1][0]:
            axes.axhline(i - 0.5, color=EDGE, lw=0.7, ls=":")
    axes.set_yticks(range(len(lines)), ticks)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    ratio_axis(axes, "x", gaps["value"].to_numpy(float), margin=1.5, ticks=4)
    axes.set_xlabel("ratio of mean squared errors")
    handles = legend_of(configurations, colours)
    note = (
        f"{group_label(group, groups)} against {group_label(reference, groups)}, images with the "
        f"label: n = {span(gaps.loc[gaps['measure'] == 'all', 'images'])} images per seed, "
        f"{plural(int(gaps['seeds'].max()), 'seed')}; intervals at 95 % over seeds and patients. In brackets: "
        f"different images of the smaller group; levels with fewer than {FEWEST} are left out, and the {LEVELS} "
        "largest are shown. All: the plain gap of these images. Adjusted: the mean of the gaps within levels."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=8), table
