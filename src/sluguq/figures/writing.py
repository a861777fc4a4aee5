"""From the files of one store to the files of its figures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sluguq.analysis.sensitivity import read_sensitivity
from sluguq.analysis.tables import read_table
from sluguq.datasets.availability import availability_of
from sluguq.figures.drawing import draw, save
from sluguq.stores.provenance import commit
from sluguq.stores.store import open_store

_Path = str | os.PathLike[str]

_ORIGIN = ("experiment", "dataset", "synthetic", "configuration", "versions", "commit")
"""Attributes of a store that its pictures carry."""


def write_figures(
    folder: _Path,
    names: Iterable[str],
    *,
    dataset: _Path | None = None,
    models: _Path | None = None,
    tables: Iterable[_Path] = (),
    sensitivity: _Path | None = None,
    images: _Path | None = None,
    missing: _Path | None = None,
    rejected: _Path | None = None,
) -> None:
    """Draw figures of one store and write each as SVG, PNG and csv, with where it comes from.

    :param folder: folder to write to.
    :param names: figures of :data:`sluguq.figures.FIGURES`.
    :param dataset: aggregated store of a data set.
    :param models: store of models; one of the two is needed.
    :param tables: the store's tables that these figures are drawn from, each named by its file.
    :param sensitivity: table of the sensitivity analysis.
    :param images: table of the acquired images, for figures of the label table; with it the next two.
    :param missing: table of the missing images.
    :param rejected: table of those that could not be used.
    :raises ValueError: where there is no such figure, or what it needs was not given.
    """
    source = dataset or models
    if source is None:
        raise ValueError("figures are drawn of a store: give dataset or models")
    stores = {"dataset": dataset, "models": models}
    sources: dict[str, Any] = {key: open_store(path) for key, path in stores.items() if path}
    if sensitivity:
        sources["sensitivity"] = read_sensitivity(sensitivity)
    if images and missing and rejected:
        sources["labels"] = availability_of(images, missing, rejected)
    frames = {Path(path).stem: read_table(path) for path in tables}
    store = sources["dataset" if dataset else "models"]
    attributes = {name: store.attrs[name] for name in _ORIGIN if name in store.attrs}
    origin = json.dumps({"store": os.fspath(source), "figure commit": commit(), **attributes})
    for name in names:
        figure, table = draw(name, tables=frames, **sources)
        save(figure, table, folder, name, origin=origin)
