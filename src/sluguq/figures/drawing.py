"""From a figure's name to the figure, the tidy table behind it, and their files.

Nothing here knows of folders' grammar, configuration files or Snakemake.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from sluguq.figures.annotations import whose_labels
from sluguq.figures.answers import error_by_group, slug_knows
from sluguq.figures.artefacts import artefact_change, artefact_maps, drawn_artefacts, labelled_artefacts
from sluguq.figures.association import correlation_by_seed, slug_against_mse
from sluguq.figures.boxes import boxes
from sluguq.figures.catalogue import FIGURES
from sluguq.figures.distribution import fst_distribution
from sluguq.figures.fairness import flagged, group_gaps
from sluguq.figures.groups import gaps_within_labels, levels_by_group
from sluguq.figures.pictures import maps, reconstructions, samples, snapshots
from sluguq.figures.retention import retention
from sluguq.figures.sensitivity import sensitivity as draw_sensitivity
from sluguq.figures.signals import labels_by_signal, signals, signals_by_group
from sluguq.figures.style import styled
from sluguq.figures.tones import sample_tones
from sluguq.figures.training import spectrum, training_history
from sluguq.stores.tables import write_table

_FUNCTIONS: dict[str, Callable[..., tuple[Figure, pd.DataFrame]]] = {
    "error_by_group": error_by_group,
    "slug_knows": slug_knows,
    "fst_distribution": fst_distribution,
    "boxes_by_group": lambda dataset: boxes(dataset, "group", "image"),
    "boxes_by_group_seeds": lambda dataset: boxes(dataset, "group", "seed"),
    "boxes_by_fst": lambda dataset: boxes(dataset, "fst", "image"),
    "slug_against_mse": slug_against_mse,
    "correlation_by_seed": correlation_by_seed,
    "retention": retention,
    "reconstructions": reconstructions,
    "maps": maps,
    "maps_page": lambda dataset: maps(dataset, many=True),
    "group_gaps": group_gaps,
    "flagged": flagged,
    "levels_by_group": levels_by_group,
    "gaps_within_labels": gaps_within_labels,
    "whose_labels": whose_labels,
    "signals": signals,
    "signals_by_group": signals_by_group,
    "labels_by_signal": labels_by_signal,
    "labelled_artefacts": labelled_artefacts,
    "drawn_artefacts": drawn_artefacts,
    "artefact_maps": artefact_maps,
    "artefact_change": artefact_change,
    "sensitivity": draw_sensitivity,
    "training_history": training_history,
    "spectrum": spectrum,
    "samples": samples,
    "sample_tones": sample_tones,
    "snapshots": snapshots,
}


def draw(
    name: str,
    dataset: xr.Dataset | None = None,
    *,
    models: xr.Dataset | None = None,
    labels: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Draw a figure of `FIGURES`.

    Give what `FIGURES[name].needs` names, and the store's tables that `FIGURES[name].tables` names.

    :param name: of the figure.
    :param dataset: aggregated store; what is drawn from a label table takes it besides, for its marks.
    :param models: store of models.
    :param labels: the label table, as :func:`sluguq.datasets.availability.availability` makes it.
    :param sensitivity: the table of :func:`sluguq.analysis.sensitivity.sensitivity_table`.
    :param tables: by name, as `sluguq.analysis.making.make_tables` gives them.
    :returns: the figure and the tidy table behind it.
    :raises ValueError: where there is no such figure, or what it needs was not given.
    """
    if name not in FIGURES:
        raise ValueError(f"there is no figure {name!r}; there are {', '.join(sorted(FIGURES))}")
    specification = FIGURES[name]
    sources: dict[str, Any] = {"dataset": dataset, "models": models, "labels": labels, "sensitivity": sensitivity}
    if sources[specification.needs] is None:
        raise ValueError(f"the figure {name!r} is drawn from {specification.needs}, which was not given")
    lacking = [table for table in specification.tables if table not in (tables or {})]
    if lacking:
        raise ValueError(f"the figure {name!r} is drawn from the tables {', '.join(lacking)}, which were not given")
    function = specification.function or _FUNCTIONS[name]
    with styled():
        if specification.needs in ("labels", "sensitivity"):
            return function(sources[specification.needs], dataset)
        return function(sources[specification.needs], *((tables or {})[table] for table in specification.tables))


def save(
    figure: Figure, table: pd.DataFrame, folder: str | os.PathLike[str], name: str, *, origin: str = ""
) -> list[Path]:
    """Write `name`.svg, `name`.png (200 dots an inch) and `name`.csv into a folder.

    Both pictures carry `origin`, where they come from, as their description, and the figure's title and note as their
    title, for those who do not see it. The SVG carries no date, so that the same figure is the same file.

    :param figure: what is drawn.
    :param table: the numbers behind it.
    :param folder: made where it is not there.
    :param name: of the files.
    :param origin: where the figure comes from, in words or as JSON.
    :returns: the paths of the three files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("svg", "png", "csv")]
    with styled():
        words = str(figure.get_label())
        figure.savefig(paths[0], metadata={"Date": None, "Title": words, "Description": origin})
        figure.savefig(paths[1], metadata={"Title": words, "Description": origin})
    # A table without columns could not be read again.
    table = table if len(table.columns) else pd.DataFrame(columns=["nothing_to_draw"])
    write_table(paths[2], table, sealed=False)
    return paths
