"""How SLUG depends on what was chosen for it: rank, probes, training images, image size, prior precision, seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sluguq.analysis.sensitivity import COLUMNS
from sluguq.figures.marks import interval
from sluguq.figures.style import (
    EDGE,
    configuration_colours,
    empty,
    figure,
    finish,
    is_wide,
    legend_of,
    marker_of,
)
from sluguq.figures.words import plural, span

SETTINGS = {
    "rank": "rank k",
    "probes": "probes",
    "prior_precision": "prior precision",
    "training_images": "training images",
    "image_size": "image size (pixels)",
    "seed": "seed",
}
MEASURES = {
    "spearman": "rank correlation\nwith the error",
    "agreement": "rank correlation with\nthe reference's SLUG",
    "level": "mean SLUG over\nthe reference's",
    "relative_sem": "standard error\nover SLUG",
}


def sensitivity(table: pd.DataFrame, dataset: xr.Dataset | None = None) -> tuple[Figure, pd.DataFrame]:
    """One line a setting, one column a measure: how the measure changes as one setting does and the rest stay.

    :param table: of `sluguq.analysis.sensitivity.sensitivity_table`, with the columns setting (of `SETTINGS`), value
        (of the setting), reference (whether that is the experiment's own), measure (of `MEASURES`), result, low, high,
        configuration, seed (-1 for the mean over seeds), and images (how many a seed rests on). It is the table behind
        the figure too.
    :param dataset: a store of the same experiment, for the mark of synthetic data.
    :raises ValueError: where a column is missing.
    """
    title = "How sure is the score?"
    missing = set(COLUMNS) - set(table.columns)
    if missing:
        raise ValueError(f"the table of sensitivity lacks the columns {', '.join(sorted(missing))}")
    if table.empty:
        return empty(title, "nothing was measured", dataset), table
    settings = [s for s in SETTINGS if (table["setting"] == s).any()]
    configurations = list(dict.fromkeys(table["configuration"].astype(str)))
    if dataset is not None:
        # The experiment's order, and so its colours.
        configurations.sort(key=list(dataset["configuration"].values.astype(str)).index)
    colours = configuration_colours(configurations)
    fig = figure(height=1.42 * len(settings) + 1.25)
    grid = fig.subplots(len(settings), len(MEASURES), squeeze=False)
    for line, setting in zip(grid, settings, strict=True):
        for axes, measure in zip(line, MEASURES, strict=True):
            part = table[(table["measure"] == measure) & (table["setting"] == setting)]
            _panel(axes, part, table[table["setting"] == setting], colours)
            reach = part[["result", "low", "high"]].to_numpy(float)
            if measure in ("spearman", "agreement"):
                axes.set_ylim(min(0.0, float(np.nanmin(reach, initial=0.0))) - 0.04, 1.04)
            elif is_wide(reach.ravel(), 8):
                axes.set_yscale("log")
            elif len(part):
                axes.set_ylim(0, 1.1 * float(np.nanmax(reach)))
            if setting == settings[0]:
                axes.set_title(MEASURES[measure], fontsize=7.5)
            axes.set_xlabel(SETTINGS[setting])
    handles = legend_of(configurations, colours, size=3)
    seeds = plural(len(set(table["seed"]) - {-1}), "seed")
    note = (
        f"n = {span(table['images'])} images per seed, {seeds}: thin lines single seeds, markers their mean, with 95 % "
        "intervals over images (and over seeds, where several were varied). One setting changes, the others stay as "
        "the experiment has them; dotted: the experiment's own value, the reference (of seeds, the first). Probes are "
        "drawn anew for each number of them."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=8), table


def _panel(axes: Axes, part: pd.DataFrame, of_setting: pd.DataFrame, colours: dict[str, str]) -> None:
    """Values stand side by side at equal distances, whatever their scale."""
    values = np.sort(of_setting["value"].unique())
    place = {value: i for i, value in enumerate(values)}
    is_line = (of_setting["setting"] != "seed").all()
    for own in of_setting.loc[of_setting["reference"].astype(bool), "value"].unique():
        axes.axvline(place[own], color=EDGE, lw=0.8, ls=":")
    for j, (configuration, colour) in enumerate(colours.items()):
        mine = part[part["configuration"].astype(str) == configuration].sort_values("value")
        single, means = mine[mine["seed"] >= 0], mine[mine["seed"] == -1]
        if is_line and single["seed"].nunique() > 1:
            for _, one in single.groupby("seed"):
                axes.plot(one["value"].map(place), one["result"], color=colour, lw=0.5, alpha=0.5)
        # Intervals of the configurations stand side by side.
        at = means["value"].map(place) + 0.12 * (j - (len(colours) - 1) / 2)
        if is_line:
            axes.plot(at, means["result"], color=colour, lw=1.1)
        rows = means.rename(columns={"value": "setting_value", "result": "value"}).to_dict("records")
        for at_row, row in zip(at, rows, strict=True):
            interval(axes, row, at_row, colour, marker_of(j), line=0.9, size=3)
    if part.empty:
        axes.text(0.5, 0.5, "too few images", transform=axes.transAxes, ha="center", va="center", fontsize=7)
    many = len(values) > 5
    axes.set_xticks(range(len(values)), [f"{v:g}" for v in values], rotation=60 if many else 0)
    axes.set_xlim(-0.4, len(values) - 0.6)
    axes.grid(axis="x", visible=False)
