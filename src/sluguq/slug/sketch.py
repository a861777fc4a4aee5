"""A subsampled randomised trigonometric transform: long vectors to short ones, lengths kept on average.

    S v = √(p' / s) · R C D v

D flips signs, C is the orthonormal discrete cosine transform (DCT-II) of the vector padded with zeros to
p', R picks s of the p' coefficients, without replacement (Tropp, "Improved analysis of the subsampled
randomized Hadamard transform", 2011, with the cosine transform in place of Hadamard's, as Avron,
Maymounkov and Toledo, "Blendenpik", 2010, do). Signs and rows come from independent keys.

A vector that is too long for one transform is cut into blocks of equal size, each with its own signs and
rows; S is then block-diagonal, and each block keeps its own share of the length.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

LONGEST = 1 << 22  # of one transform: within the fast range of FFT libraries on GPUs


class Sketch(NamedTuple):
    """The random parts of S; 1 + s / p of a weight vector in memory.

    :ivar signs: (blocks, length) of ±1, int8.
    :ivar rows: (blocks, rows) distinct indices in each block, int32.
    """

    signs: jax.Array
    rows: jax.Array

    @property
    def size(self) -> int:
        """s, the length of a sketched vector."""
        return self.rows.size

    def takes(self, length: int) -> bool:
        """Whether a vector of this length is cut and filled up to the blocks of this sketch."""
        blocks, size = self.signs.shape
        return fast_length(-(-length // blocks)) == size


def fast_length(length: int) -> int:
    """The least even 2ᵃ 3ᵇ 5ᶜ 7ᵈ that is at least ``length``: sizes for which FFTs are fast."""
    best = 2
    while best < length:
        best *= 2
    for sevens in range(9):
        for fives in range(11):
            for threes in range(15):
                odd = 7**sevens * 5**fives * 3**threes
                if 2 * odd > best:
                    break
                size = 2 * odd
                while size < length:
                    size *= 2
                best = min(best, size)
    return best


def make_sketch(key: jax.Array, size: int, sketch_size: int, longest: int = LONGEST) -> Sketch:
    """A sketch of vectors of length ``size`` to about ``sketch_size`` numbers (rounded up to whole blocks).

    :param key: ``jax.random.key``.
    :param size: p.
    :param sketch_size: s, at most p.
    :param longest: longest transform; longer vectors are cut into blocks.
    """
    blocks = -(-size // longest)
    length = fast_length(-(-size // blocks))
    rows = min(length, -(-sketch_size // blocks))
    return _drawn(key, blocks, length, rows)


@partial(jax.jit, static_argnames=("blocks", "length", "rows"))
def _drawn(key, blocks, length, rows):
    sign_key, row_key = jax.random.split(key)
    signs = jax.random.rademacher(sign_key, (blocks, length), jnp.int8)
    keys = jax.random.split(row_key, blocks)
    rows_of_blocks = jax.lax.map(lambda one: jax.random.permutation(one, length)[:rows].astype(jnp.int32), keys)
    return Sketch(signs, rows_of_blocks)


def _dct(x: jax.Array) -> jax.Array:
    """Orthonormal DCT-II along the last axis, of even length n, by one real FFT of length n.

    Makhoul, "A fast cosine transform in one and two dimensions", 1980.
    """
    n = x.shape[-1]
    spectrum = jnp.fft.rfft(jnp.concatenate([x[..., ::2], x[..., ::-1][..., ::2]], axis=-1))
    angle = -jnp.pi * jnp.arange(n // 2 + 1, dtype=x.dtype) / (2 * n)
    turned = spectrum * jax.lax.complex(jnp.cos(angle), jnp.sin(angle))
    # Coefficients k and n − k are the real and the negative imaginary part of one number.
    whole = jnp.concatenate([turned.real, -turned.imag[..., 1 : n // 2][..., ::-1]], axis=-1)
    return whole * jnp.where(jnp.arange(n) == 0, (1 / n) ** 0.5, (2 / n) ** 0.5).astype(x.dtype)


@jax.jit
def apply_sketch(sketch: Sketch, vector: jax.Array) -> jax.Array:
    """S v, (s,), for v of shape (p,)."""
    blocks, length = sketch.signs.shape
    padded = jnp.pad(vector, (0, blocks * length - vector.shape[0])).reshape(blocks, length)
    coefficients = jnp.take_along_axis(_dct(padded * sketch.signs), sketch.rows, axis=1)
    return coefficients.reshape(-1) * jnp.asarray((length / sketch.rows.shape[1]) ** 0.5, vector.dtype)


@partial(jax.jit, static_argnames="size")
def dense_sketch(sketch: Sketch, size: int) -> jax.Array:
    """S written down, (s, p): for tests."""
    return jax.vmap(partial(apply_sketch, sketch))(jnp.eye(size)).T
