"""What an asked accuracy means in numbers, and how directions and probes reach it at the least cost.

The estimate of :mod:`sluguq.slug.deflated` has three numbers to choose: r directions in weight space that all images
of a set share, m directions of each image's own, both taken exactly, and n fresh probes for what they leave. What
they leave follows from the spectrum of A = M Mᵀ alone, so that the leading part of it on a few images tells what all r
and m would leave, and the cheapest three are found by arithmetic. Cost is counted in forward passes of one image by a
fixed table, never by a clock, so that the choice is the same on every run.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sluguq.machine.streams import plain_stream

ACCURACIES = {"ranking": 0.08, "5 %": 0.05, "2 %": 0.02, "1 %": 0.01}
"""Root mean square, over images, of the relative standard error of a score, by the words for it."""

# Forward passes of one image, as benchmarks/slug_cost.py measures them: 2.1 and 2.8 for a probe, 6.0 and 5.5 for a
# direction of an image's own, on networks of 1.2 and 3.2 million weights. A shared direction is passed as a probe is.
PROBE, DIRECTION = 2.5, 6.0

# Whole passes of blocks of probes (PASS of sluguq.slug.deflated), so that few programs are compiled.
_SHARED = (0, 8, 16, 24, 32)
_DIRECTIONS = (0, 3, 6, 12, 18, 24, 36)
_PROBES = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)  # beyond, steps of an eighth
_DRAWS = 2  # of the probes that show an image's directions, in the simulation
_MOST = 4096
_TAIL = 64  # numbers that stand for what the pilot's own directions leave


class Split(NamedTuple):
    """How what is spent on an image is divided.

    :ivar directions: m, of its own, taken exactly.
    :ivar probes: n, fresh ones.
    :ivar shared: r, directions of the whole set, taken exactly.
    """

    directions: int
    probes: int
    shared: int = 0

    @property
    def first_probes(self) -> int:
        """Probes that show an image's directions: a third more than they are."""
        return self.directions + -(-self.directions // 3)

    @property
    def cost(self) -> float:
        """Forward passes of one image."""
        return PROBE * (self.shared + self.first_probes + self.probes) + DIRECTION * self.directions


class Settled(NamedTuple):
    """What reaches an accuracy on a set of images; every part of the set is scored by it.

    :ivar split: how many directions and probes.
    :ivar shared: (r, p) the directions that all images share, or None.
    """

    split: Split
    shared: Any = None


class Spectrum(NamedTuple):
    """What a pilot tells of A of one image.

    :ivar gram: (r + m, r + m) inner products of the images, under M, of r shared and m own directions, orthonormal.
    :ivar shared: r.
    :ivar rest: the trace of what they leave.
    :ivar rest_squares: the sum of squares of the eigenvalues of what they leave.
    """

    gram: np.ndarray
    shared: int
    rest: float
    rest_squares: float

    @property
    def total(self) -> float:
        """Tr A."""
        return float(np.trace(self.gram)) + max(self.rest, 0.0)

    def beyond(self, shared: int) -> np.ndarray:
        """Eigenvalues that the first ``shared`` directions leave: those found, and equal ones for the rest."""
        eigenvalues = np.linalg.eigvalsh(self.gram[shared:, shared:])[::-1].clip(0)
        if self.rest <= 0 or self.rest_squares <= 0:
            return eigenvalues
        count = int(np.clip(round(self.rest**2 / self.rest_squares), 1, _TAIL))
        return np.concatenate([eigenvalues, np.full(count, self.rest / count)])


def as_number(accuracy: str | float) -> float:
    """The relative standard error that an accuracy asks for.

    :raises ValueError: for a word or a number that is none.
    """
    if isinstance(accuracy, str):
        if accuracy not in ACCURACIES:
            raise ValueError(f"accuracy is {accuracy!r}: it is one of {', '.join(ACCURACIES)}, or a number below 1")
        return ACCURACIES[accuracy]
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy}: it is a relative standard error, between 0 and 1")
    return float(accuracy)


def left_squares(values: np.ndarray, directions: int, draws: int = _DRAWS) -> float:
    """‖R‖_F² of what ``directions`` leave of an A with these eigenvalues, a mean over simulated first probes."""
    if directions == 0:
        return float((values**2).sum())
    if directions >= len(values):
        return 0.0
    rng = plain_stream(directions)
    roots, squares = np.sqrt(values), 0.0
    for _ in range(draws):
        samples = rng.normal(size=(Split(directions, 0).first_probes, len(values))) * roots
        leading = np.linalg.svd(samples, full_matrices=False)[2][:directions]
        basis = np.linalg.qr((leading * roots).T)[0]  # V of sluguq.slug.deflated, in the eigenvectors' coordinates
        inner = (basis.T * values) @ basis
        squares += (values**2).sum() - 2 * ((basis.T * values) ** 2).sum() + (inner**2).sum()
    return float(squares / draws)


def left_variance(spectra: Sequence[Spectrum], shared: int, directions: int) -> float:
    """Variance of one fresh probe's energy over the square of the score, 2 ‖R‖_F² / (Tr A)², a mean over images."""
    shares = [
        2 * left_squares(one.beyond(shared), directions) / one.total**2 if one.total > 0 else 0.0 for one in spectra
    ]
    return float(np.mean(shares))


def cheapest(spectra: Sequence[Spectrum], accuracy: float, *, most: int = _DIRECTIONS[-1]) -> Split:
    """The split of least cost whose relative standard error, a root mean square over the spectra, is ``accuracy``.

    :param spectra: of the pilot's images.
    :param accuracy: relative standard error.
    :param most: directions of an image's own at most.
    """
    most_shared = min(one.shared for one in spectra)
    splits: list[Split] = []
    for shared in (count for count in _SHARED if count <= most_shared):
        for directions in (count for count in _DIRECTIONS if count <= most):
            least = Split(directions, _PROBES[0], shared)
            if splits and least.cost >= min(split.cost for split in splits):
                break  # more directions cost more, whatever they leave
            variance = left_variance(spectra, shared, directions)
            splits.append(least._replace(probes=_rounded(variance / accuracy**2)))
    return min(splits, key=lambda split: split.cost)


def _rounded(probes: float) -> int:
    """The next number of probes on a coarse scale, so that rounding in a pilot seldom changes it."""
    for step in _PROBES:
        if probes <= step:
            return step
    step = 2 ** int(np.log2(min(probes, _MOST)) - 3)
    return min(_MOST, int(np.ceil(probes / step)) * step)
