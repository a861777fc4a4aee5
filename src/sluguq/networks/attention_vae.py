"""A variational autoencoder with group normalisation and one attention block, in Flax NNX.

The kind of autoencoder that latent diffusion models stand on (Rombach et al. 2022, arXiv:2112.10752), small: residual
blocks of group normalisation, SiLU and 3×3 convolutions, strided convolutions down, nearest neighbours and a
convolution up, and at the smallest size one self-attention block in the encoder and one in the decoder. It has no
running statistics, its output is linear, and each pixel of the latent sees the whole image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sluguq.networks.convolution import Padding
from sluguq.networks.gaussian_vae import GaussianVAE, graph_definition
from sluguq.networks.layers import Convolution, Draw, Normalisation, check_shape, drawing

# Of the log-variance, as the published autoencoders clip it.
_LOWEST, _HIGHEST = -30.0, 20.0


@dataclass(frozen=True)
class AttentionVAESettings:
    """The shape of a network.

    :ivar image_size: height and width in pixels, 32 to 256; halved ``depth`` times, at least 2 pixels must remain.
    :ivar width: channels after the first convolution, doubled at every halving up to four times.
    :ivar depth: number of halvings.
    :ivar latent_channels: channels of the latent space, whose sides are ``image_size / 2**depth``.
    :ivar padding: what convolutions see outside the image: zeros, or the image reflected.
    :ivar channels: colour channels of the image.
    :raises ValueError: naming the setting, where a value is impossible.
    """

    image_size: int = 128
    width: int = 32
    depth: int = 3
    latent_channels: int = 4
    padding: Padding = "zero"
    channels: int = 3

    def __post_init__(self) -> None:
        check_shape(self, dict.fromkeys(("width", "depth", "latent_channels", "channels"), 1))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the latent space."""
        side = self.image_size // 2**self.depth
        return side, side, self.latent_channels

    @property
    def widths(self) -> list[int]:
        """Channels at every size, from the largest image to the smallest."""
        return [self.width * min(2**level, 4) for level in range(self.depth + 1)]

    def initial(self, seed: int | None) -> AttentionVAE:
        """The network before training."""
        return AttentionVAE(self, seed=seed)

    def join(self, weights: Mapping[str, Any], statistics: Mapping[str, Any]) -> AttentionVAE:
        """The network with these weights and (no) statistics."""
        return nnx.merge(graph_definition(self), weights, statistics)


def _normalised(norm: Normalisation, x: jax.Array) -> jax.Array:
    return jax.nn.silu(norm(x, train=False))


class _Block(nnx.Module):
    """Normalise, SiLU, 3×3 convolution, twice, plus the skip; through a 1×1 convolution where channels change."""

    def __init__(self, inputs: int, outputs: int, padding: Padding, *, draw: Draw):
        self.norm1 = Normalisation(inputs, "group")
        self.conv1 = Convolution(3, inputs, outputs, draw=draw, padding=padding)
        self.norm2 = Normalisation(outputs, "group")
        self.conv2 = Convolution(3, outputs, outputs, draw=draw, padding=padding)
        self.skip = Convolution(1, inputs, outputs, draw=draw) if inputs != outputs else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv1(_normalised(self.norm1, x))
        y = self.conv2(_normalised(self.norm2, y))
        return y + (x if self.skip is None else self.skip(x))


class _Attention(nnx.Module):
    """Self-attention over the pixels of an image, one head, plus the skip (Vaswani et al. 2017)."""

    def __init__(self, channels: int, *, draw: Draw):
        self.norm = Normalisation(channels, "group")
        self.query, self.key, self.value, self.out = (Convolution(1, channels, channels, draw=draw) for _ in range(4))

    def __call__(self, x: jax.Array) -> jax.Array:
        n, height, width, channels = x.shape
        y = self.norm(x, train=False)
        query, key, value = (part(y).reshape(n, -1, channels) for part in (self.query, self.key, self.value))
        alike = jnp.einsum("nqc,nkc->nqk", query, key) / math.sqrt(channels)
        shares = jax.nn.softmax(alike.astype(jnp.promote_types(x.dtype, jnp.float32))).astype(x.dtype)
        mixture = jnp.einsum("nqk,nkc->nqc", shares, value)
        return x + self.out(mixture.reshape(n, height, width, channels))


def _middle(channels: int, padding: Padding, draw: Draw) -> nnx.List:
    block = _Block(channels, channels, padding, draw=draw)
    return nnx.List([block, _Attention(channels, draw=draw), _Block(channels, channels, padding, draw=draw)])


class _Encoder(nnx.Module):
    def __init__(self, settings: AttentionVAESettings, *, draw: Draw):
        widths, padding = settings.widths, settings.padding
        self.conv_in = Convolution(3, settings.channels, widths[0], draw=draw, padding=padding)
        self.blocks = nnx.List([_Block(a, b, padding, draw=draw) for a, b in itertools.pairwise(widths)])
        self.down = nnx.List([Convolution(3, c, c, draw=draw, stride=2, padding=padding) for c in widths[1:]])
        self.middle = _middle(widths[-1], padding, draw)
        self.norm = Normalisation(widths[-1], "group")
        self.out = Convolution(3, widths[-1], 2 * settings.latent_channels, draw=draw, padding=padding)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = self.conv_in(x)
        for block, down in zip(self.blocks, self.down, strict=True):
            x = down(block(x))
        for part in self.middle:
            x = part(x)
        mean, log_variance = jnp.split(self.out(_normalised(self.norm, x)), 2, axis=-1)
        return mean, jnp.clip(log_variance, _LOWEST, _HIGHEST)


class _Decoder(nnx.Module):
    def __init__(self, settings: AttentionVAESettings, *, draw: Draw):
        widths, padding = settings.widths[::-1], settings.padding
        self.conv_in = Convolution(3, settings.latent_channels, widths[0], draw=draw, padding=padding)
        self.middle = _middle(widths[0], padding, draw)
        self.up = nnx.List([Convolution(3, c, c, draw=draw, padding=padding) for c in widths[:-1]])
        self.blocks = nnx.List([_Block(a, b, padding, draw=draw) for a, b in itertools.pairwise(widths)])
        self.norm = Normalisation(widths[-1], "group")
        self.out = Convolution(3, widths[-1], settings.channels, draw=draw, padding=padding)

    def __call__(self, z: jax.Array) -> jax.Array:
        x = self.conv_in(z)
        for part in self.middle:
            x = part(x)
        for up, block in zip(self.up, self.blocks, strict=True):
            x = block(up(x, upsample=True))
        return self.out(_normalised(self.norm, x))


class AttentionVAE(GaussianVAE):
    """Encoder and decoder. The same settings and seed give the same weights, on every device."""

    def __init__(self, settings: AttentionVAESettings | None = None, *, seed: int | None = 0):
        self.settings = settings if settings is not None else AttentionVAESettings()
        draw = drawing(seed)
        self.encoder = _Encoder(self.settings, draw=draw)
        self.decoder = _Decoder(self.settings, draw=draw)

    def encode(self, images: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Images in [-1, 1] (n, h, w, c) to the latent's mean and log-variance, each (n, ``*latent_shape``)."""
        return self.encoder(images)

    def decode(self, latents: jax.Array, *, train: bool = False) -> jax.Array:
        """Latents (n, ``*latent_shape``) to the mean of the image, around [-1, 1] (n, h, w, c)."""
        return self.decoder(latents)
