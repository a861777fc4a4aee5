"""How fast this device runs the networks of an experiment, measured in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.config.experiment import Experiment
from sluguq.machine.devices import device_in_words
from sluguq.machine.streams import plain_stream
from sluguq.networks.network import reconstruction_function
from sluguq.networks.vae import VAE, VAESettings
from sluguq.stages.arithmetic import forward_flop
from sluguq.stages.cost import GRADIENT, PROBE, Rates

_IMAGES = 4
_TIMES = 2


def measured_rates(experiment: Experiment) -> Rates:
    """Operations a second of this device, in a gradient and in a probe of the experiment's own network.

    The perceptual loss is not run: its network is taken to reach the same rate.

    :param experiment: the experiment.
    """
    size = experiment.images.size
    model = experiment.model.model_dump(include=set(VAESettings.__dataclass_fields__))
    apply, params = reconstruction_function(VAE(VAESettings(image_size=size, **model)))
    images = jnp.asarray(plain_stream().integers(0, 256, (_IMAGES, size, size, 3), np.uint8))
    forward = forward_flop(experiment.model, size)

    @jax.jit
    def gradient(params: Any) -> Any:
        return jax.grad(lambda weights: jnp.square(apply(weights, images)).mean())(params)

    @jax.jit
    def probe(params: Any) -> Any:
        return jax.jvp(lambda weights: apply(weights, images), (params,), (params,))[1]

    return Rates(
        device_in_words(),
        training=_IMAGES * GRADIENT * forward / _seconds(gradient, params),
        uncertainty=_IMAGES * (PROBE + 1) * forward / _seconds(probe, params),
        measured=True,
    )


def _seconds(function: Callable[[Any], Any], params: Any) -> float:
    """The best of a few runs, after one that compiles."""
    jax.block_until_ready(function(params))
    times = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        jax.block_until_ready(function(params))
        times.append(time.perf_counter() - start)
    return min(times)
