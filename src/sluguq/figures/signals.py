"""SLUG beside cheaper signals: how well each ranks with the error, and what SLUG adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sluguq.analysis.aggregated import groups_of, middle_configuration
from sluguq.analysis.signals import ENSEMBLE, FEWEST
from sluguq.analysis.tables import signal_label, signals_in
from sluguq.figures.marks import beside, interval, percent
from sluguq.figures.style import EDGE, configuration_colours, empty, figure, finish, legend_of, marker_of
from sluguq.figures.words import group_label, images_and_seeds, number, plural, span

_TESTS = {
    "spearman": "rank correlation\nwith the error",
    "retention_gain": "retention\ngain",
    "auroc_worst": "AUROC of the worst\ntenth of errors",
    "partial": "SLUG's, with this\nheld constant",
    "partial_reverse": "its own, with SLUG\nheld constant",
}


def signals(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Each signal's rank correlation with the error, retention gain, detection of the worst errors, and partial
    rank correlations.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.signals.compare_signals`.
    """
    title = "SLUG beside cheaper signals"
    if table.empty:
        return empty(title, "no image has scores", dataset), table
    names = signals_in(table["signal"].unique())
    configurations = list(dict.fromkeys(table["configuration"]))
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    fig = figure(height=0.36 * len(names) + 1.6)
    panels = fig.subplots(1, len(_TESTS), sharey=True)
    for axes, (test, heading) in zip(panels, _TESTS.items(), strict=True):
        part = table[table["test"] == test]
        for row in part.to_dict("records"):
            j = configurations.index(row["configuration"])
            _estimate(axes, row, names, j, len(configurations), colours[row["configuration"]])
        axes.axvline(0.5 if test == "auroc_worst" else 0.0, color=EDGE, lw=0.7)
        axes.set_title(heading, fontsize=6.8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        low = np.nanmin(np.r_[part["low"], 0.45])
        axes.set_xlim(max(-1.05, low - 0.05), 1.05)
        axes.set_xticks([t for t in (-1, -0.5, 0, 0.5, 1) if t >= axes.get_xlim()[0]])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.tick_params(axis="x", labelsize=6.8)
    panels[0].set_yticks(range(len(names)), [_with_passes(name, table) for name in names])
    left_out = [signal_label(n) for n in signals_in(dataset.data_vars) if n not in names]
    handles = legend_of(configurations, colours, size=3.4)
    all_images, seeds = table[(table["among"] == "all") & (table["signal"] != ENSEMBLE)], int(table["seeds"].max())
    note = (
        f"n = {span(all_images['images'])} images per seed, {plural(seeds, 'seed')}; intervals at 95 % over seeds and "
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
    if table.loc[table["signal"] == "slug", "passes"].notna().any():
        note += " In brackets: forward passes of the network that a signal takes, an image."
    if left_out:
        note += f" Fewer than {FEWEST} test images of a seed have {' and '.join(left_out)}, so it is left out."
    finish(fig, title, note, dataset, handles=handles, columns=8)
    return fig, table


def name_of(signal: str) -> str:
    """A signal's name on an axis.

    :param signal: its name in the store.
    """
    words = "the error itself" if signal == "mse" else signal_label(signal)
    return words.replace(" over ", "\nover ").replace(" standard", "\nstandard").replace("SLUG, ", "SLUG,\n")


def _with_passes(signal: str, table: pd.DataFrame) -> str:
    """A signal's name with the forward passes that it takes, where rivals were counted."""
    passes = table.loc[table["signal"] == signal, "passes"].astype(float)
    has_counts = table.loc[table["signal"] == "slug", "passes"].notna().any() and passes.notna().any()
    return f"{name_of(signal)} ({number(passes.iloc[0], 2)})" if has_counts else name_of(signal)


def _estimate(axes: Axes, row: dict, names: list[str], j: int, count: int, colour: str) -> None:
    """One interval with its mark; SLUG on the ensemble's images stands hollow in the ensemble's row."""
    hollow = row["among"] == ENSEMBLE
    place = names.index(ENSEMBLE if hollow else row["signal"]) + beside(j, count, 0.6)
    place += 0.08 * hollow
    line, face = (0.7, "white") if hollow else (1.1, colour)
    marker = marker_of(j)
    interval(axes, row, place, colour, marker, along=True, line=line, size=3.4, mfc=face, mew=0.8)


def signals_by_group(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Gaps between the darkest and the lightest group in every signal, their order over configurations, and flags.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.signals_beyond_error.signals_by_group`.
    """
    title = "Which signal sees the groups as the error does?"
    if table.empty:
        return empty(title, "fewer than two groups have scores", dataset), table
    groups = groups_of(dataset)
    group, reference = table.loc[table["reference"] != "", ["group", "reference"]].iloc[-1]
    rows = table[table["group"] == group]
    names = list(dict.fromkeys(rows["signal"]))
    configurations = [c for c in dict.fromkeys(rows["configuration"]) if c]
    colours = configuration_colours(dataset["configuration"].values.astype(str))
    panels_of = {
        "cliffs_delta": f"Cliff's delta,\n{group} against {reference}",
        "same_order": "gaps in the\nerror's order",
        "flagged": f"{group} images among\nthe highest tenth, %",
        "caught": f"worst errors of {group}\nthat it flags, %",
    }
    fig = figure(height=0.36 * len(names) + 1.7)
    panels = fig.subplots(1, len(panels_of), sharey=True)
    for axes, (test, heading) in zip(panels, panels_of.items(), strict=True):
        share = test in ("flagged", "caught")
        scale = percent if share else float
        for row in rows[rows["test"] == test].to_dict("records"):
            both = row["configuration"] == ""
            j = 0 if both else configurations.index(row["configuration"])
            place = names.index(row["signal"]) + (0 if both else beside(j, len(configurations), 0.6))
            colour = EDGE if both else colours[row["configuration"]]
            marker = "D" if both else marker_of(j)
            interval(axes, row, place, colour, marker, along=True, scale=scale, size=3.4)
        axes.set_title(heading, fontsize=6.8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.axhline(0.5, color=EDGE, lw=0.7, ls=":")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="x", labelsize=6.8)
        if share:
            axes.set_xlim(-4, 104)
        else:
            axes.set_xlim(-1.05 if test == "cliffs_delta" else -0.05, 1.05)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    panels[0].axvline(0, color=EDGE, lw=0.7)
    panels[2].axvline(10, color=EDGE, lw=0.8, ls="--")
    panels[0].set_yticks(range(len(names)), [name_of(name) for name in names])
    handles = legend_of(configurations, colours, size=3.4)
    note = (
        f"{group_label(group, groups)} against {group_label(reference, groups)}; n = {images_and_seeds(table)}; "
        "intervals at 95 % over seeds and patients. Above the dotted line, what a signal should look like: the error "
        "itself. Second panel: the share of pairs of configurations that the gaps of the signal order as those of the "
        "error do; one half is chance. Dashed: a tenth of every group."
    )
    finish(fig, title, note, dataset, handles=handles, columns=8)
    return fig, table


def labels_by_signal(dataset: xr.Dataset, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """AUROC of every signal of a whole image for images that carry a yes-or-no label.

    Shown is the configuration with the most even mix.

    :param dataset: an opened aggregated store.
    :param table: of `sluguq.analysis.signals_beyond_error.labels_by_signal`.
    """
    title = "Which signal tells images with a label from the rest?"
    if table.empty:
        return empty(title, "the data set has no yes-or-no labels", dataset), table
    name = str(dataset["configuration"].values[middle_configuration(dataset)])
    rows = table[table["configuration"] == name]
    if rows.empty:
        return empty(title, f"no labelled image has scores under {name}", dataset), table
    labels, names = list(dict.fromkeys(rows["label"])), list(dict.fromkeys(rows["signal"]))
    colours = {"mse": EDGE} | configuration_colours(n for n in names if n != "mse")
    fig = figure(width=5.8, height=0.62 * len(labels) + 1.9)
    axes = fig.subplots()
    for row in rows.to_dict("records"):
        j = names.index(row["signal"])
        place = labels.index(row["label"]) + beside(j, len(names), 0.8)
        interval(axes, row, place, colours[row["signal"]], marker_of(j), along=True)
    axes.axvline(0.5, color=EDGE, lw=0.7)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel("AUROC")
    axes.grid(axis="y", visible=False)
    first = rows.drop_duplicates("label")
    ticks = [f"{r['label'].replace('_', ' ')} ({r['carrying']})" for r in first.to_dict("records")]
    axes.set_yticks(range(len(labels)), ticks)
    note = (
        f"Configuration {name}; n = {images_and_seeds(rows)}; in brackets the images that carry the label. "
        "AUROC: the chance that an image with the label has the higher value than one without. Intervals at 95 % over "
        "seeds and patients."
    )
    if not first["known_artefact"].all():
        axes.axhline(first["known_artefact"].sum() - 0.5, color=EDGE, lw=0.7, ls=":")
        note += (
            " Below the dotted line: labels of no known artefact, which may be a diagnosis or anything else that is "
            "said with yes or no."
        )
    handles = legend_of(names, colours, label=lambda name: name_of(name).replace("\n", " "))
    return finish(fig, title, note, dataset, handles=handles, columns=3), table
