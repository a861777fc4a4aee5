"""Images cut into batches of one size, from the device, from host memory, or from a store."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.budget import Budget
from sluguq.slug.checks import check_finite_images, check_whole
from sluguq.slug.examples import concatenated, examples_of, repeated
from sluguq.slug.placement import Placement


class Batches:
    """Equal batches of images with weights of one or zero.

    The batch size asked for is a ceiling: n images go into ⌈n / batch_size⌉ batches of one size, so
    that the last is not mostly padding. The images that fill it up repeat the last image and have
    weight zero, so no result is biased by them and one compiled step serves all batches.

    Images that fit are moved to the device once; larger data are streamed, a batch ahead of use.

    :param images: (n, height, width, channels), or whatever :func:`~sluguq.slug.examples.examples_of` takes.
    :param batch_size: the most images in one batch.
    :param placement: the devices that share each batch.
    :param budget: says how many bytes of images may stay on the device.
    :param whole: batches of ``batch_size`` whatever n is, so that data sets of all sizes share compiled code.
    """

    def __init__(
        self,
        images: Any,
        batch_size: int,
        placement: Placement,
        budget: Budget | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.budget, self.whole = budget or Budget(), whole
        self.images = examples_of(images)
        self.n = self.images.n
        self.placement = placement
        check_whole("batch_size", batch_size)
        self.resize(batch_size)

    def resize(self, batch_size: int) -> None:
        """Cut anew, with at most ``batch_size`` images a batch."""
        count = -(-self.n // max(1, batch_size))
        size = max(1, batch_size) if self.whole else -(-self.n // count)
        self.size = -(-size // self.placement.count) * self.placement.count
        self.count = -(-self.n // self.size)
        self._resident: list[tuple[Any, jax.Array]] | None = None

    def halve(self) -> bool:
        """Cut into batches of half the size; False when they are as small as can be."""
        if self.size <= self.placement.count:
            return False
        self.resize(self.size // 2)
        return True

    def part(self, index: int) -> slice:
        """Which images batch ``index`` holds, without its padding."""
        return slice(index * self.size, min(self.n, (index + 1) * self.size))

    def load(self, part: slice, size: int | None = None) -> tuple[Any, jax.Array]:
        """The images of ``part``, filled up to a whole batch, or to ``size`` images, with their weights.

        :raises ValueError: where streamed images hold NaN or infinite values.
        """
        images = self.images[part]
        if not self.images.in_memory:  # the others were looked at whole
            check_finite_images(images, part.start)
        size = self.size if size is None else size
        missing = size - (part.stop - part.start)
        weights = np.ones(size, np.float32)
        if missing:
            images = concatenated(images, repeated(images, missing))
            weights[-missing:] = 0
        return self.placement.split(images), self.placement.split(weights)

    def gather(self, rows: np.ndarray, size: int) -> Any:
        """Images from anywhere, filled up to ``size`` with the last.

        :raises ValueError: where streamed images hold NaN or infinite values.
        """
        gathered = None
        for row in map(int, rows):
            image = self.images[row : row + 1]
            check_finite_images(image, row)
            gathered = image if gathered is None else concatenated(gathered, image)
        if size > len(rows):
            gathered = concatenated(gathered, repeated(gathered, size - len(rows)))
        return self.placement.split(gathered)

    def _fits(self) -> bool:
        return self.budget.takes("images", self.images.nbytes)

    def __iter__(self) -> Iterator[tuple[Any, jax.Array]]:
        """Batches of images (size, height, width, channels) with their weights (size,)."""
        if self._resident is None and self._fits():
            self._resident = [self.load(self.part(index)) for index in range(self.count)]
        if self._resident is not None:
            yield from self._resident
            return
        ahead = self.load(self.part(0))
        for index in range(self.count):
            now = ahead
            if index + 1 < self.count:
                ahead = self.load(self.part(index + 1))  # transfers run while the device computes
            yield now

    def stacked(self) -> tuple[Any, jax.Array] | None:
        """All batches as (count, size, …) and (count, size), or None when they have to be streamed."""
        if not self._fits():
            return None
        pairs = list(self)
        images = jax.tree.map(lambda *arrays: jnp.stack(arrays), *(images for images, _ in pairs))
        return images, jnp.stack([weights for _, weights in pairs])
