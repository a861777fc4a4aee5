"""SLUG beside cheaper signals: how well each ranks with the error, and what SLUG adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.figures.style import MARKERS, configuration_colours, empty, figure, finish, plural, span
from sluguq.signals import ENSEMBLE, FEWEST, compare_signals
from sluguq.tables import SIGNALS

_TESTS = {
    "spearman": "rank correlation\nwith the error",
    "retention_gain": "retention\ngain",
    "auroc_worst": "AUROC of the worst\ntenth of errors",
    "partial": "SLUG's, with this\nheld constant",
    "partial_reverse": "its own, with SLUG\nheld constant",
}


def signals(dataset: xr.Dataset) -> tuple[Figure, pd.DataFrame]:
    """Each signal's rank correlation with the error, retention gain, detection of the worst errors, and partial
    rank correlations.

    The table is that of `sluguq.signals.compare_signals`.
    """
    title = "SLUG beside cheaper signals"
    table = compare_signals(dataset)
    if table.empty:
        return empty(title, "no image has scores", dataset), table
    names = [name for name in SIGNALS if (table["signal"] == name).any()]
    configurations = list(dict.fromkeys(table["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    fig = figure(height=0.36 * len(names) + 1.6)
    panels = fig.subplots(1, len(_TESTS), sharey=True)
    for axes, (test, heading) in zip(panels, _TESTS.items(), strict=True):
        part = table[table["test"] == test]
        for row in part.to_dict("records"):
            j = configurations.index(row["configuration"])
            _estimate(axes, row, names, j, len(configurations), colours[row["configuration"]])
        axes.axvline(0.5 if test == "auroc_worst" else 0.0, color="#33383d", lw=0.7)
        axes.set_title(heading, fontsize=6.8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        low = np.nanmin(np.r_[part["low"], 0.45])
        axes.set_xlim(max(-1.05, low - 0.05), 1.05)
        axes.set_xticks([t for t in (-1, -0.5, 0, 0.5, 1) if t >= axes.get_xlim()[0]])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.tick_params(axis="x", labelsize=6.8)
    panels[0].set_yticks(range(len(names)), [name_of(name) for name in names])
    left_out = [SIGNALS[n] for n in SIGNALS if n in dataset and n not in names]
    handles = [
        Line2D([], [], color=colours[c], marker=MARKERS[j % len(MARKERS)], ms=3.4, label=c)
        for j, c in enumerate(configurations)
    ]
    all_images, seeds = table[(table["among"] == "all") & (table["signal"] != ENSEMBLE)], int(table["seeds"].max())
    note = (
        f"n = {span(all_images['images'])} images a seed, {plural(seeds, 'seed')}; intervals at 95 % over seeds and "
        "patients. The last two panels are rank correlations with the error; in SLUG's own row all other signals"
        f"{' but the ensemble' if ENSEMBLE in names else ''} are held constant."
    )
    if ENSEMBLE in names:
        there = table[(table["signal"] == ENSEMBLE) & (table["test"] == "spearman")]
        note += (
            f" Only images that several seeds tested, up to {span(there['images'])} a seed, have an ensemble; hollow: "
            "SLUG on the same images. The ensemble is one for all seeds, so its intervals are over patients alone and "
            "leave out how another ensemble would do."
        )
    if left_out:
        note += f" Fewer than {FEWEST} test images of a seed have {' and '.join(left_out)}, so it is left out."
    finish(fig, title, note, dataset, handles=handles, columns=8)
    return fig, table


def name_of(signal: str) -> str:
    """A signal's name on an axis."""
    return (
        {"mse": "the error itself", **SIGNALS}[signal].replace(" over ", "\nover ").replace(" standard", "\nstandard")
    )


def _estimate(axes: Axes, row: dict, names: list[str], j: int, of: int, colour: str) -> None:
    """One interval with its mark; SLUG on the ensemble's images stands hollow in the ensemble's row."""
    hollow = row["among"] == ENSEMBLE
    place = names.index(ENSEMBLE if hollow else row["signal"]) + 0.6 * ((j + 0.5) / of - 0.5)
    place += 0.08 * hollow
    axes.hlines(place, row["low"], row["high"], color=colour, lw=0.7 if hollow else 1.1)
    face = "white" if hollow else colour
    axes.plot(row["value"], place, MARKERS[j % len(MARKERS)], ms=3.4, color=colour, mfc=face, mew=0.8)
