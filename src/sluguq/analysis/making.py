"""From a store to all its tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import check_scores
from sluguq.analysis.annotations import gaps_by_annotation
from sluguq.analysis.association import correlations
from sluguq.analysis.calibration import calibration
from sluguq.analysis.catalogue import tables_for
from sluguq.analysis.drawn_artefacts import artefact_clusters, artefacts_found, changes, pixel_scores
from sluguq.analysis.fairness import flagging, gaps, gaps_within, intersections, levels, skin_types
from sluguq.analysis.labelled_images import labelled
from sluguq.analysis.pictures import appearance, tone_trend, variability
from sluguq.analysis.removal import removal
from sluguq.analysis.signals import compare_signals
from sluguq.analysis.signals_beyond_error import labels_by_signal, signals_by_group
from sluguq.analysis.tables import REPLICATES, with_blocks
from sluguq.analysis.tones import tones
from sluguq.config.paths import MODELS
from sluguq.machine import extensions
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table

_MAKERS: dict[str, Callable[..., pd.DataFrame]] = {
    "levels": levels,
    "skin_types": skin_types,
    "gaps": gaps,
    "intersections": intersections,
    "gaps_within": gaps_within,
    "gaps_by_annotation": gaps_by_annotation,
    "flagging": flagging,
    "correlations": correlations,
    "removal": removal,
    "signals": compare_signals,
    "signals_by_group": signals_by_group,
    "labels_by_signal": labels_by_signal,
    "labelled": labelled,
    "appearance": appearance,
    "tone_trend": tone_trend,
    "calibration": calibration,
    "variability": variability,
    "artefact_change": changes,
    "tones": tones,
}


def write_tables(
    outputs: Mapping[str, str | os.PathLike[str]],
    store: str | os.PathLike[str],
    role: str,
    replicates: int = REPLICATES,
) -> None:
    """Make all tables of a store and write them.

    :param outputs: csv to write of each table, by the names of :data:`sluguq.analysis.catalogue.TABLES`.
    :param store: path of an aggregated store, or of the store of models.
    :param role: training, external, artefacts or models.
    :param replicates: bootstrap replicates behind every interval.
    """
    for name, table in make_tables(open_store(store), role, replicates).items():
        write_table(outputs[name], table, sealed=False)
        print(f"{name}: {len(table)} rows")


def make_tables(store: xr.Dataset, role: str, replicates: int = REPLICATES) -> dict[str, pd.DataFrame]:
    """All tables of a store.

    :param store: an aggregated store, or the store of models.
    :param role: training, external, artefacts or models.
    :param replicates: bootstrap replicates behind every interval.
    :returns: the tables by the names of :data:`sluguq.analysis.catalogue.TABLES`.
    :raises NoScores: the store has no scores at all, or such as no table can be made of.
    """
    if role != MODELS:
        check_scores(store)
    made: dict[str, pd.DataFrame] = {}
    for name in tables_for(role):
        made[name] = make_table(name, store, replicates, pixels=made.get("artefact_pixels"))
    return made


def make_table(
    name: str, store: xr.Dataset, replicates: int = REPLICATES, *, pixels: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One table of a store, see :func:`make_tables`.

    :param name: of the table.
    :param store: an aggregated store, or the store of models.
    :param replicates: bootstrap replicates behind every interval.
    :param pixels: the table ``artefact_pixels``, where it is made already: it is dear.
    """
    if name == "artefact_pixels":
        return pixel_scores(store)
    if name == "drawn_artefacts":
        scores = pixel_scores(store) if pixels is None else pixels
        clusters = artefact_clusters(store) if len(scores) else None
        return artefacts_found(with_blocks(scores, store), clusters, replicates)
    maker = _MAKERS[name] if name in _MAKERS else extensions.TABLES[name]["function"]
    return maker(store, replicates=replicates)
