"""Does the gap hang on who labelled?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.annotations import ANNOTATIONS
from sluguq.figures.marks import interval
from sluguq.figures.style import EDGE, MARKERS, configuration_colours, empty, figure, finish
from sluguq.figures.words import group_label, plural, span, times

_SHOWN = {"mse": "mean squared error", "slug": "SLUG"}
_TICKS = {
    "labels": "labels of\nthe groups",
    "other labels": "other\nannotation",
    "both labels": "both, where\nthey agree",
    "measured tone": "measured\ntone",
}


def whose_labels(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The darkest group against the lightest by who says what an image's skin is, as a ratio and as a correlation.

    The table is that of `sluguq.analysis.annotations.gaps_by_annotation`.
    """
    title = "Does the gap hang on who labelled?"
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
                place = annotations.index(row["by"]) + 0.55 * ((j + 0.5) / len(configurations) - 0.5)
                scale = np.exp if measure == "log_ratio" else float
                interval(axes, row, place, colours[row["configuration"]], MARKERS[j % len(MARKERS)], scale=scale)
            (_ratios if measure == "log_ratio" else _correlations)(axes, rows)
            axes.set_xticks(range(len(annotations)), [_TICKS[by] for by in annotations], fontsize=6.6)
            axes.set_xlim(-0.5, len(annotations) - 0.5)
            axes.grid(axis="x", visible=False)
        line[0].set_ylabel(f"{_SHOWN[variable]},\nratio of means")
        line[1].set_ylabel("rank correlation\nwith darkness")
    handles = [
        Line2D([], [], color=colours[c], marker=MARKERS[j % len(MARKERS)], ms=3.6, label=c)
        for j, c in enumerate(configurations)
    ]
    names = list(groups)
    dark, light = (group_label(name, groups) for name in (names[-1], names[0]))
    ratios = table[table["measure"] == "log_ratio"]
    counts = [span(ratios.loc[ratios["by"] == by, "images"]) for by in annotations]
    words_of = [_TICKS[by].replace("\n", " ") for by in annotations]
    note = (
        f"Left: {dark} over {light}; of measured tone, the darkest third of a seed's test images over the lightest. "
        "Right: with the skin type, or with the measured angle (ITA) turned round. "
        f"n = {counts[0]} images a seed by {words_of[0]}"
        + "".join(f", {count} by {words}" for count, words in zip(counts[1:], words_of[1:], strict=True))
        + f"; {plural(int(table['seeds'].max()), 'seed')}; intervals at 95 % over seeds and patients. The angle "
        "depends on light and camera, not on skin alone."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=8), table


def _ratios(axes: Axes, rows: pd.DataFrame) -> None:
    values = rows["value"].to_numpy(float) / np.log(2)
    reach = float(np.clip(1.6 * np.nanmax(np.abs(values), initial=0.0), 0.6, 12.0))
    axes.set_yscale("log", base=2)
    axes.set_ylim(2**-reach, 2**reach)
    step = 0.5 if reach < 1.5 else max(int(np.ceil(reach / 3)), 1)
    powers = np.arange(-step * int(reach // step), reach + 0.01, step)
    axes.set_yticks(2.0**powers, [times(2.0**p) for p in powers])
    axes.axhline(1, color=EDGE, lw=0.7)


def _correlations(axes: Axes, rows: pd.DataFrame) -> None:
    ends = rows[["low", "high"]].to_numpy(float)
    reach = min(max(0.3, 1.1 * float(np.nanmax(np.abs(ends), initial=0.0))), 1.0)
    axes.set_ylim(-reach, reach)
    axes.axhline(0, color=EDGE, lw=0.7)
