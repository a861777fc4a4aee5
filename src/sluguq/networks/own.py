"""Trained networks of one's own: any pure function of weights and images, from a factory in a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sluguq.networks.network import Network
from sluguq.networks.registry import ArchitectureError, found


@dataclass(frozen=True)
class OwnSettings:
    """What is static of such a network; it is not trained here.

    :ivar image_size: height and width in pixels.
    :ivar structure: the function and whatever of it is no array, as a structure of a pytree.
    :ivar channels: colour channels.
    """

    image_size: int
    structure: Any
    channels: int = 3

    def initial(self, seed: int | None) -> OwnNetwork:
        """Refused: a function of given weights tells nothing of weights before training.

        :raises ArchitectureError: always.
        """
        raise ArchitectureError("a network from (apply, params) has no initial weights: give model.weights")

    def join(self, weights: Any, statistics: Any) -> OwnNetwork:
        """The network with these weights and bound arrays."""
        return OwnNetwork(self, weights, statistics)


@dataclass(frozen=True)
class OwnNetwork:
    """A network from ``apply(params, images)``; the arrays that ``apply`` binds are its statistics."""

    settings: OwnSettings
    weights: Any
    statistics: Any

    def split(self) -> tuple[Any, Any]:
        """``params``, and the arrays that ``apply`` binds."""
        return self.weights, self.statistics

    def reconstruct(self, images: jax.Array) -> jax.Array:
        """``apply(params, images)``.

        :param images: (n, height, width, channels) in [-1, 1].
        """
        return jax.tree.unflatten(self.settings.structure, self.statistics)(self.weights, images)


def network_from(apply: Any, params: Any, *, image_size: int, channels: int = 3) -> OwnNetwork:
    """A network from a pure function.

    :param apply: from ``params`` and images (n, height, width, channels) in [-1, 1] to reconstructions of that shape
        and range; a ``jax.tree_util.Partial`` where it binds arrays that are no weights, such as running means.
    :param params: pytree of floating-point arrays.
    :param image_size: height and width in pixels.
    :param channels: colour channels.
    :raises ArchitectureError: where the result has another shape than the images.
    """
    bound = apply if isinstance(apply, Partial) else Partial(apply)
    statistics, structure = jax.tree.flatten(bound)
    params = jax.tree.map(jnp.asarray, params)
    images = jax.ShapeDtypeStruct((2, image_size, image_size, channels), jnp.float32)
    shape = getattr(jax.eval_shape(bound, params, images), "shape", None)
    if shape != images.shape:
        raise ArchitectureError(
            f"apply(params, images) makes {shape} of images {images.shape}: a network that is scored against its "
            "images returns what it reconstructs, in their shape"
        )
    return OwnNetwork(OwnSettings(image_size, structure, channels), params, statistics)


def load_own(place: str, weights: str | Path, *, image_size: int, options: Mapping[str, Any]) -> Network:
    """The network that a factory makes of a file of weights.

    :param place: ``path/to/file.py:factory``.
    :param weights: the file; handed to ``factory(weights, image_size=…, **options)``, which returns ``(apply, params)``
        (see :func:`network_from`) or a network.
    :param image_size: height and width in pixels.
    :param options: ``model.options`` of the configuration.
    :raises ArchitectureError: where the factory returns something else.
    """
    result = found(place)(Path(weights), image_size=image_size, **options)
    if isinstance(result, tuple) and len(result) == 2:
        return network_from(*result, image_size=image_size)
    if not isinstance(result, Network):
        raise ArchitectureError(f"{place} returned a {type(result).__name__}: return (apply, params), or a network")
    return result
