"""The error of what remains as the most uncertain images are removed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from sluguq.analysis.retention import FRACTIONS, retention_curve, retention_gain
from sluguq.analysis.signals import gain_estimate
from sluguq.analysis.tables import by_seed, per_image
from sluguq.figures.style import ACCENT, QUIET, SECOND, WIDTH, empty, figure, finish
from sluguq.figures.words import plural, span

_LINES = {
    "slug": ("removed by SLUG", ACCENT, "-"),
    "latent_std": ("by latent standard deviation", SECOND, "-."),
    "oracle": ("by the error itself (oracle)", "#1c1f22", ":"),
    "random": ("at random", QUIET, "--"),
}


def retention(dataset: xr.Dataset) -> tuple[Figure, pd.DataFrame]:
    """Retention curves by SLUG and latent standard deviation, with the oracle's and the random curve.

    The number in each panel is the gain of SLUG: the area between the random curve and SLUG's over that
    between the random curve and the oracle's. The table has configuration, seed (-1 over seeds), score,
    measure, removed, value, low, high: the curves (measure `mse`, at every share `removed`), and the
    gains (measure `gain`, with an interval over seeds).
    """
    title = "Error of what remains as uncertain images are removed"
    scores = [name for name in ("slug", "latent_std") if name in dataset]
    frame = per_image(dataset, ["mse", *scores])
    if frame.empty:
        return empty(title, "no image has scores", dataset), frame
    configurations = list(dict.fromkeys(frame["configuration"]))
    across = min(len(configurations), 3)
    down = -(-len(configurations) // across)
    fig = figure(width=WIDTH if across > 1 else 4.2, height=2.1 * down + 1.0)
    grid = fig.subplots(down, across, squeeze=False, sharex=True)
    pieces = []
    for axes, configuration in zip(grid.ravel(), configurations, strict=False):
        curves = _curves(frame, configuration, scores)
        pieces.append(curves)
        for score, (label, colour, style) in _LINES.items():
            part = curves[(curves["score"] == score) & (curves["measure"] == "mse")]
            part = part.pivot(index="removed", columns="seed", values="value")
            if part.empty:
                continue
            if score == "slug" and part.shape[1] > 1:
                axes.plot(100 * part.index, part, color=colour, lw=0.5, alpha=0.45)
            axes.plot(100 * part.index, part.mean(axis=1), style, color=colour, label=label)
        gain = curves[(curves["seed"] == -1) & (curves["score"] == "slug")].iloc[0]
        text = f"gain {gain['value']:.2f} [{gain['low']:.2f}, {gain['high']:.2f}]"
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
    counts = frame.groupby(["configuration", "seed"]).size()
    note = (
        f"n = {span(counts)} images a seed, {plural(frame['seed'].nunique(), 'seed')}; thick lines are means over "
        "seeds, thin ones single seeds.\nGain: area between the random curve and SLUG's, over that between the "
        "random curve and the oracle's, with 95 % interval."
    )
    return finish(fig, title, note, dataset, handles=handles, columns=4), pd.concat(pieces, ignore_index=True)


def _curves(frame: pd.DataFrame, configuration: str, scores: list[str]) -> pd.DataFrame:
    rows = []
    for score in scores:
        seeds, clusters = by_seed(frame, configuration, ("mse", score))
        gain = gain_estimate(seeds, clusters, score)
        found = {"value": [gain.value], "low": [gain.low], "high": [gain.high]}
        rows.append(pd.DataFrame({"seed": -1, "score": score, "measure": "gain", **found}))
    seeds, _ = by_seed(frame, configuration, ("mse", "seed", *scores))
    for columns in seeds:
        error = columns["mse"]
        one = np.ones((1, len(error)))
        lines = {score: retention_curve(error, columns[score], one)[0] for score in scores}
        lines["oracle"] = retention_curve(error, error, one)[0]
        lines["random"] = np.full(len(FRACTIONS), error.mean())
        for score, values in lines.items():
            key = {"seed": columns["seed"][0], "score": score}
            rows.append(pd.DataFrame({**key, "measure": "mse", "removed": (1 - FRACTIONS).round(6), "value": values}))
            if score in scores:
                own = retention_gain(error, columns[score], one)
                rows.append(pd.DataFrame({**key, "measure": "gain", "value": own}))
    table = pd.concat(rows, ignore_index=True).assign(configuration=configuration)
    return table[["configuration", "seed", "score", "measure", "removed", "value", "low", "high"]]
