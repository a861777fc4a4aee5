"""What the VAE is trained on: squared error, KL divergence and perceptual loss, each on its own."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from sluguq.networks.perceptual.features import Perceptual, perceptual_loss
from sluguq.networks.vae import Parameters, Precision, VAESettings, join, matmul_precision, split, to_unit_range

Terms = dict[str, jax.Array]


@dataclass(frozen=True)
class ObjectiveSettings:
    """Weights of the terms and how they are summed.

    :ivar mse_weight: factor of the squared error.
    :ivar kl_weight: factor of the KL divergence.
    :ivar perceptual_weight: factor of the perceptual loss; 0 leaves the feature network out.
    :ivar reduction: mean: every term is a mean over its elements (pixel values, latent values, feature values), as
        in the code that the fairness paper names. sum: the equations as they are printed, an image's
        ½‖x − f(x)‖² + KL + Σ_l 1/(2 C_l H_l W_l) ‖Φ_l(x) − Φ_l(f(x))‖².
    """

    mse_weight: float = 1.0
    kl_weight: float = 1.0
    perceptual_weight: float = 1.0
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        for name in ("mse_weight", "kl_weight", "perceptual_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be negative")
        if self.reduction not in ("mean", "sum"):
            raise ValueError(f"reduction={self.reduction!r}: must be mean or sum")

    def factors(self, network: VAESettings, layers: int) -> dict[str, float]:
        """The factor of each mean term in the loss; `layers` is the feature network's number of outputs."""
        factors = {"mse": self.mse_weight, "kl": self.kl_weight, "perceptual": self.perceptual_weight}
        if self.reduction == "sum":
            height, width, latent = network.latent_shape
            factors["mse"] *= network.image_size**2 * network.channels / 2
            factors["kl"] *= height * width * latent
            factors["perceptual"] *= layers / 2
        return factors


def kl_divergence(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) in nats, averaged over all latent values of all images."""
    return 0.5 * jnp.mean(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)


def objective(
    weights: Parameters,
    statistics: Parameters,
    images: jax.Array,
    key: jax.Array,
    perceptual: Perceptual | None,
    *,
    network: VAESettings,
    settings: ObjectiveSettings,
    precision: Precision = "float32",
) -> tuple[jax.Array, tuple[Terms, dict]]:
    """The loss of a batch, with one latent sample an image (reparameterised), and its terms.

    :param weights: of the network, as ``vae.split`` gives them, float32.
    :param statistics: likewise.
    :param images: uint8 (n, height, width, channels).
    :param key: of the latent noise.
    :param perceptual: the feature network, or None to leave that term out.
    :param precision: of the products. With bfloat16 the activations are bfloat16 too; weights, statistics, the
        latent sample and all sums stay float32.
    :returns: loss, (terms, statistics): scalar float32; ``mse``, ``kl``, ``perceptual`` (where there is one) as
        means, unweighted, and ``loss``; the batch statistics after this batch.
    """
    with matmul_precision(precision):
        vae = join(network, weights, statistics)
        x = to_unit_range(images)
        compute = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
        mean, log_variance = (part.astype(jnp.float32) for part in vae.encode(x.astype(compute), train=True))
        noise = jax.random.normal(key, mean.shape)
        z = mean + jnp.exp(log_variance / 2) * noise
        reconstruction = vae.decode(z.astype(compute), train=True)
        terms = {
            "mse": jnp.mean(jnp.square(x - reconstruction.astype(jnp.float32))),
            "kl": kl_divergence(mean, log_variance),
        }
        if perceptual is not None:
            terms["perceptual"] = perceptual_loss(perceptual, x.astype(compute), reconstruction)
        layers = perceptual.outputs if perceptual is not None else 0
        factors = settings.factors(network, layers)
        loss = sum((factors[name] * term for name, term in terms.items()), jnp.float32(0))
        return loss, ({"loss": loss, **terms}, split(vae)[1])
