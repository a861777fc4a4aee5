"""Random keys of models: independent between configurations, seeds and uses, the same on every run."""

from __future__ import annotations

import hashlib

import jax


def model_number(configuration: str, seed: int, use: str) -> int:
    """31 bits that belong to one use of one model."""
    text = f"{configuration}/{seed}/{use}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def model_key(configuration: str, seed: int, use: str) -> jax.Array:
    """Random key for one use of one model."""
    return jax.random.key(model_number(configuration, seed, use))
