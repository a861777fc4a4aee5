"""What a network is trained on: squared error, its own regularisers and perceptual loss, each on its own."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from sluguq.networks.network import Precision, Settings, matmul_precision, to_unit_range
from sluguq.networks.perceptual.features import Perceptual, perceptual_loss

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

    def factors(self, network: Any, layers: int) -> dict[str, float]:
        """The factor of each mean term in the loss.

        :param network: settings of the network, with a ``latent_shape`` where it has the term ``kl``.
        :param layers: the feature network's number of outputs.
        """
        factors = {"mse": self.mse_weight, "kl": self.kl_weight, "perceptual": self.perceptual_weight}
        if self.reduction == "sum":
            factors["mse"] *= network.image_size**2 * network.channels / 2
            factors["kl"] *= math.prod(getattr(network, "latent_shape", ()))
            factors["perceptual"] *= layers / 2
        return factors


def objective(
    weights: Any,
    statistics: Any,
    images: jax.Array,
    key: jax.Array,
    perceptual: Perceptual | None,
    *,
    network: Settings,
    settings: ObjectiveSettings,
    precision: Precision = "float32",
) -> tuple[jax.Array, tuple[Terms, dict]]:
    """The loss of a batch and its terms, after one pass of the network in training.

    :param weights: of the network, as ``split`` gives them, float32.
    :param statistics: likewise.
    :param images: uint8 (n, height, width, channels).
    :param key: of the network's noise.
    :param perceptual: the feature network, or None to leave that term out.
    :param precision: of the products. With bfloat16 the activations are bfloat16 too; weights, statistics, the
        latent sample and all sums stay float32.
    :returns: loss, (terms, statistics): scalar float32; ``mse``, the network's regularisers (``kl``) and
        ``perceptual`` (where there is one) as means, unweighted, and ``loss``; the statistics after this batch.
    """
    with matmul_precision(precision):
        whole = network.join(weights, statistics)
        x = to_unit_range(images)
        compute = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
        reconstruction, regularisers = whole.training_pass(x.astype(compute), key)
        terms = {"mse": jnp.mean(jnp.square(x - reconstruction.astype(jnp.float32))), **regularisers}
        if perceptual is not None:
            terms["perceptual"] = perceptual_loss(perceptual, x.astype(compute), reconstruction)
        layers = perceptual.outputs if perceptual is not None else 0
        factors = settings.factors(network, layers)
        loss = sum((factors.get(name, 1.0) * term for name, term in terms.items()), jnp.float32(0))
        return loss, ({"loss": loss, **terms}, whole.split()[1])
