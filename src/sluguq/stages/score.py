"""Scores of images by one trained model: SLUG with its standard error, errors, maps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sluguq.machine import extensions
from sluguq.machine.devices import device_in_words
from sluguq.machine.jobs import abandon_others, fingerprint
from sluguq.networks.network import Network, reconstruction_function
from sluguq.networks.reconstruction import reconstruct
from sluguq.networks.weights import load_network
from sluguq.slug.accuracy import Settled
from sluguq.slug.estimators import ScoreSettings, estimator_of
from sluguq.stages.basis_store import read_basis_store, words_of_basis
from sluguq.stages.keys import ModelId
from sluguq.stages.sample import sampled_rows
from sluguq.stages.score_blocks import FinishedBlocks, of_part
from sluguq.stages.settings import in_yaml
from sluguq.stages.unchanged import content_of_file, content_of_images, keep, put_back
from sluguq.stores.files import file_sha256
from sluguq.stores.provenance import provenance
from sluguq.stores.selection import ChosenRows, read_rows, tested_rows
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import FST_ATTRIBUTES, MAPS, PER_IMAGE, described, round_mantissa

BLOCK = 256
"""Images whose scores and maps are in memory at a time; an interrupted run loses no more than one such block."""


@dataclass(frozen=True)
class Scoring:
    """Which images are scored by which model, and how.

    :ivar images: prepared images.
    :ivar rows: which of them, None for all.
    :ivar weights: weights of the model.
    :ivar basis: its eigenbasis.
    :ivar model_id: which model; its probes are its own.
    :ivar settings: the section ``score`` of the configuration.
    """

    images: str | os.PathLike[str]
    rows: np.ndarray | None
    weights: str | os.PathLike[str]
    basis: str | os.PathLike[str]
    model_id: ModelId
    settings: Mapping[str, Any]


def score_or_put_back(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str] | None,
    weights: str | os.PathLike[str],
    basis: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    model_id: ModelId,
    dataset: str,
    settings: Mapping[str, Any],
    sample: Mapping[str, Any] | None,
    code: str,
    parts: Iterable[str | os.PathLike[str]] = (),
    share: tuple[int, int] | None = None,
) -> None:
    """Score one data set by one model, unless nothing that its scores depend on has changed since; or a share of it.

    What an interrupted run of this job left is gone on from; what one of other settings or code left is removed.

    :param images: prepared images.
    :param split: the seed's split, of which the test images are scored; None for all images, or those of the sample.
    :param weights: weights of the model.
    :param basis: its eigenbasis.
    :param path: store to write; of a share, folder of its blocks.
    :param model_id: which model.
    :param dataset: name of the data set.
    :param settings: the section ``score`` of the configuration.
    :param sample: the data set's ``sample``, None without one.
    :param code: fingerprint of the code that scores.
    :param parts: folders of the blocks that other jobs have scored.
    :param share: which share of the blocks this job scores, from 1, and how many shares there are; None for the store.
    """
    recipe = {
        **model_id._asdict(),
        "dataset": dataset,
        "score": settings,
        **({"sample": sample} if sample else {}),
    }
    content = content_of_images(images, split, ["*"] if split is None else ["test_*"])
    identity = fingerprint([recipe, code, [content, content_of_file(weights), content_of_file(basis)]])
    rows = tested_rows(images, split) if split else sampled_rows(images, sample)
    path = Path(path)
    state = path.with_name(f".{path.name}-{identity}")
    abandon_others(state)
    scoring = Scoring(images, rows, weights, basis, model_id, settings)
    finished = FinishedBlocks(state, parts)
    if share is not None:
        score_part(scoring, finished=finished, part=share[0], parts=share[1])
        state.mkdir(exist_ok=True)
        state.rename(path)
    elif not put_back([path], identity):
        score_store(scoring, path, configuration=in_yaml(recipe), finished=finished)
        keep([path], identity)
    shutil.rmtree(state, ignore_errors=True)


def score_images(
    network: Network,
    basis: Any,
    pixels: np.ndarray,
    *,
    key: jax.Array,
    positions: np.ndarray | None = None,
    settled: Settled | None = None,
    parameters: str = "all",
    precision: str = "float32",
    progress: bool = True,
    **settings: Any,
) -> dict[str, np.ndarray]:
    """Every variable of a score store for images uint8 (n, height, width, channels).

    :param network: the network.
    :param basis: of any estimator, or None.
    :param pixels: the images.
    :param key: of the probes.
    :param positions: where the images are in the whole set, if they are a part of one.
    :param settled: of the whole set, as :func:`settled_of` has it.
    :param parameters: all or decoder.
    :param precision: of the network's products.
    :param progress: show a progress bar.
    :param settings: as :class:`~sluguq.slug.estimators.ScoreSettings` has them.
    """
    options = ScoreSettings(**settings)
    apply, params = reconstruction_function(network, parameters=parameters, precision=precision)  # type: ignore[arg-type]
    scores = estimator_of(basis).score(
        apply, params, basis, pixels, options, key=key, positions=positions, settled=settled, progress=progress
    )
    forward = reconstruct(network, pixels)
    values = {
        "mse": forward.mse,
        "latent_std": forward.latent_std,
        "kl": forward.kl,
        "slug": scores.slug,
        "slug_sem": scores.slug_sem,
        "jacobian_norm": scores.jacobian_norm,
        "jacobian_norm_sem": scores.jacobian_norm_sem,
        "probes": np.broadcast_to(np.asarray(scores.probes, "int32"), len(pixels)),
        **{name: added["function"](network, pixels) for name, added in extensions.SIGNALS.items()},
    }
    if options.maps:
        values |= {"error_map": round_mantissa(forward.error_map), "reconstruction": forward.reconstruction}
        if scores.maps is not None:
            values["slug_map"] = round_mantissa(scores.maps)
    return values


def settled_of(
    network: Network,
    basis: Any,
    pixels: Any,
    *,
    key: jax.Array,
    parameters: str = "all",
    precision: str = "float32",
    **settings: Any,
) -> Settled | None:
    """What an accuracy asks for on a whole set of images, of which parts are then scored; as for `score_images`.

    :param network: the network.
    :param basis: of any estimator, or None.
    :param pixels: images uint8 (n, height, width, channels).
    :param key: of the probes.
    :param parameters: all or decoder.
    :param precision: of the network's products.
    :param settings: as :class:`~sluguq.slug.estimators.ScoreSettings` has them.
    :returns: None where no accuracy is asked for.
    """
    options = ScoreSettings(**settings)
    apply, params = reconstruction_function(network, parameters=parameters, precision=precision)  # type: ignore[arg-type]
    settled = estimator_of(basis).settled(apply, params, basis, pixels, options, key=key)
    if settled is not None:
        split = settled.split
        print(
            f"{split.shared} shared directions, {split.directions} of each image's own, {split.probes} probes: "
            f"{split.cost:.0f} forward passes an image"
        )
    return settled


def score_store(
    scoring: Scoring, path: str | os.PathLike[str], *, configuration: str, finished: FinishedBlocks | None = None
) -> None:
    """Score images of a prepared store and write ``scores/<configuration>/seed-<seed>/<dataset>.zarr``.

    :param scoring: what is scored, and how.
    :param path: store to write.
    :param configuration: what the scores depend on, as YAML, for the store's attributes.
    :param finished: blocks that an earlier run or other jobs have scored; those that lack are scored and kept there.
    """
    blocks = _Blocks(scoring, finished or FinishedBlocks())
    store, rows = blocks.store, blocks.rows
    first = blocks.block(0)
    origin = {"synthetic": int(store.attrs.get("synthetic", 0)), "weights_sha256": file_sha256(scoring.weights)}
    attributes = provenance(
        f"Scores of configuration {scoring.model_id.configuration}, seed {scoring.model_id.seed}",
        words_of_basis(scoring.basis),
        configuration,
        device_in_words(),
    )
    with StoreWriter(path, attributes={**origin, **attributes}) as writer:
        for name in ("id", "fst"):
            values = store[name].values[rows]
            writer.create(
                name, ("image",), values.shape, values.dtype, coordinate=True,
                attributes=FST_ATTRIBUTES if name == "fst" else described("name of the image", "data set"),
            )  # fmt: skip
            writer.write(name, ..., values)
        _declare(writer, [name for name in (*PER_IMAGE, *MAPS) if name in first], len(rows), store["pixels"].shape[1:])
        for start in blocks.starts:
            for name, values in (first if start == 0 else blocks.block(start)).items():
                writer.append(name, values)


def score_part(scoring: Scoring, *, finished: FinishedBlocks, part: int, parts: int) -> None:
    """Score the blocks of one job of several, for :func:`score_store` to gather: the same values, however many jobs.

    :param scoring: what all of them score, and how.
    :param finished: where the blocks are kept.
    :param part: number of this job, from 1.
    :param parts: how many jobs there are.
    """
    blocks = _Blocks(scoring, finished)
    for start in of_part(blocks.starts, part, parts):
        blocks.block(start)


class _Blocks:
    """Scores block by block; network and basis are read when the first block is scored."""

    def __init__(self, scoring: Scoring, finished: FinishedBlocks) -> None:
        self.store = open_store(scoring.images)
        self.rows = np.arange(self.store.sizes["image"]) if scoring.rows is None else scoring.rows
        self.starts = range(0, len(self.rows), BLOCK)
        self._scoring, self._finished = scoring, finished
        self._key = scoring.model_id.key("probes")
        self._model: tuple[Network, Any] | None = None
        self._settled: Settled | None = None  # of all images, whichever of them this job scores

    def block(self, start: int) -> Mapping[str, np.ndarray]:
        """Values of the block that begins with image ``start``: as kept, or scored now and kept."""
        values = self._finished.load(start)
        if values is not None:
            return values
        if self._model is None:
            self._model = load_network(Path(self._scoring.weights)), read_basis_store(self._scoring.basis)
            whole = ChosenRows(self.store["pixels"], self.rows)
            self._settled = settled_of(*self._model, whole, key=self._key, **self._scoring.settings)
        rows = self.rows[start : start + BLOCK]
        positions = np.arange(start, start + len(rows))
        pixels = read_rows(self.store["pixels"], rows)
        try:
            scores = score_images(
                *self._model,
                pixels,
                key=self._key,
                positions=positions,
                settled=self._settled,
                **self._scoring.settings,
            )
        except ValueError as error:
            error.add_note(
                f"images are counted from {self.store['id'].values[rows[0]]!r} on, in {self._scoring.images}"
            )
            raise
        self._finished.save(start, scores)
        return scores


def _declare(writer: StoreWriter, names: Sequence[str], count: int, shape: tuple[int, ...]) -> None:
    variables = {**PER_IMAGE, **MAPS}
    for name in names:
        variable = variables[name]
        size = (count, *shape[: len(variable.dimensions) - 1])
        writer.create(name, variable.dimensions, size, variable.dtype, attributes=variable.attributes)
