"""Flags with a guarantee: conformal p-values and thresholds of a signal, group by group.

Of images like those of the reference at most a share α has a p-value of α or less, in a reference of any size and
whatever the signal's distribution: for a new image is as likely to have any rank among the reference as any other
(Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; within groups: Mondrian conformal
prediction). It holds for images drawn as the reference's were. Images of one patient are no such draws of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sluguq.analysis.statistics import Array


def conformal_p(values: ArrayLike, reference: ArrayLike) -> Array:
    """The share of the reference and the image itself with so high a value: (1 + #{reference ≥ value}) / (n + 1).

    :param values: (m,) the signal of new images, which the network was not trained on.
    :param reference: (n,) its values of images that the network was not trained on either, of one group.
    :returns: (m,), from 1 / (n + 1) to 1; NaN where the value is NaN.
    :raises ValueError: where the reference is empty or holds NaN.
    """
    ordered = np.sort(np.asarray(reference, dtype=np.float64))
    if not len(ordered) or np.isnan(ordered).any():
        raise ValueError("the reference of a conformal p-value needs one finite value or more, and no NaN")
    new = np.asarray(values, dtype=np.float64)
    as_high = len(ordered) - np.searchsorted(ordered, new, side="left")
    return np.where(np.isnan(new), np.nan, (1 + as_high) / (len(ordered) + 1))


def conformal_threshold(reference: ArrayLike, share: float) -> float:
    """The value from which on images are flagged, so that of images like the reference at most this share is.

    :param reference: (n,) the signal of images of one group.
    :param share: α, above 0 and below 1.
    :returns: images are flagged whose value is above it; infinite where n + 1 < 1 / α, for then no flag is safe.
    :raises ValueError: where the share is none, or the reference is empty or holds NaN.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}: must be above 0 and below 1")
    ordered = np.sort(np.asarray(reference, dtype=np.float64))
    if not len(ordered) or np.isnan(ordered).any():
        raise ValueError("the reference of a conformal threshold needs one finite value or more, and no NaN")
    # At most `allowed` values of the reference and the image together may lie above.
    allowed = int(np.floor(share * (len(ordered) + 1) + 1e-9))
    return float(ordered[len(ordered) - allowed]) if allowed else float("inf")


def joined_p(p_values: Sequence[ArrayLike]) -> Array:
    """One p-value of several networks' that holds however they depend on each other: twice their mean, at most 1.

    Source: Vovk and Wang, Combining p-values via averaging, Biometrika 107, 2020.

    :param p_values: of each network, (m,).
    :returns: (m,); of one network its own.
    """
    stacked = np.stack([np.asarray(p, dtype=np.float64) for p in p_values])
    return stacked[0] if len(stacked) == 1 else np.minimum(2 * stacked.mean(axis=0), 1.0)
