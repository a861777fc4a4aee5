"""Random vectors in weight space and their forward passes.

A probe ξ, of independent signs ±1, is projected off the basis, η = S ξ (:mod:`sluguq.slug.projection`), so that
y = J(x) η has E ‖y‖² = Tr J(x) E[ηηᵀ] J(x)ᵀ. Nothing more than E ξξᵀ = I is asked of ξ, and signs take one
random bit a weight where a normal number takes thirty-two and a dozen operations: on a CPU a normal probe
costs as much as ten to twenty forward passes of one image.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.ggn import GGN
from sluguq.slug.network import linearised
from sluguq.slug.placement import platform
from sluguq.slug.projection import Projector

_SIDE_BY_SIDE = 256  # images with a tangent each, in one pass


@partial(jax.jit, static_argnames=("count", "size", "dtype"))
def _draw(key, first, count, size, dtype):
    keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(count))
    return jax.lax.map(lambda one: jax.random.normal(one, (size,), dtype), keys)


def draw(key: jax.Array, first: int, count: int, size: int, dtype: Any) -> jax.Array:
    """Probes ``first`` to ``first + count`` of the sequence that belongs to ``key``, (count, p).

    Probe i depends on the key and i alone, whatever the block it is drawn in.

    :param key: of the sequence.
    :param first: number of the first probe.
    :param count: how many.
    :param size: number of weights p.
    :param dtype: of the probes.
    """
    return _draw(key, first, count, size, jnp.dtype(dtype))


@partial(jax.jit, static_argnames=("count", "size", "dtype"))
def _draw_signs(key, first, count, size, dtype):
    keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(count))
    words = jax.vmap(lambda one: jax.random.bits(one, (-(-size // 32),), jnp.uint32))(keys)
    bits = (words[:, :, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return 2 * bits.reshape(count, -1)[:, :size].astype(dtype) - 1


def draw_signs(key: jax.Array, first: int, count: int, size: int, dtype: Any) -> jax.Array:
    """Like :func:`draw`, with entries ±1 of equal probability.

    :param key: of the sequence.
    :param first: number of the first probe.
    :param count: how many.
    :param size: number of weights p.
    :param dtype: of the probes.
    """
    return _draw_signs(key, first, count, size, jnp.dtype(dtype))


def tangent_width(images: int) -> int:
    """How many tangents share a pass: one on the CPU, where wider convolutions run slower, not faster.

    Elsewhere as many as make some hundreds of images with a tangent each.
    """
    return 1 if platform() == "cpu" else max(1, _SIDE_BY_SIDE // images)


def _passes(product, tangents, width):
    """The tangents in blocks of ``width``, each passed side by side, and what is left over."""
    whole = len(tangents) // width * width
    blocks = tangents[:whole].reshape(-1, width, tangents.shape[1])
    side_by_side = jax.vmap(product) if width > 1 else lambda block: product(block[0])[None]
    return side_by_side, blocks, tangents[whole:]


@partial(jax.jit, static_argnames="width")
def outputs(apply, params, images, tangents, *, width):
    """J(x) η for each tangent and image, (m, n, height, width, channels)."""
    side_by_side, blocks, rest = _passes(linearised(apply, params, images), tangents, width)
    passed = jax.lax.map(side_by_side, blocks)
    passed = passed.reshape(-1, *passed.shape[2:])
    return jnp.concatenate([passed, side_by_side(rest)]) if len(rest) else passed


@partial(jax.jit, static_argnames=("maps", "width"))
def probe_batch(apply, params, images, tangents, *, maps, width):
    """‖J(x) η‖² for each tangent and image, (m, n), and Σ over tangents of its map (n, height, width).

    One linearisation serves all tangents (m, p); ``width`` of them run side by side.

    :param apply: pure function (params, images) → outputs.
    :param params: the weights.
    :param images: (n, …).
    :param tangents: (m, p).
    :param maps: whether to make maps.
    :param width: tangents that run side by side.
    """
    product = linearised(apply, params, images)
    side_by_side, blocks, rest = _passes(product, tangents, width)

    def step(total, block):
        squares = jnp.square(side_by_side(block))
        return (
            total + squares.sum((0, -1)) if maps else total,
            squares.reshape(*squares.shape[:2], -1).sum(-1),
        )

    output = jax.eval_shape(product, tangents[0])
    total = jnp.zeros(output.shape[:-1] if maps else (), output.dtype)
    total, energy = jax.lax.scan(step, total, blocks)
    energy = energy.reshape(-1, energy.shape[-1])
    if len(rest):
        total, last = step(total, rest)
        energy = jnp.concatenate([energy, last])
    return energy, total


def energies(ggn: GGN, projector: Projector, probes: int, key: jax.Array) -> np.ndarray:
    """‖J(xᵢ) S ξ‖² for each probe and image, (probes, n), float64.

    :param ggn: the network on its images.
    :param projector: S.
    :param probes: how many.
    :param key: of the probes.
    """
    tangents = (projector.project(draw(key, index, 1, ggn.size, ggn.dtype)) for index in range(probes))
    return np.stack([energies_of(ggn, one) for one in tangents])


def energies_of(ggn: GGN, tangent: jax.Array) -> np.ndarray:
    """‖J(xᵢ) v‖² for each image, (n,), float64, of one tangent (1, p)."""
    result, tangent = np.empty(ggn.batches.n), ggn.placement.copied(tangent)
    for batch, (images, _) in enumerate(ggn.batches):
        energy, _ = probe_batch(ggn.apply, ggn.params, images, tangent, maps=False, width=1)
        part = ggn.batches.part(batch)
        result[part] = np.asarray(energy)[0, : part.stop - part.start]
    return result
