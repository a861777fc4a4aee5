"""Scores of images by one trained model: SLUG with its standard error, errors, maps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sluguq.machine.devices import device_in_words
from sluguq.networks.network import Network, reconstruction_function
from sluguq.networks.reconstruction import reconstruct
from sluguq.networks.weights import load_network
from sluguq.slug.estimators import ScoreSettings, estimator_of
from sluguq.stages.basis_store import read_basis
from sluguq.stages.keys import model_key
from sluguq.stores.files import file_sha256
from sluguq.stores.provenance import provenance
from sluguq.stores.selection import read_rows
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import FST_ATTRIBUTES, MAPS, PER_IMAGE, described, round_mantissa

BLOCK = 1024
"""Images whose scores and maps are in memory at a time."""


def score_images(
    network: Network,
    basis: Any,
    pixels: np.ndarray,
    *,
    key: jax.Array,
    parameters: str = "all",
    progress: bool = True,
    **settings: Any,
) -> dict[str, np.ndarray]:
    """Every variable of a score store for images uint8 (n, height, width, channels).

    :param network: the network.
    :param basis: of any estimator, or None.
    :param pixels: the images.
    :param key: of the probes.
    :param parameters: all or decoder.
    :param progress: show a progress bar.
    :param settings: as :class:`~sluguq.slug.estimators.ScoreSettings` has them.
    """
    asked = ScoreSettings(**settings)
    apply, params = reconstruction_function(network, parameters=parameters)  # type: ignore[arg-type]
    scores = estimator_of(basis).score(apply, params, basis, pixels, asked, key=key, progress=progress)
    seen = reconstruct(network, pixels)
    values = {
        "mse": seen.mse,
        "latent_std": seen.latent_std,
        "kl": seen.kl,
        "slug": scores.slug,
        "slug_sem": scores.slug_sem,
        "jacobian_norm": scores.jacobian_norm,
        "jacobian_norm_sem": scores.jacobian_norm_sem,
        "probes": np.broadcast_to(np.asarray(scores.probes, "int32"), len(pixels)),
    }
    if asked.maps:
        values |= {"error_map": round_mantissa(seen.error_map), "reconstruction": seen.reconstruction}
        if scores.maps is not None:
            values["slug_map"] = round_mantissa(scores.maps)
    return values


def score_store(
    images: str | os.PathLike[str],
    rows: np.ndarray | None,
    weights: str | os.PathLike[str],
    basis: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    configuration_name: str,
    seed: int,
    settings: Mapping[str, Any],
    configuration: str,
) -> None:
    """Score images of a prepared store and write ``scores/<configuration>/seed-<seed>/<dataset>.zarr``.

    :param images: prepared images.
    :param rows: which of them, None for all.
    :param weights: weights of the model.
    :param basis: its eigenbasis.
    :param path: store to write.
    :param configuration_name: name of the model's configuration, of which its probes are drawn.
    :param seed: the model's seed, likewise.
    :param settings: the section ``score`` of the configuration.
    :param configuration: what the scores depend on, as YAML, for the store's attributes.
    """
    store = open_store(images)
    rows = np.arange(store.sizes["image"]) if rows is None else rows
    network = load_network(Path(weights))
    vectors = read_basis(basis)
    key = model_key(configuration_name, seed, "probes")
    estimator = estimator_of(vectors)
    names = [*PER_IMAGE, *(name for name in MAPS if settings["maps"] and (estimator.maps or name != "slug_map"))]
    attributes = provenance(
        f"Scores of configuration {configuration_name}, seed {seed}",
        estimator.words,
        configuration,
        device_in_words(),
    )
    origin = {"synthetic": int(store.attrs.get("synthetic", 0)), "weights_sha256": file_sha256(weights)}
    with StoreWriter(path, attributes={**origin, **attributes}) as writer:
        for name in ("id", "fst"):
            values = store[name].values[rows]
            writer.create(
                name, ("image",), values.shape, values.dtype, coordinate=True,
                attributes=FST_ATTRIBUTES if name == "fst" else described("name of the image", "data set"),
            )  # fmt: skip
            writer.write(name, ..., values)
        _declare(writer, names, len(rows), store["pixels"].shape[1:])
        for block in _blocks(rows):
            pixels = read_rows(store["pixels"], block)
            try:
                scored = score_images(network, vectors, pixels, key=key, **settings)
            except ValueError as error:
                error.add_note(f"images are counted from {store['id'].values[block[0]]!r} on, in {images}")
                raise
            for name, values in scored.items():
                writer.append(name, values)


def _declare(writer: StoreWriter, names: Sequence[str], count: int, shape: tuple[int, ...]) -> None:
    known = {**PER_IMAGE, **MAPS}
    for name in names:
        variable = known[name]
        size = (count, *shape[: len(variable.dimensions) - 1])
        writer.create(name, variable.dimensions, size, variable.dtype, attributes=variable.attributes)


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]
