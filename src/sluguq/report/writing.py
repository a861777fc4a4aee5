"""From the files of an experiment to its report and the cards of its models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import xarray as xr
import yaml

from sluguq.analysis.tables import read_claims, read_table
from sluguq.config import resolve
from sluguq.report.folded import PLANNING, WITHOUT_FIGURE, Folded, folded
from sluguq.report.model_card import model_card
from sluguq.report.page import write_report
from sluguq.stages.cost import cost_of
from sluguq.stages.taken import plan_and_taken
from sluguq.stores.files import whole_file
from sluguq.stores.store import open_stores

_Path = str | os.PathLike[str]

_READ = frozenset({"levels", "flagging", "gaps", "signals", *WITHOUT_FIGURE, *PLANNING})
"""Tables that page or cards are made from; of all others the page has links alone."""


def write_report_and_cards(
    page: _Path,
    cards: Mapping[str, _Path],
    *,
    datasets: Mapping[str, _Path],
    claims: _Path,
    split_sizes: _Path,
    tables: Iterable[_Path],
    figures: Iterable[_Path],
    datasheets: Iterable[_Path],
    explore: str,
) -> None:
    """Write the report, and a card for the models of each configuration.

    :param page: the html file.
    :param cards: markdown to write, by configuration.
    :param datasets: aggregated stores by name, first that of the data set that was trained on.
    :param claims: table of the judged claims.
    :param split_sizes: table of the images of every role.
    :param tables: tables of results, in folders named by their data sets; those of planning lie anywhere.
    :param figures: files of figures, in folders named by their data sets.
    :param datasheets: pages, each named by its data set.
    :param explore: address of the page of every image, relative to the page.
    """
    stores = open_stores(datasets)
    home = next(iter(stores))
    files: dict[str, dict[str, Path]] = {}
    for table in map(Path, tables):
        files.setdefault(home if table.stem in PLANNING else table.parent.name, {})[table.stem] = table
    frames = {name: _frames(own) for name, own in files.items()}
    texts = _cards(cards, stores, frames)
    for name, path in cards.items():
        with whole_file(path) as partial:
            partial.write_text(texts[name], encoding="utf-8")
    folder = Path(page).parent

    def address(path: _Path) -> str:
        return os.path.relpath(path, folder)

    addresses = {name: {table: address(path) for table, path in own.items()} for name, own in files.items()}
    tables_in_page = {name: _shown(own, addresses[name]) for name, own in frames.items()}
    write_report(
        Path(page),
        claims=read_claims(claims),
        datasets=stores,
        # Where the inputs are, which is not where they are stored when the storage is remote.
        figures={path.parent.name: path.parent for path in map(Path, figures)},
        cards=texts,
        tables=frames[home],
        shown={name: those for name, those in tables_in_page.items() if those},
        costs=plan_and_taken(cost_of(resolve(yaml.safe_load(stores[home].attrs["configuration"])))),
        links={
            "explore": explore,
            "claims": address(claims),
            "split_sizes": address(split_sizes),
            "tables": addresses,
            "datasheets": {Path(sheet).stem: address(sheet) for sheet in datasheets},
            "cards": {name: address(path) for name, path in cards.items()},
        },
    )


def _frames(files: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    return {name: read_table(path) for name, path in files.items() if name in _READ}


def _cards(
    names: Iterable[str], stores: Mapping[str, xr.Dataset], frames: Mapping[str, Mapping[str, pd.DataFrame]]
) -> dict[str, str]:
    """The card of each of these configurations; external data sets have a part of every one."""
    home = next(iter(stores))
    external = {n: frames[n]["skin_types"] for n, store in stores.items() if store.attrs["role"] == "external"}
    return {name: model_card(stores[home], name, frames[home], external) for name in names}


def _shown(frames: Mapping[str, pd.DataFrame], addresses: Mapping[str, str]) -> list[Folded]:
    """Tables of one data set that no figure is drawn from, but for those without rows."""
    return [
        folded(name, frames[name], addresses[name])
        for name in (*WITHOUT_FIGURE, *PLANNING)
        if name in frames and len(frames[name])
    ]
