"""SLUG beside cheaper signals: how well each ranks with the error, and what SLUG adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.figures.style import MARKERS, configuration_colours, empty, figure, finish, plural, span
from sluguq.signals import FEWEST, compare_signals
from sluguq.tables import SIGNALS

_TESTS = {
    "spearman": "rank correlation\nwith the error",
    "auroc_worst": "AUROC of the worst\ntenth of errors",
    "partial": "SLUG's rank correlation\nwith this held constant",
    "partial_reverse": "its rank correlation\nwith SLUG held constant",
}


def signals(dataset: xr.Dataset) -> tuple[Figure, pd.DataFrame]:
    """Each signal's rank correlation with the error, detection of the worst errors, and partial correlations.

    The table is that of `sluguq.signals.compare_signals`.
    """
    title = "SLUG beside cheaper signals"
    table = compare_signals(dataset)
    if table.empty:
        return empty(title, "no image has scores", dataset), table
    names = [name for name in SIGNALS if (table["signal"] == name).any()]
    configurations = list(dict.fromkeys(table["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    fig = figure(height=0.32 * len(names) + 1.5)
    panels = fig.subplots(1, len(_TESTS), sharey=True)
    for axes, (test, heading) in zip(panels, _TESTS.items(), strict=True):
        for j, configuration in enumerate(configurations):
            part = table[(table["test"] == test) & (table["configuration"] == configuration)].set_index("signal")
            for i, name in enumerate(names):
                if name not in part.index:
                    continue
                row = part.loc[name]
                place = i + 0.55 * ((j + 0.5) / len(configurations) - 0.5)
                axes.hlines(place, row["low"], row["high"], color=colours[configuration], lw=1.1)
                axes.plot(row["value"], place, MARKERS[j % len(MARKERS)], ms=3.4, color=colours[configuration])
        axes.axvline(0.5 if test == "auroc_worst" else 0.0, color="#33383d", lw=0.7)
        axes.set_title(heading, fontsize=7.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        low = np.nanmin(np.r_[table.loc[table["test"] == test, "low"], 0.45])
        axes.set_xlim(max(-1.05, low - 0.05), 1.05)
        axes.set_xticks([t for t in (-1, -0.5, 0, 0.5, 1) if t >= axes.get_xlim()[0]])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    panels[0].set_yticks(range(len(names)), [SIGNALS[name].replace(" over ", "\nover ") for name in names])
    left_out = [SIGNALS[n] for n in SIGNALS if n in dataset and n not in names]
    handles = [
        Line2D([], [], color=colours[c], marker=MARKERS[j % len(MARKERS)], ms=3.4, label=c)
        for j, c in enumerate(configurations)
    ]
    note = (
        f"n = {span(table['images'])} images, {plural(int(table['seeds'].max()), 'seed')}; intervals at 95 % over "
        "seeds and patients. In SLUG's own row of the third panel all other signals are held constant."
    )
    if left_out:
        note += f" Fewer than {FEWEST} test images of a seed have {' and '.join(left_out)}, so it is left out."
    finish(fig, title, note, dataset, handles=handles, columns=8)
    return fig, table
