"""Directions in weight space that a whole set of images shares, beyond those of the training data.

What a basis leaves of two images' J lies largely in common directions. A few images show them: each one's leading
directions, as weight vectors, merged into those that hold most of all. Taken exactly they cost one forward pass an
image each, where a direction of an image's own costs a pass backward and one forward of its own.
"""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp

from sluguq.slug.projection import Leaves, Projector, split


class Chain:
    """A projector followed by one that takes further directions off, orthogonal to those of the first."""

    def __init__(self, first: Projector, further: jax.Array) -> None:
        self.first, self.further = first, further

    def project(self, vectors: jax.Array) -> jax.Array:
        """The vectors, (m, p), as both leave them."""
        return _less(self.first.project(vectors), self.further)

    def project_twice(self, leaves: Leaves) -> Leaves:
        """See :meth:`sluguq.slug.projection.Projector.project_twice`."""
        return _less_leaves(self.first.project_twice(leaves), self.further)


@jax.jit
def _less(vectors, rows):
    coefficients = jnp.matmul(vectors, rows.T, precision="highest")
    return vectors - jnp.matmul(coefficients, rows, precision="highest")


@jax.jit
def _less_leaves(leaves, rows):
    return split(_less(jnp.concatenate(leaves, axis=1), rows), [leaf.shape[1] for leaf in leaves])


@partial(jax.jit, static_argnames="count")
def _merged(kept, rows, count):
    """The ``count`` leading right singular vectors of the rows of both, times their singular values."""
    both = jnp.concatenate([kept, rows])
    _, vectors = jnp.linalg.eigh(jnp.matmul(both, both.T, precision="highest"))
    return jnp.matmul(vectors[:, ::-1][:, :count].T, both, precision="highest")


def shared_directions(gradients: Iterable[jax.Array], projector: Projector, count: int) -> jax.Array:
    """At most ``count`` orthonormal directions, (r, p), that hold most of the rows, orthogonal to the basis.

    :param gradients: of every image in turn, the images of its leading directions in weight space, (m, p).
    :param projector: of the basis that is taken off first.
    """
    directions = None
    for rows in gradients:
        directions = rows if directions is None else _merged(directions, rows, min(count, len(directions) + len(rows)))
    assert directions is not None
    plain = projector.as_projection()
    for _ in range(3):  # rounded eigenvectors are not quite orthonormal, and one projection leaves a little
        directions = plain.project(directions)
    length = jnp.linalg.norm(directions, axis=1)
    directions = directions[length > 1e-3 * length.max()][:count]  # what is far below the rest is rounding
    return jnp.linalg.qr(directions.T)[0].T if len(directions) else directions
