"""Does the gap depend on who labelled?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.annotations import ANNOTATIONS
from sluguq.figures.marks import beside, interval
from sluguq.figures.style import (
    EDGE,
    configuration_colours,
    empty,
    figure,
    finish,
    legend_of,
    marker_of,
    ratio_axis,
)
from sluguq.figures.words import group_label, plural, span

_SHOWN = {"mse": "mean squared error", "slug": "SLUG"}
_TICKS = {
    "labels": "labels of\nthe groups",
    "other labels": "other\nannotation",
    "both labels": "both, where\nthey agree",
    "measured tone": "measured\ntone",
}


def whose_labels(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The darkest group against the lightest by who says what an image's skin is, as a ratio and as a correlation.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.annotations.gaps_by_annotation`.
    """
    title = "Does the gap depend on who labelled?"
    groups = groups_of(dataset)
    if table.empty or len(set(table["by"])) < 2:
        return empty(title, "there is one annotation alone, and no pixels to measure", dataset), table
    annotations = [by for by in ANNOTATIONS if (table["by"] == by).any()]
    configurations = list(dict.fromkeys(table["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    variables = [name for name in _SHOWN if (table["variable"] == name).any()]
    fig = figure(height=1.55 * len(variables) + 1.5)
    grid = fig.subplots(len(variables), 2, squeeze=False, sharex=True)
    for line, variable in zip(grid, variables, strict=True):
        for axes, measure in zip(line, ("log_ratio", "spearman"), strict=True):
            rows = table[(table["variable"] == variable) & (table["measure"] == measure)]
            for row in rows.to_dict("records"):
                j = configurations.index(row["configuration"])
                place = annotations.index(row["by"]) + beside(j, len(configurations), 0.55)
                scale = np.exp if measure == "log_ratio" else float
                interval(axes, row, place, colours[row["configuration"]], marker_of(j), scale=scale)
            if measure == "log_ratio":
                ratio_axis(axes, "y", rows["value"].to_numpy(float), margin=1.6, least=0.6, finest=0.5)
            else:
                _correlations(axes, rows)
            axes.set_xticks(range(len(annotations)), [_TICKS[by] for by in annotations], fontsize=6.6)
            axes.set_xlim(-0.5, len(annotations) - 0.5)
            axes.grid(axis="x", visible=False)
        line[0].set_ylabel(f"{_SHOWN[variable]},\nratio of means")
        line[1].set_ylabel("rank correlation\nwith darkness")
    handles = legend_of(configurations, colours)
    names = list(groups)
    dark, light = (group_label(name, groups) for name in (names[-1], names[0]))
    ratios = table[table["measure"] == "log_ratio"]
    counts = [span(ratios.loc[ratios["by"] == by, "images"]) for by in annotations]
    words_of = [_TICKS[by].replace("\n", " ") for by in annotations]
    note = (
        f"Left: {dark} over {light}; of measured tone, the darkest third of a seed's test images over the lightest. "
        "Right: with the skin type, or with the measured angle (ITA) turned round. "
        f"n = {counts[0]} images per seed by {words_of[0]}"
        + "".join(f", {count} by {words}" for count, words in zip(counts[1:], words_of[1:], strict=True))
        + f"; {plural(int(table['seeds'].max()), 'seed')}; intervals at 95 % over seeds and patients. The angle "
        "depends on light and camera, not on skin alone."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=8), table


def _correlations(axes: Axes, rows: pd.DataFrame) -> None:
    ends = rows[["low", "high"]].to_numpy(float)
    reach = min(max(0.3, 1.1 * float(np.nanmax(np.abs(ends), initial=0.0))), 1.0)
    axes.set_ylim(-reach, reach)
    axes.axhline(0, color=EDGE, lw=0.7)
