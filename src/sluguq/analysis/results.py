"""The results of an experiment in one object, for notebooks."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
import yaml

from sluguq.analysis.tables import per_image, read_claims, read_table
from sluguq.config.paths import MODELS, ResultPaths, results_of
from sluguq.stores.store import StoreError, open_store


class Tables(Mapping[str, pd.DataFrame]):
    """The csv files of a folder as tables, each read when it is asked for by its name without the ending."""

    def __init__(self, folder: Path):
        self._files = {path.stem: path for path in sorted(folder.glob("*.csv")) if path.stat().st_size > 1}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._files:
            raise KeyError(f"there is no table {name!r}; there are {', '.join(self._files) or 'none'}")
        return read_table(self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"Tables({', '.join(self._files)})"


class Results(Mapping[str, xr.Dataset]):
    """The results of an experiment: data sets by name, tables, claims. Nothing is read before it is asked for.

    ``results["phantom"]`` is the aggregated store of a data set; iterate for their names. Functions of
    `sluguq.analysis` take the object itself, and then look at the data set that was trained on.

    :ivar folder: results/<experiment>.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        paths = sorted(self.folder.glob("*.zarr"))
        if not paths:
            raise StoreError(
                f"there are no results in {self.folder}; give the folder of an experiment that has run, results/<name>"
            )
        self._stores = {path.stem: path for path in paths if path.stem != MODELS}
        self._opened: dict[str, xr.Dataset] = {}

    def __getitem__(self, name: str) -> xr.Dataset:
        if name not in self._stores:
            raise KeyError(f"there is no data set {name!r}; there are {', '.join(self._stores)}")
        if name not in self._opened:
            self._opened[name] = open_store(self._stores[name])
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    @cached_property
    def training(self) -> xr.Dataset:
        """The data set that was trained on."""
        for name in self:
            if self[name].attrs.get("role") == "training":
                return self[name]
        raise StoreError(f"{self.folder} has no store of the data set that was trained on; run the workflow to its end")

    @cached_property
    def models(self) -> xr.Dataset:
        """Histories, spectra and samples of the networks."""
        return open_store(ResultPaths(self.folder).aggregated(MODELS))

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """Every key of the experiment."""
        return yaml.safe_load(self.training.attrs.get("configuration") or "{}") or {}

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Each claim of the papers with its estimate, interval and verdict in this run."""
        return read_claims(ResultPaths(self.folder).claims())

    def tables(self, name: str | None = None) -> Tables:
        """Tables of a data set, by default of the one that was trained on: levels, gaps and so on.

        :param name: of the data set.
        """
        name = str(self.training.attrs.get("dataset", "")) if name is None else name
        return Tables(Path(ResultPaths(self.folder).table(name, "any")).parent)

    def numbers(self, name: str) -> Tables:
        """The numbers behind the figures of a data set, or of the ``models``.

        :param name: of the data set, or ``models``.
        """
        return Tables(Path(ResultPaths(self.folder).figures(name)))

    def images(self, name: str | None = None) -> pd.DataFrame:
        """One row an image and network, with every score and label; by default of the data set that was trained on.

        :param name: of the data set.
        """
        return per_image(self.training if name is None else self[name])

    def _lines(self) -> list[tuple[str, str]]:
        training = self.training
        lines = [
            ("configurations", ", ".join(map(str, training["configuration"].values))),
            ("seeds", ", ".join(map(str, training["seed"].values))),
        ]
        for name in self:
            store = self[name]
            count = f"{store.sizes['image']:,} images" + (
                " (synthetic)" if int(store.attrs.get("synthetic", 0)) else ""
            )
            lines.append((f'["{name}"]', f"{count}, {store.attrs.get('role', '')}"))
        lines.append((".tables()", ", ".join(self.tables()) or "none"))
        if Path(ResultPaths(self.folder).claims()).is_file():
            counts = self.claims["verdict"].value_counts()
            lines.append((".claims", ", ".join(f"{count} {verdict}" for verdict, count in counts.items())))
        lines.append((".images()", "one row per image and network"))
        for name, path in (("report", self._page("report")), ("every image", self._page("explore"))):
            if path.is_file():
                lines.append((name, str(path)))
        return lines

    def _page(self, name: str) -> Path:
        return Path(getattr(ResultPaths(self.folder), name)())

    def __repr__(self) -> str:
        name = self.training.attrs.get("experiment", self.folder.name)
        return "\n".join([f"Experiment {name}", *(f"  {key:<16} {value}" for key, value in self._lines())])

    def _repr_html_(self) -> str:
        left = 'style="text-align: left"'
        rows = "".join(
            f"<tr><th {left}>{html.escape(key)}</th><td {left}>{html.escape(value)}</td></tr>"
            for key, value in self._lines()
        )
        name = html.escape(str(self.training.attrs.get("experiment", self.folder.name)))
        return f"<strong>Experiment {name}</strong><table>{rows}</table>"


def open_results(experiment: str | os.PathLike[str]) -> Results:
    """Open the results of an experiment.

    :param experiment: its folder, results/<name>; or its name, below the folder ``results`` here.
    :raises StoreError: where there are none.
    """
    folder = Path(experiment)
    return Results(folder if folder.is_dir() or len(folder.parts) > 1 else Path(results_of(folder.name)))
