"""How many images of each skin type there are, by the labels and for use."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from sluguq.analysis.aggregated import FITZPATRICK, Scale, scale_of
from sluguq.figures.style import EDGE, QUIET, empty, figure, finish, fst_colours, mark_synthetic

STATES = ("available", "rejected", "missing")
_HATCH = {"available": "", "rejected": "////", "missing": ""}


def fst_distribution(
    labels: pd.DataFrame, dataset: xr.Dataset | None = None, scale: Scale | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Counts of every skin type, -1 for unlabelled, with those that could not be had or used set apart.

    The table has fst, state, images.

    :param labels: one row per image of the label table, with columns `fst` and `state`, one of `available` (in the
        image store), `rejected` (acquired but of no use) and `missing` (not acquired), see
        `sluguq.datasets.availability.availability`.
    :param dataset: a store of the same data set, for the mark of synthetic data.
    :param scale: of the skin types; by default what the store says, else Fitzpatrick's.
    """
    scale = scale or (FITZPATRICK if dataset is None else scale_of(dataset))
    title = f"Images by {scale.title}"
    table = labels.groupby(["fst", "state"]).size().rename("images").reset_index()
    if table.empty:
        return empty(title, "the label table has no rows", dataset), table
    types = sorted({int(t) for t in table["fst"]} | set(range(1, scale.levels + 1)))
    colours = fst_colours(types, scale)
    fig = figure(width=5.2, height=2.9)
    axes = fig.subplots()
    base = dict.fromkeys(types, 0)
    for state in STATES:
        for fst in types:
            count = int(table.loc[(table["fst"] == fst) & (table["state"] == state), "images"].sum())
            if count:
                missing = state == "missing"
                axes.bar(
                    types.index(fst),
                    count,
                    bottom=base[fst],
                    width=0.74,
                    facecolor="none" if missing else colours[fst],
                    edgecolor=QUIET if missing else EDGE,
                    linestyle="--" if missing else "-",
                    linewidth=0.8,
                    hatch=_HATCH[state],
                )
                base[fst] += count
    for place, fst in enumerate(types):
        had = int(table.loc[(table["fst"] == fst) & (table["state"] == "available"), "images"].sum())
        text = f"{had:,}" if had == base[fst] else f"{had:,}\nof {base[fst]:,}"
        axes.annotate(text, (place, base[fst]), (0, 2), textcoords="offset points", ha="center", fontsize=7)
    axes.set_xticks(range(len(types)), ["unlabelled\n(−1)" if t < 1 else str(t) for t in types])
    axes.set_xlabel(scale.title)
    axes.set_ylabel("images")
    axes.set_ylim(top=1.2 * max(base.values()))
    axes.grid(axis="x", visible=False)
    total = table.groupby("state")["images"].sum()
    parts = [f"{int(total.get(state, 0)):,} {state}" for state in STATES if total.get(state, 0)]
    note = f"n = {len(labels):,} images in the label table: {', '.join(parts)}."
    if {"rejected", "missing"} & set(total.index):
        note += " Filled: available; hatched: rejected; dashed: missing."
    finish(fig, title, note, dataset)
    if dataset is None and bool(labels.attrs.get("synthetic", False)):
        mark_synthetic(fig)
    return fig, table
