"""What training left behind: loss histories and the spectrum of the generalised Gauss-Newton matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from matplotlib.figure import Figure

from sluguq.figures.style import configuration_colours, empty, figure, finish, logarithmic, marker_of
from sluguq.figures.words import number, plural, span

_PANELS = 8
_TITLES = {
    "loss": "total loss",
    "mse": "mean squared error",
    "kl": "KL divergence",
    "perceptual": "perceptual loss",
    "learning_rate": "learning rate",
}


def training_history(models: xr.Dataset) -> tuple[Figure, pd.DataFrame]:
    """Every term of the loss by epoch, one line per seed, coloured by configuration.

    The table has configuration, seed, epoch, term, value.

    :param models: the opened store of models.
    """
    title = "Training history"
    terms = [str(n) for n, v in models.data_vars.items() if set(v.dims) == {"configuration", "seed", "epoch"}]
    terms = sorted(terms, key=lambda t: (list(_TITLES).index(t) if t in _TITLES else len(_TITLES), t))[:_PANELS]
    if not terms:
        return empty(title, "the store of models has no history", models), pd.DataFrame()
    configurations = list(models["configuration"].values.astype(str))
    colours = configuration_colours(configurations)
    epochs = models["epoch"].values if "epoch" in models.coords else np.arange(1, models.sizes["epoch"] + 1)
    across = min(len(terms), 4)
    down = -(-len(terms) // across)
    fig = figure(height=1.75 * down + 0.85)
    grid = fig.subplots(down, across, squeeze=False, sharex=True)
    tables = []
    for axes, term in zip(grid.ravel(), terms, strict=False):
        values = models[term].transpose("configuration", "seed", "epoch").values
        for i, configuration in enumerate(configurations):
            for j in range(values.shape[1]):
                axes.plot(
                    epochs,
                    values[i, j],
                    color=colours[configuration],
                    lw=0.9,
                    alpha=0.8,
                    label=configuration if j == 0 else None,
                )
        tables.append(models[term].rename("value").to_dataframe().reset_index().assign(term=term))
        finite = values[np.isfinite(values)]
        if finite.size and finite.min() > 0 and finite.max() / finite.min() > 10:
            logarithmic(axes)
            axes.set_ylabel("log scale", fontsize=7)
        else:
            axes.yaxis.set_major_formatter(lambda value, _: number(value))
        axes.set_title(_TITLES.get(term, term.replace("_", " ")))
    for axes in grid.ravel()[len(terms) :]:
        axes.set_visible(False)
    for column in range(across):
        lowest = [axes for axes in grid[:, column] if axes.get_visible()][-1]
        lowest.set_xlabel("epoch")
        lowest.xaxis.set_tick_params(labelbottom=True)
    handles, _ = grid[0, 0].get_legend_handles_labels()
    note = (
        f"{_trained_on(models)}, {plural(models.sizes['seed'], 'seed')}, a line each. Means over the training images "
        "of an epoch."
    )
    table = pd.concat(tables, ignore_index=True)[["configuration", "seed", "epoch", "term", "value"]]
    return finish(fig, title, note, models, handles=handles, columns=8), table


def _trained_on(models: xr.Dataset) -> str:
    """`n = 1,668 training images per network`; by the configuration where their tones were not measured."""
    if "training_ita" in models and models.sizes.get("training_image"):
        counts = np.isfinite(models["training_ita"].values).sum(axis=-1).ravel().tolist()
    else:
        resolved = yaml.safe_load(models.attrs.get("configuration") or "{}") or {}
        counts = [resolved["split"]["train_images"]] if "split" in resolved else []
    return f"n = {span(counts) if counts else 'unknown'} training images per network"


def spectrum(models: xr.Dataset) -> tuple[Figure, pd.DataFrame]:
    """Eigenvalues of the generalised Gauss-Newton matrix and the residuals of their eigenvectors.

    The table has configuration, seed, rank (from 1), eigenvalue, residual.

    :param models: the opened store of models.
    """
    title = "Leading eigenvalues of the GGN matrix"
    if "eigenvalues" not in models or not models.sizes.get("rank"):
        return empty(title, "the store of models has no eigenvalues (rank 0)", models), pd.DataFrame()
    configurations = list(models["configuration"].values.astype(str))
    colours = configuration_colours(configurations)
    values = models["eigenvalues"].transpose("configuration", "seed", "rank").values
    residuals = models["residuals"].transpose("configuration", "seed", "rank").values
    rank = np.arange(1, values.shape[2] + 1)
    fig = figure(width=5.2, height=2.9)
    axes = fig.subplots()
    rows = []
    for i, configuration in enumerate(configurations):
        for j in range(values.shape[1]):
            label = configuration if j == 0 else None
            axes.plot(
                rank,
                np.where(values[i, j] > 0, values[i, j], np.nan),
                color=colours[configuration],
                marker=marker_of(i),
                ms=2.4,
                lw=0.8,
                label=label,
            )
            axes.plot(
                rank,
                np.where(residuals[i, j] > 0, residuals[i, j], np.nan),
                ":",
                color=colours[configuration],
                lw=0.8,
            )
            rows.append(
                pd.DataFrame(
                    {
                        "configuration": configuration,
                        "seed": models["seed"].values[j],
                        "rank": rank,
                        "eigenvalue": values[i, j],
                        "residual": residuals[i, j],
                    }
                )
            )
    axes.set_yscale("log")
    axes.set_xlabel("rank")
    axes.set_ylabel("eigenvalue, log scale")
    axes.legend(title="configuration")
    note = f"{_trained_on(models)}, {plural(models.sizes['seed'], 'seed')}. Generalised Gauss-Newton matrix G. "
    note += "Solid: eigenvalues λ; dotted: residual norms ‖Gu − λu‖."
    return finish(fig, title, note, models), pd.concat(rows, ignore_index=True)
