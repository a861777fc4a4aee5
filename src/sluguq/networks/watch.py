"""Noticing that a training has gone wrong, and saying where."""

import math
from typing import Any

import jax
import numpy as np

from sluguq.machine.errors import SluguqError
from sluguq.networks.network import Network

# Nats a latent value. An encoder that ignores its input has 0; the prior-like ones of trained networks lie
# orders of magnitude above this.
_COLLAPSED_KL = 1e-6
_PATIENCE = 3
# A channel of variance far below the normalisation's epsilon (1e-4) is constant after it.
_DEAD_VARIANCE = 1e-10


class TrainingDiverged(SluguqError, RuntimeError):
    """A training that cannot end well.

    :ivar epoch: the epoch (from 1) after which it was noticed.
    :ivar term: the loss term, or the layer whose batch statistics are concerned.
    :ivar network: the network after the last epoch in which all was well (the initial one if there is none).
    :ivar history: rows of all epochs, the bad one included.
    """

    def __init__(self, epoch: int, term: str, reason: str, network: Network, history: list[dict[str, float]]):
        super().__init__(
            f"training diverged in epoch {epoch}: {term} {reason}; the state after epoch {epoch - 1} is kept. "
            "A lower learning rate, another seed or, for the KL divergence, a lower kl_weight may help"
        )
        self.epoch = epoch
        self.term = term
        self.network = network
        self.history = history


class CollapseWatch:
    """Judges each epoch: non-finite terms, a KL divergence at zero for three epochs, dead batch statistics."""

    def __init__(self) -> None:
        self._low = 0

    def observe(self, row: dict[str, float]) -> None:
        """Count the epochs in a row in which the KL divergence was nearly zero.

        :param row: of the history.
        """
        self._low = self._low + 1 if row.get("kl", math.inf) < _COLLAPSED_KL else 0

    def fault(self, row: dict[str, float], statistics: Any) -> tuple[str, str] | None:
        """(term, reason) where the epoch of `row`, ending with these batch statistics, went wrong.

        :param row: of the history.
        :param statistics: nested dictionaries of arrays.
        """
        for term, value in row.items():
            if not math.isfinite(value):
                return term, f"is {value}"
        self.observe(row)
        if self._low >= _PATIENCE:
            return "kl", f"has been below {_COLLAPSED_KL:g} nats a latent value for {_PATIENCE} epochs"
        for path, values in jax.tree_util.tree_leaves_with_path(jax.device_get(statistics)):
            layer = ".".join(str(getattr(step, "key", step)) for step in path)
            if not np.isfinite(values).all():
                return layer, "is not finite"
            if layer.endswith("variance") and (values < _DEAD_VARIANCE).all():
                return layer, "is zero in every channel: the layer passes nothing on"
        return None
