"""What every estimator of SLUG returns."""

from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
    """SLUG of n images.

    :ivar slug: (n,) Tr J (I − UUᵀ) Jᵀ, in squared output units; a sketched estimate may be negative.
    :ivar slug_sem: (n,) its standard error, from the spread over probes; it knows nothing of a sketch's bias.
    :ivar maps: (n, height, width) the diagonal of J (I − UUᵀ) Jᵀ summed over channels; each sums to its
        score. None unless asked for, and from a sketch.
    :ivar jacobian_norm: (n,) ‖J‖² = Tr J Jᵀ, no direction removed.
    :ivar jacobian_norm_sem: (n,) its standard error.
    :ivar probes: (n,) how many probes each image saw.
    :ivar converged: (n,) whether the relative standard error is within ``tolerance``, where one was given.
    :ivar directions: how many directions of each image were taken exactly.
    :ivar slu: (n, c) the score of single output coordinates, None unless asked for; may be negative.
    """

    slug: np.ndarray
    slug_sem: np.ndarray
    maps: np.ndarray | None
    jacobian_norm: np.ndarray
    jacobian_norm_sem: np.ndarray
    probes: np.ndarray
    converged: np.ndarray
    directions: int = 0
    slu: np.ndarray | None = None

    @property
    def removed(self) -> np.ndarray:
        """(n,) the share of ‖J‖² that the basis removes."""
        return 1 - self.slug / self.jacobian_norm
