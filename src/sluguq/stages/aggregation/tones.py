"""Skin tones of prior samples and of the images that each model was trained on, as angles (ITA)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from sluguq.images.skin_colour import ita
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import FST_ATTRIBUTES, described

_BLOCK = 256  # images read at a time


def write_tones(
    writer: StoreWriter,
    configurations: Sequence[str],
    seeds: Sequence[int],
    samples: Mapping[tuple[str, int], str | os.PathLike[str]],
    images: str | os.PathLike[str],
    splits: Mapping[int, str | os.PathLike[str]],
) -> None:
    """Write ``sample_ita``, ``training_ita`` and ``training_fst`` of every model.

    All angles are of the whole picture's median colour (`images.skin_colour.ita`), without lesion masks, which
    samples have none of. Training images are in the split's order, one drawn twice being there twice; rows that a
    smaller training set lacks are NaN, with type -1.

    :param writer: store of models that is being written.
    :param configurations: along ``configuration``.
    :param seeds: along ``seed``.
    :param samples: store of each model's pictures; one without ``samples`` has no ``sample_ita``.
    :param images: prepared images of the training data set.
    :param splits: split of each seed.
    """
    store = open_store(images)
    rows = {
        (name, seed): rows_of_role(store, splits[seed], f"train_{name}") for name in configurations for seed in seeds
    }
    distinct = np.unique(np.concatenate(list(rows.values())))
    angle = np.full(store.sizes["image"], np.nan)
    for start in range(0, len(distinct), _BLOCK):
        some = distinct[start : start + _BLOCK]
        angle[some] = angles(read_rows(store["pixels"], some))
    types = store["fst"].values
    shape = (len(configurations), len(seeds), max(map(len, rows.values())))
    training = np.full(shape, np.nan)
    fst = np.full(shape, -1, np.int8)
    for (name, seed), own in rows.items():
        place = configurations.index(name), seeds.index(seed), slice(len(own))
        training[place], fst[place] = angle[own], types[own]
    axes = ("configuration", "seed", "training_image")
    source = "ITA of the picture's median colour; Chardon et al. 1991"
    _write(writer, "training_ita", axes, training, described("skin tone of the training images", source, "degree"))
    _write(writer, "training_fst", axes, fst, FST_ATTRIBUTES)
    pictures = {key: open_store(file) for key, file in samples.items()}
    if all("samples" in store for store in pictures.values()):
        sample_tones = np.stack(
            [[angles(pictures[name, seed]["samples"].values) for seed in seeds] for name in configurations]
        )
        attributes = described("skin tone of images drawn from the prior", source, "degree")
        _write(writer, "sample_ita", ("configuration", "seed", "sample"), sample_tones, attributes)


def angles(pictures: np.ndarray) -> np.ndarray:
    """ITA in degrees of each of the pictures (n, height, width, 3): float64 (n,).

    :param pictures: uint8.
    """
    return np.array([ita(picture) for picture in pictures])


def _write(
    writer: StoreWriter, name: str, dimensions: tuple[str, ...], values: np.ndarray, attributes: Mapping[str, object]
) -> None:
    writer.create(name, dimensions, values.shape, values.dtype, attributes=dict(attributes))
    writer.write(name, ..., values)
