"""Whose skin does the model paint? Skin tones of prior samples beside those of the training images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sluguq.analysis.aggregated import Groups, groups_of
from sluguq.analysis.tones import SAMPLES, TRAINING
from sluguq.figures.marks import beside, interval, percent
from sluguq.figures.style import EDGE, FAINT, INK, QUIET, configuration_colours, empty, figure, finish, group_colours
from sluguq.figures.words import group_label, plural, span
from sluguq.images.skin_colour import ITA_CLASSES


def sample_tones(models: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Individual typology angle of prior samples and training images, by configuration and group, and the difference.

    :param models: the opened store of models.
    :param table: of `sluguq.analysis.tones.tones`.
    """
    title = "Whose skin does the model paint?"
    if table.empty:
        return empty(title, "the store of models has no samples (training.samples: 0)", models), table
    compared, single = table[table["seed"] == -1], table[table["seed"] >= 0]
    keys = ["configuration", "seed", "of", "group", "n"]
    spread = single.pivot(index=keys, columns="measure", values="value").reset_index()
    configurations = list(models["configuration"].values.astype(str))
    groups = groups_of(models)
    shares = compared[compared["measure"] == "share"]
    fig = figure(height=3.5)
    widths = [2.0, 1.0, 1.0] if len(shares) else [2.0, 1.0]
    panels = fig.subplots(1, len(widths), width_ratios=widths)
    _distributions(panels[0], spread, configurations, groups)
    _differences(panels[1], compared, configurations)
    if len(shares):
        _shares(panels[2], compared, configurations, groups)
    for axes in panels:
        axes.set_xticks(range(len(configurations)), configurations)
        # The names of the classes stand to the right of the boxes.
        axes.set_xlim(-0.55, (len(configurations) - 0.45) * (1.2 if axes is panels[0] else 1))
        axes.set_xlabel("configuration")
        axes.grid(axis="x", visible=False)
    colours = group_colours(groups)
    present = [g for g in groups if (spread["group"] == g).any()]
    handles: list = [
        Patch(facecolor=colours[g], edgecolor=EDGE, label=f"training images, {group_label(g, groups)}") for g in present
    ]
    handles.append(Patch(facecolor="white", edgecolor=EDGE, hatch="////", label="prior samples"))
    samples = spread.loc[spread["of"] == SAMPLES, "n"]
    images = spread.loc[(spread["of"] == TRAINING) & (spread["group"] == ""), "n"]
    note = (
        f"n = {span(samples)} samples and {span(images)} training images per seed and configuration, "
        f"{plural(models.sizes['seed'], 'seed')}. Individual typology angle (ITA) of a picture's median colour, lesion "
        "included: high is light. Left: line at the median, box over the quartiles, whiskers to the 5th and 95th "
        "percentile, means over seeds; points: medians of the seeds. Centre: mean of the samples less that of the "
        "training images; above 0 the samples are lighter."
    )
    if len(shares):
        note += (
            " Right: share of pictures nearer to this group's median tone than to another's; filled: samples, hollow: "
            "training images."
        )
    note += " Intervals at 95 % over seeds and samples."
    return finish(fig, title, note, models, handles=handles, columns=2), table


def _distributions(axes: Axes, spread: pd.DataFrame, configurations: list[str], groups: Groups) -> None:
    group_colour, own_colour = group_colours(groups), configuration_colours(configurations)
    percentiles = [name for name in spread.columns if name.startswith("ita_")]
    for place, configuration in enumerate(configurations):
        part = spread[spread["configuration"] == configuration]
        present = [g for g in groups if (part["group"] == g).any()]
        step = 0.84 / (len(present) + 1)
        for j, (of, group) in enumerate([*((TRAINING, g) for g in present), (SAMPLES, "")]):
            rows = part[(part["of"] == of) & (part["group"] == group)]
            low, first, middle, third, high = rows[percentiles].mean()
            at = place + (j - len(present) / 2) * step
            sampled = of == SAMPLES
            face = "white" if sampled else group_colour[group]
            edge = own_colour[configuration] if sampled else EDGE
            artists = axes.bxp(
                [{"med": middle, "q1": first, "q3": third, "whislo": low, "whishi": high}],
                positions=[at],
                widths=0.8 * step,
                showfliers=False,
                patch_artist=True,
                boxprops={"facecolor": face, "edgecolor": edge, "linewidth": 1.2 if sampled else 0.7},
                medianprops={"color": edge if sampled else _line_on(face), "linewidth": 1.5},
                whiskerprops={"color": edge, "linewidth": 0.8},
                capprops={"color": edge, "linewidth": 0.8},
            )
            if sampled:
                artists["boxes"][0].set_hatch("////")
                places = at + 0.4 * step * np.linspace(-1, 1, len(rows) + 2)[1:-1]
                axes.plot(places, rows["ita_50"], "o", ms=2.6, mfc=edge, mec="white", mew=0.4, zorder=4)
    axes.autoscale_view()
    lowest, highest = axes.get_ylim()
    upper = 180.0
    for name, lower in ITA_CLASSES:
        bottom = max(lower, lowest) if name != ITA_CLASSES[-1][0] else lowest
        if lowest < lower < highest:
            axes.axhline(lower, color=FAINT, lw=0.7, ls=":", zorder=0)
        if min(upper, highest) - bottom > 0.045 * (highest - lowest):
            middle = (bottom + min(upper, highest)) / 2
            axes.annotate(
                name, (1, middle), xycoords=("axes fraction", "data"), xytext=(-2, 0), textcoords="offset points",
                ha="right", va="center", fontsize=6, color=QUIET,
            )  # fmt: skip
        upper = lower
    axes.set_ylim(lowest, highest)
    axes.set_title("skin tone")
    axes.set_ylabel("ITA, degrees")


def _line_on(face: str) -> str:
    red, green, blue = (int(face[i : i + 2], 16) for i in (1, 3, 5))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else INK


def _differences(axes: Axes, compared: pd.DataFrame, configurations: list[str]) -> None:
    part = compared[(compared["measure"] == "mean_difference") & (compared["group"] == "")]
    colours = configuration_colours(configurations)
    for place, row in enumerate(part.to_dict("records")):
        colour = colours[row["configuration"]]
        interval(axes, row, place, colour, "D", line=2.0, size=5, mec="white", mew=0.6)
    axes.axhline(0, color=EDGE, lw=0.7)
    axes.set_title("samples less training\nimages, mean")
    axes.set_ylabel("degrees")


def _shares(axes: Axes, compared: pd.DataFrame, configurations: list[str], groups: Groups) -> None:
    """The lightest group is left out: the shares of all groups sum to one."""
    rows = {(r["measure"], r["group"], r["configuration"]): r for r in compared.to_dict("records")}
    others = [g for g in groups if ("share", g, configurations[0]) in rows][1:]
    colours = group_colours(groups)
    for place, configuration in enumerate(configurations):
        for j, group in enumerate(others):
            at = place + beside(j, len(others), 0.5)
            sample, training = (rows[name, group, configuration] for name in ("share", "share_training"))
            axes.plot(at, 100 * training["value"], "o", ms=7, mfc="none", mec=EDGE, mew=0.9, zorder=3)
            interval(
                axes, sample, at, colours[group], "D",
                scale=percent, line=2.0, size=4.5, mec="white", mew=0.6, zorder=4,
            )  # fmt: skip
    axes.set_ylim(-4, 104)
    single = f"nearest to {others[0]}" if len(others) == 1 else "nearest to a group"
    axes.set_title(f"share of pictures\n{single}")
    axes.set_ylabel("%")
    if len(others) > 1:
        handles = [Line2D([], [], ls="", marker="D", ms=4, color=colours[g], label=g) for g in others]
        axes.legend(handles=handles, fontsize=6)
