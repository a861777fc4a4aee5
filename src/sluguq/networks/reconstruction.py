"""Errors of a network's reconstructions and the spread of its latent variable, image by image."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.networks.network import LatentNetwork, Network, Settings, matmul_precision, to_pixels, to_unit_range


class Reconstructions(NamedTuple):
    """What one forward pass tells of n images.

    :ivar mse: (n,) mean over pixels and channels of (x - f(x))^2, intensities from -1 to 1.
    :ivar latent_std: (n,) mean over the latent of sigma(x); NaN where the network has no latent distribution.
    :ivar kl: (n,) KL(q(z|x) || N(0, I)) in nats, summed over the latent; NaN likewise.
    :ivar error_map: (n, height, width) squared error summed over channels.
    :ivar reconstruction: (n, height, width, channels) uint8; of a VAE the decoder's mean at the encoder's mean.
    """

    mse: np.ndarray
    latent_std: np.ndarray
    kl: np.ndarray
    error_map: np.ndarray
    reconstruction: np.ndarray


@functools.partial(jax.jit, static_argnames="settings")
def _reconstruct(settings: Settings, weights: Any, statistics: Any, images: jax.Array) -> tuple[jax.Array, ...]:
    with matmul_precision("float32"):
        network = settings.join(weights, statistics)
        x = to_unit_range(images)
        if isinstance(network, LatentNetwork):
            mean, log_variance = network.encode(x)
            reconstruction = network.decode(mean)
            latent_axes = tuple(range(1, mean.ndim))
            kl = 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance).sum(latent_axes)
            latent_std = jnp.exp(log_variance / 2).mean(latent_axes)
        else:
            reconstruction = network.reconstruct(x)
            kl = latent_std = jnp.full(len(x), jnp.nan)
        error = jnp.square(x - reconstruction)
        return error.mean((1, 2, 3)), latent_std, kl, error.sum(-1), to_pixels(reconstruction)


def reconstruct(network: Network, images: np.ndarray, *, batch_size: int = 64) -> Reconstructions:
    """Reconstruct images and measure the errors.

    :param network: the network, in evaluation: batch normalisation uses its running statistics.
    :param images: uint8 (n, height, width, channels).
    :param batch_size: images at a time; the last batch is padded, so that one program serves all.
    :raises ValueError: where there is no image.
    """
    if len(images) == 0:
        raise ValueError("there is no image to reconstruct")
    weights, statistics = network.split()
    parts = []
    batch_size = min(batch_size, len(images))
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        padded = np.concatenate([batch, np.repeat(batch[-1:], batch_size - len(batch), axis=0)])
        results = _reconstruct(network.settings, weights, statistics, jnp.asarray(padded))
        parts.append([np.asarray(result)[: len(batch)] for result in results])
    return Reconstructions(*(np.concatenate(column) for column in zip(*parts, strict=True)))
