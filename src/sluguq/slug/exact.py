"""SLUG without an estimator, for networks small enough to write J down: tests and tables."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.budget import Budget
from sluguq.slug.checks import check_finite_scores, check_score_arguments, checked, mapped_apply
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.examples import Examples, examples_of
from sluguq.slug.execution import in_plain_modes
from sluguq.slug.network import Apply, as_partial, is_image, linearised, parameter_count, transposed
from sluguq.slug.projection import shrinkage
from sluguq.slug.scores import Scores

_ROWS = 64  # of J in one pass


@jax.jit
def _rows(apply, params, image, selectors):
    """Rows of J(x), one for each selector (m, height, width, channels)."""
    transpose = transposed(linearised(apply, params, image), params)
    return jax.vmap(lambda selector: transpose(selector[None]))(selectors)


def jacobian(apply: Apply, params: Any, image: Any, budget: Budget | None = None) -> jax.Array:
    """J(x) of one image (height, width, channels), or of one tree of arrays, (D, p), in the weights' precision.

    :param apply: pure function (params, images) → outputs.
    :param params: the weights.
    :param image: one image, or one tree of arrays.
    :param budget: of memory; None for this machine's.
    :raises ValueError: when J would not fit in memory.
    """
    image = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], image)
    shape = jax.eval_shape(as_partial(apply), params, image)
    size = int(np.prod(shape.shape))
    need = size * parameter_count(params) * shape.dtype.itemsize
    if not (budget or Budget()).takes("jacobian", need):
        raise ValueError(
            f"the Jacobian of one image is {size} × {parameter_count(params)}, {need / 1e9:.1f} GB: too large "
            f"to write down. Use sluguq.score, or a smaller network"
        )
    identity = np.eye(size, dtype=shape.dtype).reshape(size, *shape.shape[1:])
    apply = as_partial(apply)
    rows = [_rows(apply, params, image, identity[start : start + _ROWS]) for start in range(0, size, _ROWS)]
    return jnp.concatenate(rows)


def dense_ggn(apply: Apply, params: Any, images: Any) -> np.ndarray:
    """G = Σᵢ J(xᵢ)ᵀ J(xᵢ), (p, p), for tests.

    :raises ValueError: when a Jacobian would not fit in memory.
    """
    total: Any = 0
    for image in _each(examples_of(images)):
        rows = jacobian(apply, params, image)
        total = total + rows.T @ rows
    return np.asarray(total)


def _each(images: Examples) -> Iterator[Any]:
    for index in range(images.n):
        yield jax.tree.map(lambda leaf: leaf[0], images[index : index + 1])


@in_plain_modes
def score_exact(
    apply: Apply,
    params: Any,
    basis: Eigenbasis | None,
    images: Any,
    *,
    channel_axis: int = -1,
    prior_precision: float = 0.0,
) -> Scores:
    """SLUG, maps and ‖J‖² with J written down: D backward passes an image, p × D numbers in memory.

    Run it under ``jax.enable_x64(True)`` with float64 weights for a reference. For networks of up to some
    10⁵ weights; not a method for anything larger.

    :param apply: pure function (params, images) → (n, height, width, channels).
    :param params: pytree of floating-point arrays.
    :param basis: as from ``eigenbasis``, or None.
    :param images: (n, height, width, channels).
    :param channel_axis: as for ``score``.
    :param prior_precision: as for ``score``.
    :returns: scores with standard errors of zero, maps included, ``probes`` 0.
    :raises ValueError: for bad input, or when a Jacobian would not fit in memory.
    """
    images = examples_of(images)
    apply, params = checked(apply, params, images)
    check_score_arguments(basis, params, 2, None, prior_precision)
    shape = jax.eval_shape(apply, params, images[:1]).shape[1:]
    if is_image(shape):
        apply = mapped_apply(apply, params, images, channel_axis, maps=True)
        shape = jax.eval_shape(apply, params, images[:1]).shape[1:]
    slug, norms, maps = [], [], []
    for image in _each(images):
        rows = jacobian(apply, params, image)
        diagonal = jnp.square(rows).sum(axis=1)
        norms.append(float(diagonal.sum()))
        if basis is not None:
            vectors = jnp.asarray(basis.vectors, rows.dtype)
            weights = shrinkage(basis.eigenvalues, prior_precision)
            rows = rows - ((rows @ vectors.T) * jnp.asarray(weights, rows.dtype)) @ vectors
            diagonal = jnp.square(rows).sum(axis=1)
        maps.append(np.asarray(diagonal).reshape(shape).sum(axis=-1))
        slug.append(float(maps[-1].sum()))
    check_finite_scores(np.array(slug))
    zeros = np.zeros(len(slug))
    return Scores(
        slug=np.array(slug),
        slug_sem=zeros,
        maps=np.stack(maps) if is_image(shape) else None,
        jacobian_norm=np.array(norms),
        jacobian_norm_sem=zeros,
        probes=np.zeros(len(slug), int),
        converged=np.ones(len(slug), bool),
    )
