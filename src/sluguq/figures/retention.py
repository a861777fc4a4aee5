"""The error of what remains as the most uncertain images are removed."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from sluguq.figures.style import ACCENT, INK, QUIET, SECOND, WIDTH, empty, figure, finish
from sluguq.figures.words import decimal, plural, span

_LINES = {
    "slug": ("removed by SLUG", ACCENT, "-"),
    "latent_std": ("by latent standard deviation", SECOND, "-."),
    "oracle": ("by the error itself (oracle)", INK, ":"),
    "random": ("at random", QUIET, "--"),
}


def retention(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Retention curves by SLUG and latent standard deviation, with the oracle's and the random curve.

    The number in each panel is the gain of SLUG: the area between the random curve and SLUG's over that
    between the random curve and the oracle's.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.removal.removal`.
    """
    title = "Error of what remains as uncertain images are removed"
    if table.empty:
        return empty(title, "no image has scores", dataset), table
    configurations = list(dict.fromkeys(table["configuration"]))
    across = min(len(configurations), 3)
    down = -(-len(configurations) // across)
    fig = figure(width=WIDTH if across > 1 else 4.2, height=2.1 * down + 1.0)
    grid = fig.subplots(down, across, squeeze=False, sharex=True)
    for axes, configuration in zip(grid.ravel(), configurations, strict=False):
        curves = table[table["configuration"] == configuration]
        for score, (label, colour, style) in _LINES.items():
            part = curves[(curves["score"] == score) & (curves["measure"] == "mse")]
            part = part.pivot(index="removed", columns="seed", values="value")
            if part.empty:
                continue
            if score == "slug" and part.shape[1] > 1:
                axes.plot(100 * part.index, part, color=colour, lw=0.5, alpha=0.45)
            axes.plot(100 * part.index, part.mean(axis=1), style, color=colour, label=label)
        gain = curves[(curves["seed"] == -1) & (curves["score"] == "slug")].iloc[0]
        text = f"gain {decimal(gain['value'])} [{decimal(gain['low'])}, {decimal(gain['high'])}]"
        axes.set_title(f"{configuration}\n{text}", fontsize=7.8)
        axes.set_ylim(bottom=0)
    for axes in grid.ravel()[len(configurations) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("mean squared error")
    for column in range(across):
        lowest = [axes for axes in grid[:, column] if axes.get_visible()][-1]
        lowest.set_xlabel("images removed (%)")
        lowest.xaxis.set_tick_params(labelbottom=True)
    handles, _ = grid[0, 0].get_legend_handles_labels()
    gains = table[(table["seed"] == -1) & (table["score"] == "slug")]
    seeds = plural(int(gains["seeds"].max()), "seed")
    note = (
        f"n = {span(gains['images'])} images per seed, {seeds}; thick lines are means over "
        "seeds, thin ones single seeds.\nGain: area between the random curve and SLUG's, over that between the "
        "random curve and the oracle's, with 95 % interval."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=4), table
