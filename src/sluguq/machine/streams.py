"""Streams of random numbers from a seed: the one place that makes them.

Every use of a seed has a stream of its own, so that a further use changes no other. A use is a name, or numbers that
say which image and what for.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, use: str | int) -> np.random.Generator:
    """Random numbers of one use of a seed, independent of all other uses.

    :param seed: a seed from 0.
    :param use: a name, or a number that stands for one.
    """
    number = use if isinstance(use, int) else int.from_bytes(hashlib.sha256(use.encode()).digest()[:8], "big")
    return np.random.default_rng(np.random.SeedSequence([seed, number]))


def plain_stream(seed: int = 0) -> np.random.Generator:
    """Random numbers of a seed that has this one use; by default the same in every run, where any draw will do.

    :param seed: from 0.
    """
    return np.random.default_rng(seed)


def keyed_stream(seed: int, *key: int) -> np.random.Generator:
    """Random numbers of one purpose of one drawn image, whichever others are drawn (PCG64).

    :param seed: from 0.
    :param key: numbers that say which image and what for.
    """
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))


def drawing_stream(seed: int, *key: int) -> np.random.Generator:
    """The same from a generator that is cheap to start for every stroke (Philox).

    :param seed: from 0.
    :param key: as for :func:`keyed_stream`.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy=seed, spawn_key=key)))
