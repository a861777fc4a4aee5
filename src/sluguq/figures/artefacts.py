"""Do the maps find artefacts: drawn ones with masks, and real ones by label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from sluguq.analysis.aggregated import middle_configuration
from sluguq.analysis.drawn_artefacts import MAPS
from sluguq.analysis.labelled_images import SUMMARIES
from sluguq.figures.choice import first_seed
from sluguq.figures.marks import beside, interval
from sluguq.figures.pictures import RIM_NOTE, SCALE_NOTE, colour_bar, rim_of, show, show_map
from sluguq.figures.style import (
    ACCENT,
    EDGE,
    INK,
    PALE,
    QUIET,
    SECOND,
    THIRD,
    empty,
    figure,
    finish,
    is_wide,
    legend_of,
    marker_of,
)
from sluguq.figures.words import decimal, plural, span, times

_COLOURS = {"slug_map": ACCENT, "error_map": SECOND, "slug_bare": THIRD, "gradient": QUIET, "colour": PALE}
_NONE = "no images with drawn artefacts were scored"


def drawn_artefacts(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Pixel AUROC of the maps for drawn artefacts, by kind of artefact and configuration.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.drawn_artefacts.artefacts_found`: AUROC and average precision with intervals.
    """
    title = "Do the maps find artefacts?"
    if table.empty:
        return empty(title, _NONE, dataset), table
    kinds = list(dict.fromkeys(table["artefact"]))
    configurations = list(dict.fromkeys(table["configuration"]))
    fig = figure(height=3.5)
    panels = fig.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        for j, name in enumerate(MAPS):
            for i, configuration in enumerate(configurations):
                match = (table["artefact"] == kind) & (table["map"] == name) & (table["measure"] == "auroc")
                match &= table["configuration"] == configuration
                if not match.any():
                    continue
                row = table[match].iloc[0]
                place = i + beside(j, len(MAPS), 0.7)
                interval(axes, row, place, _COLOURS[name], marker_of(j), line=1.2, size=3.8)
        axes.axhline(0.5, color=EDGE, lw=0.7)
        count = table.loc[(table["artefact"] == kind), "images"]
        axes.set_title(f"{kind}\n{span(count)} images per seed", fontsize=7.8)
        axes.set_xticks(range(len(configurations)), configurations)
        axes.set_xlim(-0.5, len(configurations) - 0.5)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("configuration")
    panels[0].set_ylabel("pixel AUROC")
    panels[0].set_ylim(min(0.4, float(np.nanmin(table.loc[table["measure"] == "auroc", "low"])) - 0.03), 1.02)
    handles = legend_of(MAPS, _COLOURS, size=3.8, label=MAPS.__getitem__)
    note = (
        f"n = {span(table['images'])} images per kind and seed, {plural(int(table['seeds'].max()), 'seed')}. Mean "
        "over images of the area under the ROC curve of artefact pixels against the rest of the image; 0.5 is a map "
        "that knows nothing. The bare image's SLUG map, held against the same pixels, shows what comes from the place "
        "alone. Intervals at 95 % over seeds and patients. Image gradient and colour distance are of the photograph "
        "alone."
    )
    finish(fig, title, note, dataset, handles=handles, columns=3)
    return fig, table


def artefact_maps(dataset: xr.Dataset, pixels: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Images with each kind of drawn artefact, and their maps with the artefact's outline.

    Images: of each kind those whose SLUG map has the 10th, 50th and 90th percentile of pixel AUROC, poor, middling and
    good, in the configuration with the most even mix. The table has artefact, quantile, id, configuration, seed, auroc,
    error_auroc.

    :param dataset: an opened aggregated store.
    :param pixels: of `sluguq.analysis.drawn_artefacts.pixel_scores`.
    """
    title = "Drawn artefacts and their maps"
    position = middle_configuration(dataset)
    name = str(dataset["configuration"].values[position])
    here = pixels[pixels["configuration"] == name]
    scores = here[here["map"] == "slug_map"]
    level = scores.groupby(["artefact", "id"], sort=False)["auroc"].mean().reset_index()
    errors = here[here["map"] == "error_map"].groupby("id")["auroc"].mean()
    if level.empty:
        return empty(title, _NONE, dataset), level
    place = {n: i for i, n in enumerate(dataset["id"].values.astype(str))}
    rows: list[dict[str, Any]] = []
    for kind, part in level.groupby("artefact", sort=False):
        for q in (0.1, 0.5, 0.9):
            distance = (part["auroc"] - float(part["auroc"].quantile(q))).abs()
            best = part.assign(distance=distance).sort_values(["distance", "id"]).iloc[0]
            if best["id"] not in [row["id"] for row in rows]:
                rows.append(
                    {"artefact": kind, "quantile": q, "id": best["id"], "auroc": best["auroc"]}
                    | {"error_auroc": errors.get(best["id"], np.nan)}
                )
    rim = rim_of(dataset)
    fig = figure(width=5.9, height=1.3 * len(rows) + 1.1)
    grid = fig.subplots(len(rows), 4, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        seed = first_seed(dataset, place[row["id"]])
        assert seed is not None  # it was scored
        one = dataset.isel(image=place[row["id"]], seed=seed, configuration=position)
        show(line[0], one["pixels"].transpose("y", "x", "channel").values)
        if "reconstruction" in one:
            show(line[1], one["reconstruction"].transpose("y", "x", "channel").values)
        for axes, variable in zip(line[2:], ("error_map", "slug_map"), strict=True):
            show_map(axes, one[variable].transpose("y", "x").values, rim if variable == "slug_map" else 0)
            mask = one["artefact_mask"].transpose("y", "x").values
            axes.contour(mask, levels=[0.5], colors="white", linewidths=0.5)
        line[0].set_ylabel(f"{row['artefact']}, {100 * row['quantile']:.0f} %", fontsize=7)
        for axes, auroc in ((line[2], row["error_auroc"]), (line[3], row["auroc"])):
            axes.set_xlabel(f"AUROC {decimal(auroc)}", fontsize=6.5, labelpad=1.5)
        row |= {"configuration": name, "seed": dataset["seed"].values[seed]}
    for axes, heading in zip(grid[0], ("image", "reconstruction", "error map", "SLUG map"), strict=True):
        axes.set_title(heading)
    colour_bar(fig, grid[:, 2:])
    note = (
        f"n = {len(rows)} images, configuration {name}, the first of {plural(dataset.sizes['seed'], 'seed')} that "
        "tested the image: of each kind those nearest to the 10th, 50th and 90th percentile of the SLUG map's AUROC "
        f"(mean over seeds, as both numbers are). White: outline of the artefact. {SCALE_NOTE}"
    )
    if rim:
        note += f" {RIM_NOTE}"
    columns = ["artefact", "quantile", "id", "configuration", "seed", "auroc", "error_auroc"]
    return finish(fig, title, note, dataset), pd.DataFrame(rows)[columns]


def artefact_change(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How SLUG and the error of an image change when an artefact is drawn on it.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.drawn_artefacts.changes`.
    """
    title = "The same image with and without an artefact"
    if table.empty:
        return empty(title, "no image was scored both with and without an artefact", dataset), table
    means, single = table[table["seed"] == -1], table[table["seed"] >= 0]
    kinds = list(dict.fromkeys(table["artefact"]))
    configurations = list(dict.fromkeys(table["configuration"]))
    ratios = single["value"].to_numpy(float)
    fig = figure(height=2.9)
    panels = fig.subplots(1, 2, sharey=True)
    for axes, (variable, heading, colour) in zip(
        panels, (("slug", "SLUG", ACCENT), ("mse", "mean squared error", SECOND)), strict=True
    ):
        for i, kind in enumerate(kinds):
            for j, configuration in enumerate(configurations):
                match = (table["artefact"] == kind) & (table["configuration"] == configuration)
                match &= table["variable"] == variable
                place = i + beside(j, len(configurations), 0.8)
                axes.boxplot(
                    single.loc[match[single.index], "value"],
                    positions=[place],
                    widths=0.64 / len(configurations),
                    whis=(5, 95),
                    showfliers=False,
                    patch_artist=True,
                    boxprops={"facecolor": colour, "edgecolor": EDGE, "linewidth": 0.6, "alpha": 0.85},
                    medianprops={"color": "white", "linewidth": 1.2},
                    whiskerprops={"color": EDGE, "linewidth": 0.6},
                    capprops={"color": EDGE, "linewidth": 0.6},
                )
                row = means[match[means.index]].iloc[0]
                interval(axes, row, place, INK, "D", line=1.4, mfc="white", mec=INK, mew=0.9, zorder=5)
        axes.axhline(1, color=EDGE, lw=0.7)
        if is_wide(ratios, 3):
            axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(lambda value, _: times(value))
        axes.set_xticks(range(len(kinds)), [f"\n{kind}" for kind in kinds])
        names = [
            (i + beside(j, len(configurations), 0.8), c)
            for i in range(len(kinds))
            for j, c in enumerate(configurations)
        ]
        axes.set_xticks([place for place, _ in names], [c for _, c in names], minor=True, fontsize=6.5)
        # The middle one of three configurations stands where its kind does, and is to keep its name.
        axes.xaxis.remove_overlapping_locs = False
        axes.tick_params(axis="x", which="both", length=0)
        axes.set_xlim(-0.5, len(kinds) - 0.5)
        axes.grid(axis="x", visible=False)
        axes.set_title(heading)
    log = panels[0].get_yscale() == "log"
    panels[0].set_ylabel("with the artefact over without" + (",\nlog scale" if log else ""))
    # The axis is as wide as the whiskers need: an interval of two seeds may run out of it.
    by = single.groupby(["artefact", "configuration", "variable"])["value"]
    ends = by.quantile(np.array([0.05, 0.95])).to_numpy()
    low, high = min(float(ends.min()), 0.8) / 1.1, max(float(ends.max()), 1.25) * 1.1
    # Intervals may reach somewhat farther than the images do; what lies beyond is marked.
    reach = means[["low", "high"]].to_numpy(float)
    low = max(min(low, float(np.nanmin(reach, initial=low)) / 1.1), low / 4)
    high = min(max(high, float(np.nanmax(reach, initial=high)) * 1.1), high * 4)
    panels[0].set_ylim(low, high)
    counts = single[single["variable"] == "mse"].groupby(["configuration", "seed", "artefact"]).size()
    note = (
        f"n = {span(counts)} images per kind and seed, {plural(single['seed'].nunique(), 'seed')}. "
        "Each box is a configuration. Box: quartiles and median; whiskers to the 5th and 95th percentile. Diamond: the "
        "mean ratio (geometric), with its 95 % interval over seeds and patients."
    )
    return finish(fig, title, note, dataset), table


def labelled_artefacts(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """AUROC of summaries of the maps for images that carry a yes-or-no label, those of known artefacts first.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.labelled_images.labels_found`.
    """
    title = "Do the maps tell images with a label from the rest?"
    if table.empty:
        reason = "the data set has no yes-or-no labels, no maps were stored, or no labelled image has scores"
        return empty(title, reason, dataset), table
    name = str(dataset["configuration"].values[middle_configuration(dataset)])
    table_shown = table[table["configuration"] == name]
    labels = list(dict.fromkeys(table_shown["label"]))
    fig = figure(height=0.36 * len(labels) + 1.6)
    panels = fig.subplots(1, len(SUMMARIES), sharey=True, sharex=True)
    for axes, (summary, heading) in zip(panels, SUMMARIES.items(), strict=True):
        for j, variable in enumerate(("slug_map", "error_map")):
            part = table_shown[(table_shown["summary"] == summary) & (table_shown["map"] == variable)]
            for row in part.to_dict("records"):
                place = labels.index(row["label"]) + 0.3 * (j - 0.5)
                interval(axes, row, place, _COLOURS[variable], marker_of(j), along=True, line=1.2, size=3.8)
        axes.axvline(0.5, color=EDGE, lw=0.7)
        axes.set_title(heading.replace(" over ", "\nover "), fontsize=7.8)
        axes.set_xlabel("AUROC")
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(labels) - 0.5, -0.5)
    panels[0].set_xlim(-0.02, 1.02)
    carrying = table_shown.groupby("label")["carrying"].max()
    panels[0].set_yticks(range(len(labels)), [f"{label.replace('_', ' ')} ({carrying[label]})" for label in labels])
    is_artefact = table_shown.drop_duplicates("label")["known_artefact"]
    if is_artefact.any() and not is_artefact.all():
        for axes in panels:
            axes.axhline(is_artefact.sum() - 0.5, color=EDGE, lw=0.7, ls=":")
    handles = legend_of(("slug_map", "error_map"), _COLOURS, size=3.8, label=MAPS.__getitem__)
    note = (
        f"Configuration {name}; n = {span(table_shown['images'])} images, "
        f"{plural(int(table_shown['seeds'].max()), 'seed')}; in brackets the images that carry the label. "
        "Panels: how a map was made one number. Intervals at 95 %."
    )
    if not is_artefact.all():
        note += (
            f" {'Below the dotted line: labels' if is_artefact.any() else 'Labels'} of no known artefact, which may be "
            "a diagnosis or anything else that is said with yes or no."
        )
    finish(fig, title, note, dataset, handles=handles)
    return fig, table
