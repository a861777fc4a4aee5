"""Streams of NumPy's random numbers, one for each use of a seed."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, use: str) -> np.random.Generator:
    """Random numbers of one use of a seed, independent of all other uses."""
    number = int.from_bytes(hashlib.sha256(use.encode()).digest()[:8], "big")
    return np.random.default_rng(np.random.SeedSequence([seed, number]))
