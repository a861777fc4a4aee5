"""The networks of an experiment that can judge new photographs, and what they scored on its test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
import yaml

from sluguq.analysis.aggregated import groups_of, middle_configuration, mixes_of
from sluguq.config.experiment import Score
from sluguq.config.paths import ResultPaths
from sluguq.images.decoding import Fit
from sluguq.machine.errors import SluguqError
from sluguq.stores.files import file_sha256
from sluguq.stores.store import open_store


class FlagError(SluguqError, ValueError):
    """Photographs cannot be judged as asked; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Judge:
    """A trained network whose eigenbasis was kept.

    reference: what it scored on its seed's test images; columns group, slug, mse; the index is the image's place in the
    experiment's store.
    """

    seed: int
    weights: Path
    basis: Path
    reference: pd.DataFrame


@dataclass(frozen=True)
class Judges:
    """The networks that judge, and the experiment that they come from."""

    experiment: str
    dataset: str
    configuration: str
    mix: Mapping[str, float]
    groups: Mapping[str, list[int]]
    seeds: int
    synthetic: bool
    size: int
    fit: Fit
    score: Mapping[str, Any]
    pixels: xr.DataArray
    networks: tuple[Judge, ...]


def find_judges(experiment: Path, configuration: str | None = None) -> Judges:
    """The networks of one configuration whose eigenbases were kept, with their reference distributions.

    :param experiment: folder of its results.
    :param configuration: its name; None takes the most mixed one.
    :raises FlagError: where there is no such experiment or configuration, no eigenbasis was kept, or weights have
        changed.
    """
    store = _reference_store(experiment)
    resolved = yaml.safe_load(store.attrs.get("configuration") or "{}")
    names = [str(name) for name in store["configuration"].values]
    configuration = names[middle_configuration(store)] if configuration is None else configuration
    if configuration not in names:
        raise FlagError(f"{experiment} has no configuration {configuration!r}; it has {', '.join(names)}")
    seeds = [int(seed) for seed in store["seed"].values]
    networks = tuple(
        _network(experiment, store, configuration, seed) for seed in seeds if _kept(experiment, configuration, seed)
    )
    if not networks:
        others = [name for name in names if any(_kept(experiment, name, seed) for seed in seeds)]
        hint = f"; those of configuration {', '.join(others)} were kept (--configuration)" if others else ""
        raise FlagError(
            f"no eigenbasis of configuration {configuration} is left under {experiment / 'eigenbases'}{hint}. "
            "Set eigenbasis.keep to all or first_seed in the experiment's configuration, and run the workflow again: "
            "it computes the eigenbases anew and trains nothing"
        )
    score = Score(**resolved["score"])
    return Judges(
        experiment=str(store.attrs.get("experiment", experiment.name)),
        dataset=str(store.attrs.get("dataset", "")),
        configuration=configuration,
        mix=mixes_of(store).get(configuration, {}),
        groups=groups_of(store),
        seeds=len(seeds),
        synthetic=bool(int(store.attrs.get("synthetic", 0))),
        size=int(resolved["images"]["size"]),
        fit=resolved["images"]["fit"],
        score=score.settings(maps=bool(score.maps)),
        pixels=store["pixels"],
        networks=networks,
    )


def _reference_store(experiment: Path) -> xr.Dataset:
    """The aggregated store of the data set that the experiment trained on."""
    if not experiment.is_dir():
        raise FlagError(f"there is no experiment at {experiment}; give the folder of its results, results/<name>")
    for path in sorted(experiment.glob("*.zarr")):
        store = open_store(path)
        if store.attrs.get("role") == "training":
            return store
    raise FlagError(f"{experiment} has no store of scored test images; run the workflow for this experiment first")


def _basis_path(experiment: Path, configuration: str, seed: int) -> Path:
    return Path(ResultPaths(experiment).eigenbasis(configuration, seed))


def _kept(experiment: Path, configuration: str, seed: int) -> bool:
    return (_basis_path(experiment, configuration, seed) / "zarr.json").is_file()


def _network(experiment: Path, store: xr.Dataset, configuration: str, seed: int) -> Judge:
    scores = store.sel(configuration=configuration, seed=seed)
    weights = Path(ResultPaths(experiment).weights(configuration, seed))
    if not weights.is_file():
        raise FlagError(f"{weights} is missing; run the workflow again, which trains this network anew")
    digest = str(scores["weights_sha256"].item()) if "weights_sha256" in store.coords else ""
    if digest and digest != file_sha256(weights):
        raise FlagError(
            f"{weights} is not the network that scored the experiment's test images; run the workflow again"
        )
    columns = {name: scores[name].values for name in ("slug", "mse")}
    reference = pd.DataFrame({"group": scores["group"].values.astype(str), **columns})
    return Judge(seed, weights, _basis_path(experiment, configuration, seed), reference.dropna(subset=["slug", "mse"]))
