"""The two dimensions along which models are gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sluguq.stores.store import StoreWriter
from sluguq.stores.variables import described


def model_axes(models: Mapping[tuple[str, int], Any]) -> tuple[list[str], list[int]]:
    """Configurations in the order given, and seeds in rising order.

    :param models: configuration and seed of each.
    :raises ValueError: where a combination of configuration and seed is missing.
    """
    configurations = list(dict.fromkeys(name for name, _ in models))
    seeds = sorted({seed for _, seed in models})
    lacking = [(name, seed) for name in configurations for seed in seeds if (name, seed) not in models]
    if lacking:
        raise ValueError(f"there is nothing for (configuration, seed) {lacking}; run those models too")
    return configurations, seeds


def write_model_axes(writer: StoreWriter, configurations: Sequence[str], seeds: Sequence[int]) -> None:
    """Write the coordinates `configuration` and `seed`.

    :param writer: of the store.
    :param configurations: names, in order.
    :param seeds: in order.
    """
    for name, values, long_name in (
        ("configuration", np.array(configurations, dtype=object), "mix of groups that was trained on"),
        ("seed", np.array(seeds, dtype="int64"), "independent repetition"),
    ):
        attributes = described(long_name, "configuration of the experiment")
        writer.create(name, (name,), (len(values),), values.dtype, attributes=attributes, coordinate=True)
        writer.write(name, ..., values)
