"""Images that a network makes of its own: samples of the prior, decoded."""

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.networks.network import LatentNetwork, decode, to_pixels


def prior_samples(network: LatentNetwork, count: int, *, seed: int, batch_size: int = 16) -> np.ndarray:
    """Decode z ~ N(0, I): what the model takes images to look like.

    The image is the likelihood's mean at z, without the unit-variance noise of p(x | z) = N(f(z), I), which
    at the scale of [-1, 1] would drown it. Sample i does not depend on how many are drawn, nor on
    ``batch_size`` beyond rounding, and different networks with one seed are shown the same latents.

    :param network: the network.
    :param count: number of samples.
    :param seed: of the latents.
    :param batch_size: samples decoded at a time.
    :returns: uint8 (count, height, width, channels).
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(count))
    latents = jax.vmap(lambda key: jax.random.normal(key, network.settings.latent_shape))(keys)
    parts = []
    for start in range(0, count, batch_size):
        batch = latents[start : start + batch_size]
        whole_batch = jnp.pad(batch, ((0, batch_size - len(batch)), *[(0, 0)] * (batch.ndim - 1)))
        parts.append(np.asarray(to_pixels(decode(network, whole_batch)))[: len(batch)])
    return np.concatenate(parts)
