"""The variational autoencoder of the SLUG and fairness papers, in Flax NNX.

Both papers describe a residual VAE of batch-normalised ELU blocks with an 8 x 8 x 64 latent space, and the
fairness paper names the code: github.com/LukeDitria/CNN-VAE, whose `RES_VAE_Dynamic` this follows layer for
layer (50,439,619 weights at full size). Images are in [-1, 1], arrays are NHWC.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from sluguq.networks.convolution import Padding
from sluguq.networks.gaussian_vae import GaussianVAE, graph_definition
from sluguq.networks.layers import Convolution, Draw, Normalisation, check_shape, drawing, elu


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
        check_shape(self, {"width": 1, "depth": 1, "latent_channels": 1, "bottleneck_blocks": 0, "channels": 1})
        if self.normalisation not in ("batch", "group", "none"):
            raise ValueError(f"normalisation={self.normalisation!r}: must be batch, group or none")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the latent space."""
        side = self.image_size // 2**self.depth
        return side, side, self.latent_channels

    def initial(self, seed: int | None) -> VAE:
        """The network before training."""
        return VAE(self, seed=seed)

    def join(self, weights: Mapping[str, Any], statistics: Mapping[str, Any]) -> VAE:
        """The network with these weights and statistics."""
        return nnx.merge(graph_definition(self), weights, statistics)


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
        y = self.conv1(elu(self.norm1(x, train=train)), upsample=self.kind == "up")
        skip = x if self.kind == "same" else y[..., self.inner :]
        y = elu(self.norm2(y[..., : self.inner], train=train))
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
        return elu(x)


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
        return jnp.tanh(self.conv_out(elu(x)))


class VAE(GaussianVAE):
    """Encoder and decoder. The same settings and seed give the same weights, on every device.

    :param settings: the network's shape, kept as an attribute.
    :param seed: of the initial weights: drawn by NumPy (PCG64) in the order in which the layers are made, uniform
        in ±1/√(fan in); scales of the normalisation are 1 and its offsets 0. None leaves all other weights at
        zero, to be filled in.
    """

    def __init__(self, settings: VAESettings | None = None, *, seed: int | None = 0):
        self.settings = settings if settings is not None else VAESettings()
        draw = drawing(seed)
        self.encoder = Encoder(self.settings, draw=draw)
        self.decoder = Decoder(self.settings, draw=draw)

    def encode(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Images in [-1, 1] (n, h, w, c) to the latent's mean and log-variance, each (n, ``*latent_shape``)."""
        features = self.encoder.features(x, train=train)
        return self.encoder.mean(features), self.encoder.log_variance(features)

    def decode(self, z: jax.Array, *, train: bool = False) -> jax.Array:
        """Latents (n, ``*latent_shape``) to images in [-1, 1] (n, h, w, c): the mean of the likelihood."""
        return self.decoder(z, train=train)
