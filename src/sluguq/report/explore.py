"""The page of every scored image of an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

import sluguq
from sluguq.analysis.aggregated import groups_of, labels_of, middle_configuration, mixes_of
from sluguq.analysis.percentiles import UNUSUAL, percentiles_by_model
from sluguq.analysis.tables import signal_label, signals_in
from sluguq.figures.pictures import pads_with_zeros
from sluguq.figures.style import fst_colours, group_colours
from sluguq.report.explorer import Collection, Column, Look, Network, Pictures, Signal, write_explorer
from sluguq.stores.selection import read_rows

MOST_PICTURES = 100_000
"""With more maps and reconstructions than these, only the first network of a configuration that tested an image has
pictures of it on the page."""

_TITLES = {"training": "test images", "external": "not trained on", "artefacts": "with drawn artefacts"}


def write_explore_page(path: str | Path, datasets: Mapping[str, xr.Dataset], files: str | Path) -> None:
    """Write the page.

    :param path: the html file.
    :param datasets: the opened aggregated stores by name.
    :param files: folder beside the page for its data and pictures.
    """
    reference = next(store for store in datasets.values() if store.attrs.get("role") == "training")
    groups = groups_of(reference)
    mixes = {
        name: ", ".join(f"{100 * share:.0f} % {group}" for group, share in mix.items())
        for name, mix in mixes_of(reference).items()
    }
    scale = groups.scale
    types = {str(t): colour for t, colour in fst_colours(range(1, scale.levels + 1), scale).items()}
    look = Look(
        colours={"group": group_colours(groups), "fst": types | {"not known": fst_colours([-1])[-1]}},
        mixes=mixes,
        scale=scale.name,
        rim=pads_with_zeros(reference),
    )
    write_explorer(
        Path(path),
        [collection_of(name, store, reference) for name, store in datasets.items()],
        look,
        template="report/explore.html.j2",
        files=Path(files),
        experiment=reference.attrs.get("experiment", "unnamed"),
        synthetic=any(int(store.attrs.get("synthetic", 0)) for store in datasets.values()),
        unusual=UNUSUAL,
        version=sluguq.__version__,
    )


def collection_of(name: str, dataset: xr.Dataset, reference: xr.Dataset) -> Collection:
    """What the page shows of one aggregated store.

    :param name: of the data set.
    :param dataset: the store.
    :param reference: the store of the data set that was trained on, whose test images percentiles are among.
    """
    role = str(dataset.attrs.get("role", ""))
    mse = dataset["mse"].transpose("configuration", "seed", "image").values
    seeds = dataset.sizes["seed"]
    kinds = [kind for kind in ("reconstruction", "error_map", "slug_map") if kind in dataset]
    is_crowded = int(np.isfinite(mse).sum()) * len(kinds) > MOST_PICTURES
    signals = _signals(dataset, reference)
    networks = []
    for c, configuration in enumerate(dataset["configuration"].values.astype(str)):
        earlier = np.zeros(dataset.sizes["image"], bool)
        for s, seed in enumerate(dataset["seed"].values):
            rows = np.flatnonzero(np.isfinite(mse[c, s]))
            new_rows = np.flatnonzero(~earlier[rows]) if is_crowded else None
            earlier[rows] = True
            networks.append(
                Network(
                    configuration,
                    str(seed),
                    rows,
                    {key: values[c, s, rows] for key, values in signals.items()},
                    {kind: _pictures(dataset[kind].isel(configuration=c, seed=s), rows) for kind in kinds},
                    new_rows,
                )
            )
    whole = np.isfinite(mse).all()
    about = f"{dataset.sizes['image']:,} images ({_TITLES.get(role, role)})"
    if not whole:
        about += "; each seed tests its own"
    if is_crowded:
        about += "; maps are those of the first seed that tested an image"
    everyone = np.arange(dataset.sizes["image"])
    return Collection(
        name=name,
        title=f"{name} ({_TITLES.get(role, role)})" if role in ("training", "external") else name,
        about=f"{about}.",
        ids=dataset["id"].values.astype(str).tolist(),
        columns=_columns(dataset),
        signals=_labels(signals),
        networks=networks,
        pictures={
            kind: _pictures(dataset[variable], everyone)
            for kind, variable in (("photograph", "pixels"), ("mask", "artefact_mask"))
            if variable in dataset
        },
        first=str(dataset["configuration"].values[middle_configuration(dataset)]),
        all_seeds=seeds == 1 or not whole,
    )


def _labels(found: Iterable[str]) -> dict[str, Signal]:
    """These signals by their names for people, those that are looked at most first."""
    looked_at = {
        "slug": Signal("SLUG"),
        "mse": Signal("mean squared error"),
        "slug_percentile": Signal("SLUG, percentile", True),
        "mse_percentile": Signal("error, percentile", True),
    }
    there = list(found)
    others = {name: Signal(signal_label(name)) for name in signals_in(there) if name not in looked_at}
    return {name: label for name, label in {**looked_at, **others}.items() if name in there}


def _signals(dataset: xr.Dataset, reference: xr.Dataset) -> dict[str, np.ndarray]:
    """Every signal of the store along configuration, seed and image; standard errors end in _sem."""
    shape = tuple(dataset.sizes[d] for d in ("configuration", "seed", "image"))
    out = {}
    numbers = ("mse", *signals_in(dataset.data_vars))
    for name in (*numbers, *(f"{n}_sem" for n in numbers)):
        if name in dataset:
            values = dataset[name]
            lacking = [d for d in ("configuration", "seed") if d not in values.dims]
            along = values.expand_dims(lacking).transpose("configuration", "seed", "image").values
            out[name] = np.broadcast_to(along, shape)
    for name in ("slug", "mse"):
        if name in dataset and name in reference:
            out[f"{name}_percentile"] = percentiles_by_model(dataset, reference, name)
    return out


def _columns(dataset: xr.Dataset) -> dict[str, Column]:
    """Group, skin type and labels of every image, in words."""
    columns = {}
    for key in ("group", "fst", "artefact", *labels_of(dataset), "patient"):
        if key not in dataset:
            continue
        words = [_word(value) for value in dataset[key].values.tolist()]
        if key == "fst":
            words = ["not known" if word == "-1" else word for word in words]
        if len(set(words)) > 1:
            label = {"fst": "skin type", "artefact": "drawn artefact"}.get(key, key.removeprefix("label_"))
            columns[key] = Column(label.replace("_", " "), words, list(groups_of(dataset)) if key == "group" else [])
    return columns


def _word(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)


def _pictures(values: xr.DataArray, rows: np.ndarray) -> Pictures:
    """The pictures of some of these rows of a stored variable."""
    order = ("image", "y", "x", "channel") if "channel" in values.dims else ("image", "y", "x")

    def pictures_at(places: np.ndarray) -> np.ndarray:
        return read_rows(values.transpose(*order), rows[places])

    return pictures_at
