"""Masks: how much each output counts, as a change of the network's outputs.

G and scores then belong to Jacobians √m J, so that outputs with m = 0 are left out, and others weigh m times.
"""

from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from sluguq.slug.examples import Examples, Loaded, examples_of
from sluguq.slug.network import Apply, as_partial


class Masked(Examples):
    """Examples with a mask each: the network sees the examples, and its outputs are weighed.

    :ivar mask: (n, …) how much each output counts.
    """

    def __init__(self, plain: Examples, mask: np.ndarray) -> None:
        super().__init__((plain.tree, np.sqrt(mask, dtype=np.float32)))
        self._plain, self.mask = plain, mask

    @property
    def plain(self) -> Examples:
        """The examples alone."""
        return self._plain

    def chosen(self, indices: np.ndarray) -> "Masked":
        """The examples with these indices, and their masks."""
        return Masked(self._plain.chosen(indices), self.mask[indices])


def masked(images: Any, mask: Any) -> Masked:
    """Images of which some outputs count more than others, or not at all, wherever images are asked for.

    .. code-block:: python

        basis = sluguq.eigenbasis(apply, params, sluguq.masked(images, lesions), rank=50, key=key)

    :param images: n images, as for ``eigenbasis``, but no loader.
    :param mask: (n, …), of the shape of the outputs or of its first axes: 0 leaves an output out, any number above
        weighs it so in scores, maps and G.
    :raises ValueError: for a mask of another number of images, with negative or infinite entries, or of images that
        come from a loader.
    """
    examples, mask = examples_of(images), np.asarray(mask)
    if isinstance(examples, Loaded):
        raise ValueError(
            "images come from a loader: let it yield the masks too, and multiply outputs by their roots in apply"
        )
    if mask.shape[:1] != (examples.n,):
        raise ValueError(f"mask has shape {mask.shape}, but there are {examples.n} images")
    if not np.isfinite(mask).all() or (mask < 0).any():
        raise ValueError("mask holds negative, infinite or NaN entries: it weighs outputs, and 0 leaves one out")
    return Masked(examples, mask)


def weighed(apply: Apply, images: Examples) -> Partial:
    """``apply`` on what ``images`` holds: where that includes masks, its outputs are multiplied by their roots."""
    return Partial(_weighed, as_partial(apply)) if isinstance(images, Masked) else as_partial(apply)


def _weighed(apply: Partial, params: Any, examples: tuple[Any, jax.Array]) -> jax.Array:
    images, root = examples
    output = apply(params, images)
    if root.ndim > output.ndim:
        raise ValueError(f"mask has {root.ndim} axes, but the outputs have {output.ndim}")
    shape = root.shape + (1,) * (output.ndim - root.ndim)
    if any(of_mask not in (1, of_output) for of_mask, of_output in zip(shape[1:], output.shape[1:], strict=True)):
        raise ValueError(
            f"mask has shape (n, {', '.join(map(str, root.shape[1:]))}), but the outputs have "
            f"(n, {', '.join(map(str, output.shape[1:]))}): its axes must be the first ones of the outputs, so for "
            "channels first give it an axis of 1 for them"
        )
    return output * root.reshape(shape).astype(output.dtype)
