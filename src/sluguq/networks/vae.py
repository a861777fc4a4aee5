"""The variational autoencoder of the SLUG and fairness papers, in Flax NNX.

Both papers describe a residual VAE of batch-normalised ELU blocks with an 8 x 8 x 64 latent space, and the
fairness paper names the code: github.com/LukeDitria/CNN-VAE, whose `RES_VAE_Dynamic` this follows layer for
layer (50,439,619 weights at full size). Images are in [-1, 1], arrays are NHWC.
"""

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from sluguq.networks.convolution import Padding, convolve, convolve_upsampled

Parameters = Mapping[str, Any]
Precision = Literal["float32", "tf32", "bfloat16"]

_EPSILON = 1e-4  # of the normalisation, as in the published code
_MOMENTUM = 0.9  # of the running statistics; PyTorch's momentum 0.1
_GROUPS = 8


@dataclass(frozen=True)
class VAESettings:
    """The shape of a network.

    :ivar image_size: height and width in pixels, 32 to 256; halved ``depth`` times, at least 2 pixels must remain.
    :ivar width: channels after the first convolution; block i of the encoder has ``width * 2**(i + 1)``.
    :ivar depth: number of down-sampling blocks, and of up-sampling blocks.
    :ivar latent_channels: channels of the latent space, whose sides are ``image_size / 2**depth``.
    :ivar bottleneck_blocks: residual blocks at the smallest size, in the encoder and again in the decoder.
    :ivar normalisation: batch (running statistics when reconstructing), group (8 groups) or none.
    :ivar padding: what convolutions see outside the image: zeros, or the image reflected.
    :ivar channels: colour channels of the image.
    :raises ValueError: naming the setting, where a value is impossible.
    """

    image_size: int = 128
    width: int = 64
    depth: int = 4
    latent_channels: int = 64
    bottleneck_blocks: int = 1
    normalisation: Literal["batch", "group", "none"] = "batch"
    padding: Padding = "zero"
    channels: int = 3

    def __post_init__(self) -> None:
        for name, least in {
            "width": 1,
            "depth": 1,
            "latent_channels": 1,
            "bottleneck_blocks": 0,
            "channels": 1,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")
        if not 32 <= self.image_size <= 256:
            raise ValueError(f"image_size={self.image_size}: must be from 32 to 256 pixels")
        if self.image_size % 2**self.depth or self.image_size // 2**self.depth < 2:
            raise ValueError(
                f"image_size={self.image_size} cannot be halved depth={self.depth} times with at least 2 pixels "
                f"left: choose a multiple of {2**self.depth} that is at least {2 ** (self.depth + 1)}, "
                "or a smaller depth"
            )
        if self.normalisation not in ("batch", "group", "none"):
            raise ValueError(f"normalisation={self.normalisation!r}: must be batch, group or none")
        if self.padding not in ("zero", "reflect"):
            raise ValueError(f"padding={self.padding!r}: must be zero or reflect")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the latent space."""
        side = self.image_size // 2**self.depth
        return side, side, self.latent_channels


Draw = Callable[[tuple[int, ...], float], jax.Array]


def _draw_uniform(generator: np.random.Generator, shape: tuple[int, ...], bound: float) -> jax.Array:
    return jnp.asarray(bound * (2 * generator.random(shape, np.float32) - 1))


def _draw_zeros(shape: tuple[int, ...], _bound: float) -> jax.Array:
    return jnp.zeros(shape, jnp.float32)


def _elu(x: jax.Array) -> jax.Array:
    """x where it is positive, else exp(x) - 1.

    Written so in float32, where it takes half of expm1's time on CPUs and is off by 10⁻⁷ at most; in narrower types
    the difference would lose what is small.
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
            grouped = wide.reshape(n, height, width, self.groups, channels // self.groups)
            mean = grouped.mean((1, 2, 4), keepdims=True)
            variance = grouped.var((1, 2, 4), keepdims=True)
            wide = ((grouped - mean) * jax.lax.rsqrt(variance + _EPSILON)).reshape(wide.shape)
            return (wide * scale + bias).astype(x.dtype)
        if train:
            mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
            for kept, seen in ((self.mean, mean), (self.variance, variance)):
                kept[...] = _MOMENTUM * kept[...] + (1 - _MOMENTUM) * jax.lax.stop_gradient(seen)
        else:
            mean, variance = self.mean[...].astype(wide.dtype), self.variance[...].astype(wide.dtype)
        factor = scale * jax.lax.rsqrt(variance + _EPSILON)
        return ((wide - mean) * factor + bias).astype(x.dtype)


class ResidualBlock(nnx.Module):
    """Pre-activation residual block: normalise, ELU, 3×3 conv, normalise, ELU, 3×3 conv, plus the skip.

    The first convolution has half the wider side's channels. Where size or channels change, the same
    convolution also gives the skip: `down` halves the image by a stride of 2, `up` doubles it by nearest
    neighbours before the convolution, `same` keeps both and skips by identity.
    """

    def __init__(self, inputs: int, outputs: int, kind: str, settings: VAESettings, *, draw: Draw):
        self.kind = kind
        self.inner = max(inputs, outputs) // 2
        first = self.inner + (0 if kind == "same" else outputs)
        stride = 2 if kind == "down" else 1
        self.norm1 = Normalisation(inputs, settings.normalisation)
        self.conv1 = Convolution(3, inputs, first, draw=draw, stride=stride, padding=settings.padding)
        self.norm2 = Normalisation(self.inner, settings.normalisation)
        self.conv2 = Convolution(3, self.inner, outputs, draw=draw, padding=settings.padding)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = self.conv1(_elu(self.norm1(x, train=train)), upsample=self.kind == "up")
        skip = x if self.kind == "same" else y[..., self.inner :]
        y = _elu(self.norm2(y[..., : self.inner], train=train))
        return self.conv2(y) + skip


class Encoder(nnx.Module):
    """Image to the mean and log-variance of its latent."""

    def __init__(self, settings: VAESettings, *, draw: Draw):
        widths = [settings.width * 2**i for i in range(settings.depth + 1)]
        self.conv_in = Convolution(3, settings.channels, widths[0], draw=draw, padding=settings.padding)
        blocks = [
            ResidualBlock(inputs, outputs, "down", settings, draw=draw)
            for inputs, outputs in itertools.pairwise(widths)
        ]
        blocks += [
            ResidualBlock(widths[-1], widths[-1], "same", settings, draw=draw)
            for _ in range(settings.bottleneck_blocks)
        ]
        self.blocks = nnx.List(blocks)
        self.mean = Convolution(1, widths[-1], settings.latent_channels, draw=draw)
        self.log_variance = Convolution(1, widths[-1], settings.latent_channels, draw=draw)

    def features(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(n, latent height, latent width, width * 2**depth): what both heads read."""
        x = self.conv_in(x)
        for block in self.blocks:
            x = block(x, train=train)
        return _elu(x)


class Decoder(nnx.Module):
    """Latent to the mean of the image."""

    def __init__(self, settings: VAESettings, *, draw: Draw):
        widths = [settings.width * 2**i for i in reversed(range(settings.depth + 1))]
        self.conv_in = Convolution(1, settings.latent_channels, widths[0], draw=draw)
        blocks = [
            ResidualBlock(widths[0], widths[0], "same", settings, draw=draw) for _ in range(settings.bottleneck_blocks)
        ]
        blocks += [
            ResidualBlock(inputs, outputs, "up", settings, draw=draw) for inputs, outputs in itertools.pairwise(widths)
        ]
        self.blocks = nnx.List(blocks)
        self.conv_out = Convolution(5, widths[-1], settings.channels, draw=draw, padding=settings.padding)

    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        x = self.conv_in(z)
        for block in self.blocks:
            x = block(x, train=train)
        return jnp.tanh(self.conv_out(_elu(x)))


class VAE(nnx.Module):
    """Encoder and decoder. The same settings and seed give the same weights, on every device.

    :param settings: the network's shape, kept as an attribute.
    :param seed: of the initial weights: drawn by NumPy (PCG64) in the order in which the layers are made, uniform
        in ±1/√(fan in); scales of the normalisation are 1 and its offsets 0. None leaves all other weights at
        zero, to be filled in.
    """

    def __init__(self, settings: VAESettings | None = None, *, seed: int | None = 0):
        self.settings = settings if settings is not None else VAESettings()
        draw = _draw_zeros if seed is None else functools.partial(_draw_uniform, np.random.default_rng(seed))
        self.encoder = Encoder(self.settings, draw=draw)
        self.decoder = Decoder(self.settings, draw=draw)

    def encode(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Images in [-1, 1] (n, h, w, c) to the latent's mean and log-variance, each (n, ``*latent_shape``)."""
        features = self.encoder.features(x, train=train)
        return self.encoder.mean(features), self.encoder.log_variance(features)

    def decode(self, z: jax.Array, *, train: bool = False) -> jax.Array:
        """Latents (n, ``*latent_shape``) to images in [-1, 1] (n, h, w, c): the mean of the likelihood."""
        return self.decoder(z, train=train)


def to_unit_range(images: Any, dtype: Any = jnp.float32) -> jax.Array:
    """Images as the network sees them: uint8 0..255 becomes x / 127.5 - 1, floats are taken as they are."""
    images = jnp.asarray(images)
    if images.dtype == jnp.uint8:
        return images.astype(dtype) / 127.5 - 1
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images are {images.dtype}: give uint8 (0 to 255) or floats in [-1, 1]")
    return images.astype(dtype)


def to_pixels(images: jax.Array) -> jax.Array:
    """Images in [-1, 1] as uint8, rounded to the nearest of 0 to 255; undoes `to_unit_range`."""
    return jnp.clip(jnp.round((images + 1) * 127.5), 0, 255).astype(jnp.uint8)


@functools.lru_cache(maxsize=64)
def graph_definition(settings: VAESettings) -> nnx.GraphDef:
    """The static half of a network: equal for all networks of equal settings, so they share compiled code."""
    return nnx.graphdef(nnx.eval_shape(lambda: VAE(settings, seed=None)))


def split(vae: VAE) -> tuple[dict, dict]:
    """A network's weights and its batch statistics, as nested dictionaries of arrays."""
    weights, statistics = (nnx.to_pure_dict(nnx.state(vae, kind)) for kind in (nnx.Param, nnx.BatchStat))
    return weights, statistics


def join(settings: VAESettings, weights: Parameters, statistics: Parameters) -> VAE:
    """The network of `settings` with these weights and statistics; the inverse of `split`."""
    return nnx.merge(graph_definition(settings), weights, statistics)


def count_weights(vae: VAE) -> int:
    """Number of trained weights (batch statistics are not counted)."""
    return sum(leaf.size for leaf in jax.tree.leaves(split(vae)[0]))


def matmul_precision(precision: Precision) -> Any:
    """Context in which products of float32 arrays are traced with at most this rounding."""
    return jax.default_matmul_precision("tensorfloat32" if precision == "tf32" else "highest")


@dataclass(frozen=True)
class _Reconstruction:
    """Reconstruction as a pure function, compared by value so that all models share one compiled program."""

    settings: VAESettings
    precision: Precision

    def __call__(self, statistics: dict, fixed: dict, params: dict, images: Any) -> jax.Array:
        dtype = jax.tree.leaves(params)[0].dtype
        with matmul_precision(self.precision):
            vae = join(self.settings, {**fixed, **params}, statistics)
            x = to_unit_range(images, dtype)
            mean, _ = vae.encode(x.astype(jnp.bfloat16) if self.precision == "bfloat16" else x)
            return vae.decode(mean).astype(dtype)


def reconstruction_function(
    vae: VAE, *, parameters: Literal["all", "decoder"] = "all", precision: Precision = "float32"
) -> tuple[Partial, dict]:
    """A network as ``(apply, params)`` for the SLUG library.

    ``apply(params, images)`` is the decoder's mean at the encoder's mean, f_w(x) of the SLUG paper, with
    batch normalisation on its running statistics. It is a ``jax.tree_util.Partial`` that carries those
    statistics (and weights not in ``params``) as arrays: under ``jit`` they are arguments, not constants.

    :param vae: the network.
    :param parameters: "all": ``params`` are the weights of encoder and decoder, as in the papers. "decoder":
        those of the decoder alone, the encoder being held fixed.
    :param precision: of the products: float32, tf32 (on devices that have it) or bfloat16.
    :returns: ``apply``, from ``params`` and images (n, height, width, channels), uint8 in 0..255 or floats in
        [-1, 1], to an array of the images' shape and the type of ``params``; ``params``, a nested dictionary of
        arrays.
    """
    if parameters not in ("all", "decoder"):
        raise ValueError(f"parameters={parameters!r}: must be all or decoder")
    weights, statistics = split(vae)
    fixed = {} if parameters == "all" else {"encoder": weights.pop("encoder")}
    return Partial(_Reconstruction(vae.settings, precision), statistics, fixed), weights


@functools.partial(jax.jit, static_argnames="settings")
def _encode(settings: VAESettings, weights: dict, statistics: dict, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    with matmul_precision("float32"):
        return join(settings, weights, statistics).encode(to_unit_range(images))


@functools.partial(jax.jit, static_argnames="settings")
def _decode(settings: VAESettings, weights: dict, statistics: dict, latents: jax.Array) -> jax.Array:
    with matmul_precision("float32"):
        return join(settings, weights, statistics).decode(latents)


def encode(vae: VAE, images: Any) -> tuple[jax.Array, jax.Array]:
    """Mean and log-variance of q(z | x), each (n, ``*latent_shape``), for images uint8 or in [-1, 1].

    The mean latent standard deviation of the fairness paper is `exp(log_variance / 2).mean((1, 2, 3))`.
    """
    weights, statistics = split(vae)
    return _encode(vae.settings, weights, statistics, jnp.asarray(images))


def decode(vae: VAE, latents: Any) -> jax.Array:
    """Mean of p(x | z), (n, height, width, channels) in [-1, 1], for latents (n, ``*latent_shape``)."""
    weights, statistics = split(vae)
    return _decode(vae.settings, weights, statistics, jnp.asarray(latents))
