"""Which model of an experiment, and its random keys: independent between models and uses, the same on every run."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import jax


class ModelId(NamedTuple):
    """One model of an experiment.

    :ivar configuration: name of the configuration that it is trained on.
    :ivar seed: which of the repetitions.
    """

    configuration: str
    seed: int

    def number(self, use: str) -> int:
        """31 bits that belong to one use of the model.

        :param use: a name.
        """
        text = f"{self.configuration}/{self.seed}/{use}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1

    def key(self, use: str) -> jax.Array:
        """Random key for one use of the model.

        :param use: a name.
        """
        return jax.random.key(self.number(use))
