"""How large a run has to be."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sluguq.claims import Run
from sluguq.claims.power import power as power_of_claims
from sluguq.figures.drawing import save
from sluguq.figures.style import EDGE, WIDTH, empty, figure, finish
from sluguq.stores.store import open_stores
from sluguq.stores.tables import write_table

_Path = str | os.PathLike[str]


def write_power(
    table: _Path, folder: _Path, datasets: Mapping[str, _Path], *, replicates: int, planned: tuple[int, int]
) -> None:
    """Write how likely each claim is to be decided by so many seeds and images, as a table and as its figure.

    :param table: csv to write.
    :param folder: folder of the figure ``power``.
    :param datasets: the pilot's aggregated stores by name.
    :param replicates: of the bootstrap.
    :param planned: seeds, and test images per group and seed, of the experiment; the pilot's images are as many.
    """
    run = Run(open_stores(datasets), None, replicates)
    probabilities = power_of_claims(run, planned[1], planned=planned)
    write_table(table, probabilities, sealed=False)
    save(*power(probabilities), folder, "power", origin=f"experiment of {planned}")


def power(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The probability that each claim is decided, one row per claim and a column per size.

    :param table: of `sluguq.claims.power.power`.
    """
    title = "How likely is each claim to be decided?"
    if table.empty:
        return empty(title, "a pilot of two seeds or more is needed", None), table
    claims = list(dict.fromkeys(table["claim"]))
    sizes = sorted(set(zip(table["seeds"], table["images"], strict=True)))
    wide = table.set_index(["claim", "seeds", "images"])["decided"]
    values = np.array([[wide[claim, n, m] for n, m in sizes] for claim in claims])
    fig = figure(width=max(WIDTH, 0.27 * len(sizes) + 2.6), height=0.21 * len(claims) + 1.9)
    axes = fig.subplots()
    axes.imshow(values, cmap="Greens", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if value > 0.6 else EDGE
        axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=5.6, color=colour)
    axes.set_yticks(range(len(claims)), [name.replace("_", " ") for name in claims], fontsize=6.5)
    axes.set_xticks(range(len(sizes)), [f"{n} × {m}" for n, m in sizes], rotation=90, fontsize=6.2)
    axes.set_xlabel("seeds × test images per group")
    axes.grid(visible=False)
    planned = sorted(set(zip(*(table.loc[table["planned"], name] for name in ("seeds", "images")), strict=True)))
    note = (
        "Probability in % that the claim comes out as holding or as not holding, from the variances that this run "
        "shows, taking its estimates for the truth and the parts of a claim for independent."
    )
    if planned:
        note += f" This experiment: {planned[0][0]} × {planned[0][1]}; the papers: 10 × 500 and 10 × 512."
    return finish(fig, title, note, None), table
