"""Images in small blocks, each of which has probes of its own.

Two images that see the same probe err alike where they are alike. That cancels when the two are ranked; it does not
cancel between groups of images: what a probe does to dark skin it does to all images of dark skin, however many they
are. With new probes for every few images such errors average out over a group. Which probes an image sees depends on
its position in the whole set and on nothing else: not on the batch, the job or the run that scores it.
"""

from typing import NamedTuple

import numpy as np

PROBE_BLOCK = 8
"""Images that share probes; a set that is scored in parts is best cut at a multiple of it."""


class Block(NamedTuple):
    """Images that share probes.

    :ivar number: of the block in the whole set.
    :ivar rows: where its images are among those given.
    """

    number: int
    rows: slice


def blocks_of(positions: np.ndarray) -> list[Block]:
    """The blocks of images at these positions of the whole set, in turn.

    :param positions: (n,) rising.
    """
    numbers = positions // PROBE_BLOCK
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    stops = [*starts[1:], len(positions)]
    return [Block(int(numbers[start]), slice(int(start), int(stop))) for start, stop in zip(starts, stops, strict=True)]


def covariance(energies: list[np.ndarray]) -> np.ndarray:
    """Covariances of the means of each image's energies, (n, n), from the probes that two images share.

    :param energies: of every image, one number a probe; images that stopped early have fewer, the first ones.
    """
    count = len(energies)
    result = np.empty((count, count))
    for i, first in enumerate(energies):
        for j, second in enumerate(energies[: i + 1]):
            shared = min(len(first), len(second))
            together = np.cov(first[:shared], second[:shared])[0, 1] if i != j else first.var(ddof=1)
            result[i, j] = result[j, i] = together / max(len(first), len(second))
    return result
