"""Small networks that are not this project's VAE, and their dense Gauss-Newton matrices."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly(quick_compilation) -> None:
    """All networks here take longer to compile than to run."""


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit numbers for one test."""
    with jax.enable_x64(True):
        yield


def mlp(params, images):
    """An autoencoder of two layers on flattened pixels."""
    flat = images.reshape(images.shape[0], -1)
    hidden = jnp.tanh(flat @ params["in"] + params["bias"])
    return jnp.tanh(hidden @ params["out"]).reshape(images.shape)


def mlp_params(height=4, width=3, channels=2, hidden=5, dtype=jnp.float64, seed=0):
    size = height * width * channels
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        "in": jax.random.normal(keys[0], (size, hidden), dtype) / size**0.5,
        "bias": jax.random.normal(keys[1], (hidden,), dtype),
        "out": jax.random.normal(keys[2], (hidden, size), dtype) / hidden**0.5,
    }


def _conv(x, kernel, stride=1):
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convnet(scale, params, images):
    """A plain convolutional autoencoder with a fixed scale per channel, like batch statistics."""
    x = jax.nn.elu(_conv(images, params["down"], stride=2) * scale)
    x = jax.nn.elu(_conv(x, params["middle"]))
    x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    return jnp.tanh(_conv(x, params["up"]))


def convnet_apply(dtype=jnp.float64, width=4):
    """The network as a Partial that carries its statistics."""
    return Partial(convnet, jnp.linspace(0.5, 1.5, width, dtype=dtype))


def convnet_params(dtype=jnp.float64, width=4, channels=3, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = {"down": (3, 3, channels, width), "middle": (3, 3, width, width), "up": (3, 3, width, channels)}
    return {
        name: jax.random.normal(key, shape, dtype) / np.sqrt(np.prod(shape[:3]))
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def pictures(n, height=4, width=3, channels=2, dtype=jnp.float64, seed=1):
    """Images whose amplitudes differ, so that their scores do."""
    key_pixels, key_scale = jax.random.split(jax.random.key(seed))
    pixels = jax.random.normal(key_pixels, (n, height, width, channels), dtype)
    return pixels * jax.random.uniform(key_scale, (n, 1, 1, 1), dtype, 0.3, 1.5)


def diagonal_network(spectrum, *, rotated=False):
    """A linear network whose Gauss-Newton matrix has this spectrum, for one image of ones; diagonal unless rotated.

    Probes of signs see no variance in a diagonal matrix.
    """
    roots = jnp.sqrt(jnp.asarray(spectrum))
    size = len(spectrum)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0] if rotated else np.eye(size)

    def apply(params, images):
        return (jnp.asarray(rotation, roots.dtype) @ params["w"] * roots).reshape(1, -1, 1, 1) * images[:, :1, :1, :1]

    return apply, {"w": jnp.ones(len(spectrum))}, jnp.ones((1, len(spectrum), 1, 1))
