"""Score stores of single models, gathered along configuration and seed into one store a data set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.images.complexity import compressed_size, total_variation
from sluguq.stages.aggregation.axes import model_axes, write_model_axes
from sluguq.stages.aggregation.ensemble import ENSEMBLE_VARIANCE, ensemble_variance
from sluguq.stages.aggregation.rivals import write_rivals
from sluguq.stores.provenance import provenance
from sluguq.stores.selection import read_rows
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import IMAGE_COORDINATES, MAPS, PER_IMAGE, TESTED, described

ScorePaths = Mapping[tuple[str, int], str | os.PathLike[str]]

BLOCK = 256
"""Images that are in memory at a time."""


def aggregate_scores(
    image_stores: Sequence[str | os.PathLike[str]],
    scores: ScorePaths,
    path: str | os.PathLike[str],
    *,
    experiment: str,
    dataset: str,
    role: str,
    groups: Mapping[str, Sequence[int]],
    configuration: str,
    rivals: Mapping[tuple[str, int], str | os.PathLike[str]] | None = None,
) -> None:
    """Gather the scores of one data set by every model into ``results/<experiment>/<dataset>.zarr``.

    The dimension ``image`` is the union of the images that any model was scored on, in the order of the image
    stores; values of images that a seed did not test are NaN (0 where a variable is of integers, as reconstructions
    are), which the coordinate ``tested`` (seed, image) tells from values. With two seeds or
    more and stored reconstructions there is ``ensemble_variance`` besides.

    :param image_stores: prepared images; together they hold every scored id.
    :param scores: score store of each (configuration, seed); every combination must be there.
    :param path: store to write.
    :param experiment: name of the experiment.
    :param dataset: name of the data set.
    :param role: ``training``, ``external`` or ``artefacts``.
    :param groups: skin types of every group.
    :param configuration: resolved configuration as YAML.
    :param rivals: table of cheaper scores of each (configuration, seed), from `sluguq.stages.rivals`; each becomes a
        variable ``rival_<name>``, with what it took as its attribute ``forward_passes``.
    :raises ValueError: where a combination of configuration and seed is missing, or a scored image is in no image
        store.
    """
    configurations, seeds = model_axes(scores)
    stores = {key: open_store(store) for key, store in scores.items()}
    names = pd.Index(sorted({i for store in stores.values() for i in store.id.values}))
    images = _Images([open_store(store) for store in image_stores], names)
    group_of = {fst: group for group, types in groups.items() for fst in types}
    first = next(iter(stores.values()))
    attributes = {
        "experiment": experiment,
        "dataset": dataset,
        "role": role,
        "synthetic": int(images.synthetic),
        "groups": json.dumps({group: list(types) for group, types in groups.items()}),
        **provenance(
            f"Scores of {dataset} by every configuration and seed of the experiment {experiment}",
            "; ".join(dict.fromkeys(str(store.attrs.get("source", "")) for store in stores.values())),
            configuration,
            str(first.attrs.get("device", "")),
        ),
    }
    models = (len(configurations), len(seeds))
    with StoreWriter(path, attributes=attributes) as writer:
        write_model_axes(writer, configurations, seeds)
        digests = [[stores[name, seed].attrs.get("weights_sha256", "") for seed in seeds] for name in configurations]
        writer.create(
            "weights_sha256",
            ("configuration", "seed"),
            models,
            object,
            attributes=described("SHA-256 of the model's weights.safetensors", "training"),
            coordinate=True,
        )
        writer.write("weights_sha256", ..., np.array(digests, dtype=object))
        images.write(writer, group_of)
        count = len(images.ids)
        rows = {key: images.ids.get_indexer(store.id.values) for key, store in stores.items()}
        writer.create("tested", ("seed", "image"), (len(seeds), count), bool, attributes=TESTED, coordinate=True)
        membership = np.zeros((len(seeds), count), bool)
        for (_, seed), places in rows.items():
            membership[seeds.index(seed), places] = True
        writer.write("tested", ..., membership)
        for name, variable in {**PER_IMAGE, **MAPS}.items():
            if name not in first:
                continue
            writer.create(
                name,
                ("configuration", "seed", *variable.dimensions),
                (*models, count, *first[name].shape[1:]),
                variable.dtype,
                attributes=dict(first[name].attrs),
            )
        for (name, seed), store in stores.items():
            position = (configurations.index(name), seeds.index(seed))
            whole = np.array_equal(rows[name, seed], np.arange(count))
            for scored_name in (n for n in (*PER_IMAGE, *MAPS) if n in store):
                if not (whole and writer.adopt(scored_name, position, scores[name, seed])):
                    _scatter(writer, scored_name, position, rows[name, seed], store[scored_name], count)
        if rivals:
            write_rivals(writer, rivals, configurations, seeds, images.ids)
        if len(seeds) > 1 and "reconstruction" in first:
            writer.create(
                "ensemble_variance",
                ("configuration", "image"),
                (len(configurations), count),
                "float32",
                attributes=ENSEMBLE_VARIANCE,
            )
            for place, name in enumerate(configurations):
                members = [(stores[name, seed]["reconstruction"], rows[name, seed]) for seed in seeds]
                writer.write("ensemble_variance", place, ensemble_variance(members, count))


class _Images:
    """The images of an aggregated store: coordinates, pixels and what they cost to compress."""

    def __init__(self, stores: Sequence[xr.Dataset], scored: pd.Index):
        self.parts: list[tuple[xr.Dataset, np.ndarray]] = []
        names: list[str] = []
        for store in stores:
            rows = np.flatnonzero(np.isin(store.id.values, scored.difference(pd.Index(names)).values))
            self.parts.append((store, rows))
            names += list(store.id.values[rows])
        self.ids = pd.Index(names)
        absent = scored.difference(self.ids)
        if len(absent):
            raise ValueError(f"{len(absent)} scored images are in no image store, the first is {absent[0]!r}")
        self.synthetic = any(store.attrs.get("synthetic", 0) for store, _ in self.parts)

    def _gather(self, name: str) -> np.ndarray:
        return np.concatenate([read_rows(store[name], rows) for store, rows in self.parts])

    def write(self, writer: StoreWriter, group_of: Mapping[int, str]) -> None:
        """Write everything that belongs to an image alone."""
        count = len(self.ids)
        shared = [
            name
            for name in self.parts[0][0].variables
            if all(name in store.variables for store, _ in self.parts)
            and name not in ("pixels", "image", "y", "x", "channel")
        ]
        columns = {str(name): self._gather(str(name)) for name in shared if self.parts[0][0][name].dims == ("image",)}
        columns["group"] = np.array([group_of.get(int(fst), "") for fst in columns["fst"]], dtype=object)
        for name, values in columns.items():
            described_as = IMAGE_COORDINATES.get(name) or dict(self.parts[0][0][name].attrs)
            values = values.astype(object) if values.dtype.kind in "OTU" else values
            writer.create(
                name, ("image",), (count,), values.dtype, attributes=described_as, coordinate=name in IMAGE_COORDINATES
            )
            writer.write(name, ..., values)
        planes = [str(n) for n in shared if self.parts[0][0][n].ndim > 1]
        for name in ("pixels", *planes):
            template = self.parts[0][0][name]
            dimensions = tuple(str(d) for d in template.dims)
            writer.create(
                name, dimensions, (count, *template.shape[1:]), template.dtype, attributes=dict(template.attrs)
            )
        for name, (long_name, source) in _COMPLEXITY.items():
            writer.create(name, ("image",), (count,), "float32", attributes=described(long_name, source))
        for store, rows in self.parts:
            for start in range(0, len(rows), BLOCK):
                block = rows[start : start + BLOCK]
                pixels = read_rows(store["pixels"], block)
                writer.append("pixels", pixels)
                writer.append("total_variation", total_variation(pixels))
                writer.append("compressed_size", compressed_size(pixels))
                for name in planes:
                    writer.append(name, read_rows(store[name], block))


_COMPLEXITY = {
    "total_variation": (
        "mean absolute difference of neighbouring pixels, intensities from -1 to 1",
        "image complexity, a baseline that needs no model",
    ),
    "compressed_size": (
        "bytes of the losslessly compressed image, per pixel and channel",
        "image complexity, a baseline that needs no model",
    ),
}


def _scatter(
    writer: StoreWriter, name: str, position: tuple[int, int], rows: np.ndarray, values: xr.DataArray, count: int
) -> None:
    """Write one model's values at their images' rows, a block of images at a time."""
    empty = np.nan if values.dtype.kind == "f" else 0
    order = np.argsort(rows)
    step = writer.shard_length(name, axis=2)
    for start in range(0, count, step):
        stop = min(start + step, count)
        inside = order[(rows[order] >= start) & (rows[order] < stop)]
        if not len(inside):
            continue
        block = np.full((stop - start, *values.shape[1:]), empty, dtype=values.dtype)
        block[rows[inside] - start] = read_rows(values, inside)
        writer.write(name, (*position, slice(start, stop)), block)
