"""Maps of an aggregated store, read one model at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sluguq.stores.selection import read_rows


def maps_by_model(
    dataset: xr.Dataset, block: int | None = None
) -> Iterator[tuple[int, int, np.ndarray, dict[str, np.ndarray]]]:
    """Model by model: its configuration and seed, the positions of the images it scored, and their maps.

    At most `block` images at a time, by default all of a model's, so that a store's files are read from one end to
    the other.

    :param dataset: an opened aggregated store.
    :param block: how many images; None for all.
    """
    scored = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values)
    maps = {n: dataset[n].transpose("configuration", "seed", "image", "y", "x") for n in ("slug_map", "error_map")}
    for c, s in np.ndindex(*scored.shape[:2]):
        every = np.flatnonzero(scored[c, s])
        for start in range(0, len(every), block or max(len(every), 1)):
            places = every[start : start + block] if block else every
            yield c, s, places, {n: read_rows(v.isel(configuration=c, seed=s), places) for n, v in maps.items()}
