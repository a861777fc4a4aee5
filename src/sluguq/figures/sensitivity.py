"""How SLUG depends on what was chosen for it: rank, probes, training images, image size, prior precision."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.figures.style import MARKERS, configuration_colours, empty, figure, finish, plural, span

SETTINGS = {
    "rank": "rank k",
    "probes": "probes",
    "training_images": "training images",
    "prior_precision": "prior precision",
    "image_size": "image size (pixels)",
    "seed": "seed",
}
MEASURES = {
    "spearman": "rank correlation with the error",
    "agreement": "rank correlation with the reference score",
    "relative_error": "relative difference from the reference score",
}


def sensitivity(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """One panel a setting and measure: how the measure changes as one setting does and the rest stay.

    table: one row a measurement, with columns setting (of `SETTINGS`), value (of the setting), measure (of
    `MEASURES`), result, configuration, seed, and images (how many it rests on). The table behind the
    figure is the same, with the mean over seeds in `mean`. Raises ValueError where a column is missing.
    """
    title = "How sure is the score?"
    missing = {"setting", "value", "measure", "result", "configuration", "seed", "images"} - set(table.columns)
    if missing:
        raise ValueError(f"the table of sensitivity lacks the columns {', '.join(sorted(missing))}")
    if table.empty:
        return empty(title, "nothing was measured"), table
    settings = [s for s in SETTINGS if (table["setting"] == s).any()]
    measures = [m for m in MEASURES if (table["measure"] == m).any()]
    configurations = list(dict.fromkeys(table["configuration"].astype(str)))
    colours = configuration_colours(configurations)
    across = min(len(settings) * len(measures), 3)
    down = -(-len(settings) * len(measures) // across)
    fig = figure(height=1.85 * down + 0.95)
    grid = fig.subplots(down, across, squeeze=False).ravel()
    places = [(m, s) for m in measures for s in settings]
    for axes in grid[len(places) :]:
        axes.set_visible(False)
    for axes, (measure, setting) in zip(grid, places, strict=False):
        part = table[(table["measure"] == measure) & (table["setting"] == setting)]
        values = np.sort(part["value"].unique())
        for j, configuration in enumerate(configurations):
            own = part[part["configuration"].astype(str) == configuration]
            for _, one in own.groupby("seed"):
                line = one.sort_values("value")
                axes.plot(line["value"], line["result"], color=colours[configuration], lw=0.5, alpha=0.5)
            mean = own.groupby("value")["result"].mean()
            axes.plot(mean.index, mean, MARKERS[j % len(MARKERS)] + "-", ms=3, color=colours[configuration])
        if len(values) > 2 and values.min() >= 0 and values.max() > 8 * max(values[values > 0].min(), 1e-12):
            smallest = values[values > 0].min()
            if values.min() == 0:
                axes.set_xscale("symlog", linthresh=smallest)
            else:
                axes.set_xscale("log")
        axes.set_xticks(values, [f"{v:g}" for v in values], rotation=45 if len(values) > 4 else 0)
        axes.minorticks_off()
        axes.set_xlabel(SETTINGS[setting])
        axes.set_title(MEASURES[measure], fontsize=7.3)
        if measure == "relative_error":
            axes.set_ylim(bottom=0)
    handles = [
        Line2D([], [], color=colours[c], marker=MARKERS[j % len(MARKERS)], ms=3, label=c)
        for j, c in enumerate(configurations)
    ]
    note = (
        f"n = {span(table['images'])} images, {plural(table['seed'].nunique(), 'seed')}: thin lines single seeds, "
        "thick lines their mean. One setting changes, the others stay at the reference."
    )
    keys = ["setting", "value", "measure", "configuration"]
    table = table.assign(mean=table.groupby(keys)["result"].transform("mean"))
    return finish(fig, title, note, handles=handles, columns=8), table
