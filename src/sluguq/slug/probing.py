"""How many probes go where."""

from dataclasses import dataclass

import numpy as np

from sluguq.slug.accuracy import Settled


@dataclass(frozen=True)
class Probing:
    """How many probes go where; the defaults suit most.

    :ivar directions: how many leading directions of each image's own A = J (I − UUᵀ) Jᵀ are taken exactly
        before the rest is estimated, see :mod:`sluguq.slug.deflated`; a third more probes than that find
        them. 0 is the plain mean over probes. None takes what a pilot finds cheapest for the accuracy or the
        tolerance, and 0 where the number of probes is given.
    :ivar settled: in place of an accuracy, what :func:`~sluguq.slug.score.settle` found for it on the whole set.
    :ivar positions: (n,) where each image is in the whole set, rising, if these are a part of one: an image at a
        position sees the same probes whatever part it is scored in. None is 0 to n - 1.
    :ivar max_probes: where ``tolerance`` gives up; ``Scores.converged`` then tells which images are within.
    :ivar norm_probes: further probes within the span of U, for ``jacobian_norm``; 0 leaves it NaN. Below the
        rank, half of them go to single eigenvectors, and its standard error, from the other half, is itself rough.
    :ivar probe_block: probes, or directions of an image, on the device at a time; None takes up to 64, as memory
        allows.
    :ivar tangent_block: tangents side by side in one pass; None takes what suits the device.
    """

    directions: int | None = None
    settled: Settled | None = None
    positions: np.ndarray | None = None
    max_probes: int = 4096
    norm_probes: int = 8
    probe_block: int | None = None
    tangent_block: int | None = None
