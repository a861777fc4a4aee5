"""What a few images of a set tell of all of it: which directions they share, and how to reach an accuracy cheaply.

The pilot has images and probes of its own, so that scores stay unbiased whatever it finds. It depends on the set, the
model and the key alone: jobs that score parts of a set find the same.
"""

import jax
import numpy as np

from sluguq.machine.streams import plain_stream
from sluguq.slug.accuracy import Settled, cheapest
from sluguq.slug.backoff import until_it_fits
from sluguq.slug.blockwise import Blockwise
from sluguq.slug.deflated import gradients, spectra
from sluguq.slug.ggn import GGN
from sluguq.slug.shared import Chain, shared_directions

_DIRECTIONS = 12  # of each image of the pilot
_PROBES = 16  # see what they leave
_SHARE, _MOST = 16, 32  # one image in so many shows shared directions, and so many at most
_HELD_OUT = 4  # images that see what shared directions leave of images they were not found on
_SHARED_FROM = 32  # images: a smaller set does not pay for shared directions
_SHARED = 32  # at most


def most_directions(ggn: GGN) -> int:
    """An image has no more directions than weights or output values."""
    shape = jax.eval_shape(ggn.apply, ggn.params, ggn.batches.images[:1]).shape
    return min(ggn.size, int(np.prod(shape[1:])))


def pilot(runner: Blockwise, accuracy: float) -> Settled:
    """What reaches an accuracy on the runner's images at the least cost."""
    n, most = runner.ggn.batches.n, most_directions(runner.ggn)
    order, own = plain_stream().permutation(n), min(_DIRECTIONS, most)
    held_out = np.sort(order[:_HELD_OUT])
    others = np.sort(order[_HELD_OUT : _HELD_OUT + min(n // _SHARE, _MOST)])
    room = runner.budget.count("kept_probes", 2 * runner.ggn.size * runner.ggn.dtype.itemsize)
    shared = _shared(runner, others, own, min(_SHARED, room)) if n >= _SHARED_FROM and room else None
    projector = runner.projector if shared is None else Chain(runner.projector, shared)
    key = jax.random.fold_in(runner.norm_key, 1)
    spectra_of_images = until_it_fits(
        lambda: [
            one
            for passes in runner.gathered(held_out, key, projector)
            for one in spectra(passes, projector, shared, own, _PROBES)
        ],
        runner.shrink,
    )
    split = cheapest(spectra_of_images, accuracy, most=most)
    return Settled(split, shared[: split.shared] if shared is not None and split.shared else None)


def _shared(runner: Blockwise, rows: np.ndarray, directions: int, count: int) -> jax.Array:
    key = jax.random.fold_in(runner.norm_key, 2)

    def attempt() -> jax.Array:
        batches = runner.gathered(rows, key, runner.projector)
        by_image = (each for passes in batches for each in gradients(passes, runner.projector, directions))
        return shared_directions(by_image, runner.projector, count)

    return until_it_fits(attempt, runner.shrink)
