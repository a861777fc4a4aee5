"""What variational autoencoders with a Gaussian latent variable share, whatever their layers."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from sluguq.networks.network import Settings, TrainingPass


def kl_divergence(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) in nats, averaged over all latent values of all images.

    :param mean: of the latent, of any shape.
    :param log_variance: of the same shape.
    """
    return 0.5 * jnp.mean(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)


class GaussianVAE(nnx.Module):
    """A Flax module with ``settings``, ``encode`` and ``decode``, made into a network that is trained and scored."""

    settings: Any

    def encode(self, images: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Mean and log-variance of q(z | x), each (n, ``*latent_shape``).

        :param images: (n, height, width, channels) in [-1, 1].
        :param train: whether layers behave as in training.
        """
        raise NotImplementedError

    def decode(self, latents: jax.Array, *, train: bool = False) -> jax.Array:
        """Mean of p(x | z).

        :param latents: (n, ``*latent_shape``).
        :param train: whether layers behave as in training.
        """
        raise NotImplementedError

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """The decoder's mean at the encoder's mean.

        :param images: (n, height, width, channels) in [-1, 1].
        """
        return self.decode(self.encode(images)[0])

    def training_pass(self, images: jax.Array, key: jax.Array) -> TrainingPass:
        """One latent sample an image, reparameterised; latent and divergence in float32.

        :param images: (n, height, width, channels) in [-1, 1].
        :param key: of the latent sample.
        """
        mean, log_variance = (part.astype(jnp.float32) for part in self.encode(images, train=True))
        noise = jax.random.normal(key, mean.shape)
        z = mean + jnp.exp(log_variance / 2) * noise
        reconstruction = self.decode(z.astype(images.dtype), train=True)
        return TrainingPass(reconstruction, {"kl": kl_divergence(mean, log_variance)})

    def split(self) -> tuple[dict, dict]:
        """Weights and batch statistics, as nested dictionaries of arrays."""
        weights, statistics = (nnx.to_pure_dict(nnx.state(self, kind)) for kind in (nnx.Param, nnx.BatchStat))
        return weights, statistics


@functools.lru_cache(maxsize=64)
def graph_definition(settings: Settings) -> nnx.GraphDef:
    """The static half of a network: equal for all networks of equal settings, so they share compiled code.

    :param settings: the shape of the network.
    """
    return nnx.graphdef(nnx.eval_shape(lambda: settings.initial(None)))
