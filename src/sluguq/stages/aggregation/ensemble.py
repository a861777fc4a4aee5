"""The seeds' networks as an ensemble: how much their reconstructions of one image differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sluguq.stores.selection import read_rows
from sluguq.stores.variables import described

BLOCK = 256
"""Images that are in memory at a time."""

ENSEMBLE_VARIANCE = described(
    "variance of the reconstruction over seeds, intensities from -1 to 1",
    "Lakshminarayanan et al. 2017, over the networks of the seeds",
)


def ensemble_variance(members: Sequence[tuple[xr.DataArray, np.ndarray]], count: int) -> np.ndarray:
    """The variance over seeds (divisor n - 1) of the reconstruction, averaged over pixels and channels.

    Lakshminarayanan et al., Advances in Neural Information Processing Systems 30, 2017, with the networks of a
    configuration's seeds as the ensemble.

    :param members: for every seed its reconstructions, uint8 (its images, y, x, channel), and the position of each
        among all images.
    :param count: number of all images.
    :returns: float32 (count,), on the scale [-1, 1]; NaN where fewer than two seeds reconstructed the image.
    """
    shape = members[0][0].shape[1:]
    counts = np.bincount(np.concatenate([places for _, places in members]), minlength=count)
    out = np.full(count, np.nan, np.float32)
    for start in range(0, count, BLOCK):
        several = counts[start : start + BLOCK] > 1
        if not several.any():
            continue
        # Sums of integers are exact, so the order of the seeds does not matter; 32 bits hold those of 66,000 seeds.
        total = np.zeros((len(several), *shape), np.uint32)
        squares = np.zeros_like(total)
        for values, places in members:
            inside = np.flatnonzero((places >= start) & (places < start + len(several)))
            inside = inside[several[places[inside] - start]]
            if len(inside):
                pictures = read_rows(values, inside).astype(np.uint32)
                total[places[inside] - start] += pictures
                squares[places[inside] - start] += pictures * pictures
        n = counts[start : start + BLOCK][several].reshape(-1, *[1] * len(shape))
        variance = (squares[several] - total[several] * (total[several] / n)) / (n - 1)
        out[start : start + BLOCK][several] = variance.mean(axis=tuple(range(1, 1 + len(shape)))) / 127.5**2
    return out
