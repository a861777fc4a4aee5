"""Cheaper rivals of SLUG as variables of an aggregated store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sluguq.stages.rival_table import WHOLE, read_rivals
from sluguq.stores.store import StoreWriter
from sluguq.stores.variables import PASSES, RIVAL, SLUG_PAPER, described


def write_rivals(
    writer: StoreWriter,
    tables: Mapping[tuple[str, int], str | os.PathLike[str]],
    configurations: Sequence[str],
    seeds: Sequence[int],
    ids: pd.Index,
) -> None:
    """Write ``rival_<name>`` (configuration, seed, image) of every rival; NaN where a seed did not test an image.

    The attribute `PASSES` has the forward passes an image that it took, a mean over models. That of SLUG itself goes to
    an attribute of the same name of every rival, with ``_of_slug`` after it.

    :param writer: of the aggregated store.
    :param tables: csv of every (configuration, seed), see :func:`~sluguq.stages.rival_table.read_rivals`.
    :param configurations: the store's axis.
    :param seeds: likewise.
    :param ids: names of the store's images.
    """
    frames = {key: read_rivals(path) for key, path in tables.items()}
    every = pd.concat(frames.values())
    passes = every.groupby("rival")["passes"].mean()
    for name in (name for name in dict.fromkeys(every["rival"]) if name != WHOLE):
        values = np.full((len(configurations), len(seeds), len(ids)), np.nan, np.float32)
        for (configuration, seed), table in frames.items():
            part = table[table["rival"] == name]
            place = configurations.index(configuration), seeds.index(seed)
            values[place][ids.get_indexer(part["id"])] = part["slug"].to_numpy(np.float32)
        source = f"Tr J (I - U U^T) J^T over some of the weights; {SLUG_PAPER}, eq. 6"
        attributes = {
            **described(f"SLUG of {name.replace('_', ' ')} alone", source),
            PASSES: float(passes[name]),
            f"{PASSES}_of_slug": float(passes[WHOLE]),
        }
        dimensions = ("configuration", "seed", "image")
        writer.create(RIVAL + name, dimensions, values.shape, "float32", attributes=attributes)
        writer.write(RIVAL + name, ..., values)
