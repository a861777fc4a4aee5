"""A random part of some images in which every kind of image keeps its share."""

import numpy as np


def balanced_subset(kinds: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``count`` images, rising, of every kind as nearly its share as whole numbers allow.

    :param kinds: (n,) what kind of image each is, for example its skin type.
    :param count: how many; all where there are no more.
    :param rng: draws within every kind.
    """
    if count >= len(kinds):
        return np.arange(len(kinds))
    names, sizes = np.unique(kinds, return_counts=True)
    exact = sizes * count / len(kinds)
    counts = np.floor(exact).astype(int)
    # Largest remainders: what lacks goes to the kinds that lost most by rounding down.
    counts[np.argsort(counts - exact, kind="stable")[: count - counts.sum()]] += 1
    parts = [
        rng.choice(np.flatnonzero(kinds == name), size, replace=False) for name, size in zip(names, counts, strict=True)
    ]
    return np.sort(np.concatenate(parts))
