"""What any generative network offers to be trained, reconstructed, sampled, scored, saved and loaded.

A network is its shape (settings, static under ``jax.jit``) and two trees of arrays: the weights, which training
determines and whose uncertainty SLUG tells, and the statistics, which go with them (running means of batch
normalisation). Inside compiled code a network is put together anew from these three, so that all networks of one
shape share one program.

=================  ====================================================================================
to be              a network offers
=================  ====================================================================================
reconstructed,     :class:`Network`: ``reconstruct``
scored
saved, loaded      :class:`Network`: ``split``; :class:`Settings`: ``join``, and fields that JSON can hold
sampled            :class:`LatentNetwork`: ``decode``, and ``latent_shape`` of its settings
told by its        :class:`LatentNetwork`: ``encode``; a network without it has no latent standard deviation
latent variable
trained            :class:`TrainableNetwork`: ``training_pass``; :class:`Settings`: ``initial``
=================  ====================================================================================

``networks/registry.py`` has the name of every architecture; ``networks/vae.py`` is the first of them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

Precision = Literal["float32", "tf32", "bfloat16"]


class Settings(Protocol):
    """The shape of a network: a frozen dataclass whose equal values stand for equal functions."""

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""

    @property
    def channels(self) -> int:
        """Colour channels."""

    def initial(self, seed: int | None) -> Any:
        """The network before training, the same for the same seed; None leaves its weights to be filled in.

        :param seed: of the weights.
        """

    def join(self, weights: Any, statistics: Any) -> Any:
        """The network with these weights and statistics; undoes :meth:`Network.split`.

        :param weights: nested dictionaries of arrays.
        :param statistics: likewise; empty where a network has none.
        """


@runtime_checkable
class Network(Protocol):
    """A network with its weights."""

    @property
    def settings(self) -> Any:
        """Its :class:`Settings`."""

    def split(self) -> tuple[Any, Any]:
        """Weights and statistics, each a pytree of arrays."""

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """Images in [-1, 1] (n, height, width, channels) to what the network makes of them: f_w(x) of the SLUG paper.

        Deterministic, image by image, differentiable in the weights, and computed in the images' type.

        :param images: (n, height, width, channels) in [-1, 1].
        """


@runtime_checkable
class LatentNetwork(Network, Protocol):
    """A network with a Gaussian latent variable of standard normal prior; its settings have a ``latent_shape``."""

    def encode(self, images: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Mean and log-variance of q(z | x), each (n, ``*latent_shape``).

        :param images: (n, height, width, channels) in [-1, 1].
        :param train: whether layers behave as in training.
        """

    def decode(self, latents: jax.Array, *, train: bool = False) -> jax.Array:
        """Mean of p(x | z), in [-1, 1], for latents (n, ``*latent_shape``).

        :param latents: (n, ``*latent_shape``).
        :param train: whether layers behave as in training.
        """


class TrainingPass(NamedTuple):
    """What a training step needs of a batch.

    :ivar reconstruction: (n, height, width, channels), made with the pass's own noise.
    :ivar regularisers: scalars to be added to the loss, by name, unweighted means over their elements. ``kl`` is
        weighted by ``kl_weight``; others carry their weights already.
    """

    reconstruction: jax.Array
    regularisers: dict[str, jax.Array]


@runtime_checkable
class TrainableNetwork(Network, Protocol):
    """A network that this package trains."""

    def training_pass(self, images: jax.Array, key: jax.Array) -> TrainingPass:
        """One pass over a batch in training, in the images' type; may replace the network's own statistics.

        :param images: (n, height, width, channels) in [-1, 1].
        :param key: of whatever the pass draws.
        """


def to_unit_range(images: Any, dtype: Any = jnp.float32) -> jax.Array:
    """Images as the network sees them: uint8 0..255 becomes x / 127.5 - 1, floats are taken as they are.

    :param images: uint8, or floats in [-1, 1].
    :param dtype: of the result.
    """
    images = jnp.asarray(images)
    if images.dtype == jnp.uint8:
        return images.astype(dtype) / 127.5 - 1
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images are {images.dtype}: give uint8 (0 to 255) or floats in [-1, 1]")
    return images.astype(dtype)


def to_pixels(images: jax.Array) -> jax.Array:
    """Images in [-1, 1] as uint8, rounded to the nearest of 0 to 255; undoes `to_unit_range`.

    :param images: of any shape.
    """
    return jnp.clip(jnp.round((images + 1) * 127.5), 0, 255).astype(jnp.uint8)


def count_weights(network: Network) -> int:
    """Number of trained weights (statistics are not counted).

    :param network: the network.
    """
    return sum(leaf.size for leaf in jax.tree.leaves(network.split()[0]))


def matmul_precision(precision: Precision) -> Any:
    """Context in which products of float32 arrays are traced with at most this rounding.

    :param precision: float32, tf32 or bfloat16.
    """
    return jax.default_matmul_precision("tensorfloat32" if precision == "tf32" else "highest")


@dataclass(frozen=True)
class _Reconstruction:
    """Reconstruction as a pure function, compared by value so that all models share one compiled program."""

    settings: Settings
    precision: Precision

    def __call__(self, statistics: Any, fixed: dict, params: Any, images: Any) -> jax.Array:
        dtype = jax.tree.leaves(params)[0].dtype
        with matmul_precision(self.precision):
            network = self.settings.join({**fixed, **params} if fixed else params, statistics)
            x = to_unit_range(images, dtype)
            y = network.reconstruct(x.astype(jnp.bfloat16) if self.precision == "bfloat16" else x)
            return y.astype(dtype)


def reconstruction_function(
    network: Network, *, parameters: Literal["all", "decoder"] = "all", precision: Precision = "float32"
) -> tuple[Partial, Any]:
    """A network as ``(apply, params)`` for the SLUG library.

    ``apply(params, images)`` is the network's reconstruction, f_w(x) of the SLUG paper, with batch normalisation on
    its running statistics. It is a ``jax.tree_util.Partial`` that carries those statistics (and weights not in
    ``params``) as arrays: under ``jit`` they are arguments, not constants.

    :param network: the network.
    :param parameters: "all": ``params`` are the weights of encoder and decoder, as in the papers. "decoder": all but
        those under ``encoder``, which are held fixed.
    :param precision: of the products: float32, tf32 (on devices that have it) or bfloat16. The result, and with it
        every sum over pixels and probes, has the type of ``params`` in any case.
    :returns: ``apply``, from ``params`` and images (n, height, width, channels), uint8 in 0..255 or floats in
        [-1, 1], to an array of the images' shape and the type of ``params``; ``params``, a pytree of arrays.
    :raises ValueError: where the decoder's weights are wanted of a network whose weights name no encoder.
    """
    if parameters not in ("all", "decoder"):
        raise ValueError(f"parameters={parameters!r}: must be all or decoder")
    weights, statistics = network.split()
    fixed = {}
    if parameters == "decoder":
        if not isinstance(weights, dict) or "encoder" not in weights:
            raise ValueError(
                "parameters='decoder', but this network's weights have no part called encoder to hold fixed: use 'all'"
            )
        weights = dict(weights)
        fixed = {"encoder": weights.pop("encoder")}
    return Partial(_Reconstruction(network.settings, precision), statistics, fixed), weights


@functools.partial(jax.jit, static_argnames="settings")
def _encode(settings: Settings, weights: Any, statistics: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    with matmul_precision("float32"):
        return settings.join(weights, statistics).encode(to_unit_range(images))


@functools.partial(jax.jit, static_argnames="settings")
def _decode(settings: Settings, weights: Any, statistics: Any, latents: jax.Array) -> jax.Array:
    with matmul_precision("float32"):
        return settings.join(weights, statistics).decode(latents)


def encode(network: LatentNetwork, images: Any) -> tuple[jax.Array, jax.Array]:
    """Mean and log-variance of q(z | x), each (n, ``*latent_shape``), for images uint8 or in [-1, 1].

    The mean latent standard deviation of the fairness paper is `exp(log_variance / 2).mean((1, 2, 3))`.

    :param network: with a latent variable.
    :param images: (n, height, width, channels).
    """
    return _encode(network.settings, *network.split(), jnp.asarray(images))


def decode(network: LatentNetwork, latents: Any) -> jax.Array:
    """Mean of p(x | z), (n, height, width, channels) in [-1, 1], for latents (n, ``*latent_shape``).

    :param network: with a latent variable.
    :param latents: (n, ``*latent_shape``).
    """
    return _decode(network.settings, *network.split(), jnp.asarray(latents))
