"""Splits as files: drawn from an image store, counted from each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sluguq.datasets.splits import make_split, split_sizes
from sluguq.stores.selection import image_table
from sluguq.stores.tables import read_split, write_table


def draw_split(
    images: str | os.PathLike[str],
    path: str | os.PathLike[str],
    groups: Mapping[str, Sequence[int]],
    configurations: Mapping[str, Mapping[str, float]],
    *,
    seed: int,
    held_out: Sequence[str | os.PathLike[str]] = (),
    **settings: Any,
) -> None:
    """Write the split of one seed.

    :param images: prepared images of the training data set.
    :param path: csv to write.
    :param groups: FSTs of each group.
    :param configurations: share of each group in the training images of each configuration.
    :param seed: seed of all draws.
    :param held_out: prepared images that are neither trained on nor tested here.
    :param settings: the other arguments of :func:`sluguq.datasets.splits.make_split`.
    """
    names = {name for store in held_out for column in ("id", "sha256") for name in image_table(store)[column]}
    write_table(path, make_split(image_table(images), groups, configurations, seed=seed, held_out=names, **settings))


def write_split_sizes(path: str | os.PathLike[str], splits: Mapping[int, str | os.PathLike[str]]) -> None:
    """Write how many images every role of every split has.

    :param path: csv to write.
    :param splits: splits by seed.
    """
    write_table(path, split_sizes({seed: read_split(split) for seed, split in splits.items()}))
