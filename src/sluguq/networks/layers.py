"""Layers that the networks here are made of, in Flax NNX; NHWC."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sluguq.machine.streams import plain_stream
from sluguq.networks.convolution import Padding, convolve, convolve_upsampled

_EPSILON = 1e-4  # of the normalisation, as in the published code
_MOMENTUM = 0.9  # of the running statistics; PyTorch's momentum 0.1
_GROUPS = 8

Draw = Callable[[tuple[int, ...], float], jax.Array]


def _draw_uniform(generator: np.random.Generator, shape: tuple[int, ...], bound: float) -> jax.Array:
    return jnp.asarray(bound * (2 * generator.random(shape, np.float32) - 1))


def _draw_zeros(shape: tuple[int, ...], _bound: float) -> jax.Array:
    return jnp.zeros(shape, jnp.float32)


def drawing(seed: int | None) -> Draw:
    """Initial weights: NumPy's PCG64 from the seed, uniform in ±bound; zeros, to be filled in, where it is None.

    :param seed: from 0, or None.
    """
    return _draw_zeros if seed is None else functools.partial(_draw_uniform, plain_stream(seed))


def elu(x: jax.Array) -> jax.Array:
    """x where it is positive, else exp(x) - 1.

    Written so in float32, where it takes half of expm1's time on CPUs and is off by 10⁻⁷ at most; in narrower types
    the difference would lose what is small.

    :param x: of any shape.
    """
    if x.dtype.itemsize < 4:
        return jax.nn.elu(x)
    return jnp.where(x > 0, x, jnp.exp(jnp.where(x > 0, 0, x)) - 1)


class Convolution(nnx.Module):
    """A convolution with a bias; computes in the type of its input.

    Kernel and bias start uniform in ±1/√(fan in), PyTorch's default, from which the published code trains.
    """

    def __init__(self, size: int, inputs: int, outputs: int, *, draw: Draw, stride: int = 1, padding: Padding = "zero"):
        bound = 1 / math.sqrt(size * size * inputs)
        self.kernel = nnx.Param(draw((size, size, inputs, outputs), bound))
        self.bias = nnx.Param(draw((outputs,), bound))
        self.stride = stride
        self.padding: Padding = padding

    def __call__(self, x: jax.Array, *, upsample: bool = False) -> jax.Array:
        kernel = self.kernel[...].astype(x.dtype)
        if upsample:
            y = convolve_upsampled(x, kernel, padding=self.padding)
        else:
            y = convolve(x, kernel, stride=self.stride, padding=self.padding)
        return y + self.bias[...].astype(x.dtype)


class Normalisation(nnx.Module):
    """Batch or group normalisation with a scale and an offset a channel; statistics in float32 at least.

    Batch normalisation divides by the biased variance of the batch while training and keeps running means
    of mean and variance, with momentum 0.9, for use afterwards.
    """

    def __init__(self, channels: int, kind: str):
        self.kind = kind
        self.groups = math.gcd(_GROUPS, channels)
        if kind != "none":
            self.scale = nnx.Param(jnp.ones(channels))
            self.bias = nnx.Param(jnp.zeros(channels))
        if kind == "batch":
            self.mean = nnx.BatchStat(jnp.zeros(channels))
            self.variance = nnx.BatchStat(jnp.ones(channels))

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if self.kind == "none":
            return x
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        scale, bias = self.scale[...].astype(wide.dtype), self.bias[...].astype(wide.dtype)
        if self.kind == "group":
            n, height, width, channels = wide.shape
            groups = wide.reshape(n, height, width, self.groups, channels // self.groups)
            mean = groups.mean((1, 2, 4), keepdims=True)
            variance = groups.var((1, 2, 4), keepdims=True)
            wide = ((groups - mean) * jax.lax.rsqrt(variance + _EPSILON)).reshape(wide.shape)
            return (wide * scale + bias).astype(x.dtype)
        if train:
            mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
            for running, current in ((self.mean, mean), (self.variance, variance)):
                running[...] = _MOMENTUM * running[...] + (1 - _MOMENTUM) * jax.lax.stop_gradient(current)
        else:
            mean, variance = self.mean[...].astype(wide.dtype), self.variance[...].astype(wide.dtype)
        factor = scale * jax.lax.rsqrt(variance + _EPSILON)
        return ((wide - mean) * factor + bias).astype(x.dtype)


def check_shape(settings: Any, least: Mapping[str, int]) -> None:
    """Refuse the settings of a network that halves its images, where a value is impossible.

    :param settings: with ``image_size``, ``depth`` and ``padding``, and what `least` names.
    :param least: the smallest value of each count.
    :raises ValueError: naming the setting.
    """
    for name, smallest in least.items():
        if getattr(settings, name) < smallest:
            raise ValueError(f"{name}={getattr(settings, name)}: must be at least {smallest}")
    size, depth = settings.image_size, settings.depth
    if not 32 <= size <= 256:
        raise ValueError(f"image_size={size}: must be from 32 to 256 pixels")
    if size % 2**depth or size // 2**depth < 2:
        raise ValueError(
            f"image_size={size} cannot be halved depth={depth} times with at least 2 pixels left: choose a multiple "
            f"of {2**depth} that is at least {2 ** (depth + 1)}, or a smaller depth"
        )
    if settings.padding not in ("zero", "reflect"):
        raise ValueError(f"padding={settings.padding!r}: must be zero or reflect")
