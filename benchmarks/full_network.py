"""The papers' network on the device at hand: a training step, and what SLUG is made of, in every precision.

    python benchmarks/full_network.py [--width 64] [--size 128] [--batch 64] [--precisions float32 tf32 bfloat16]

Times are wall-clock seconds of calls that are compiled already, means of several, on a device that does nothing else.
The perceptual term has VGG19's shape with random weights.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.networks.network import reconstruction_function
from sluguq.networks.perceptual.features import load_perceptual
from sluguq.networks.training import TrainingSettings, compiled_advance, epoch_order, initial_state
from sluguq.networks.vae import VAE, VAESettings


def seconds(function: Callable[..., Any], *arguments: Any, repetitions: int = 5) -> float:
    """Seconds of a call, after one that compiles."""
    jax.block_until_ready(function(*arguments))
    started = time.perf_counter()
    for _ in range(repetitions):
        result = function(*arguments)
    jax.block_until_ready(result)
    return (time.perf_counter() - started) / repetitions


def training_step(network: VAESettings, precision: Any, images: np.ndarray, batch: int) -> float:
    """Seconds of one step with the perceptual term."""
    settings = TrainingSettings(network=network, batch_size=batch, precision=precision, epochs=2)
    vgg = load_perceptual("vgg19", None, weights="random")
    advance = compiled_advance(settings, 100, len(images) // batch, None)
    terms = ("loss", "mse", "kl", "perceptual", "gradient_norm")
    state = initial_state(settings, 0, 100, terms=terms)
    order, pixels = jnp.asarray(epoch_order(0, 0, len(images))), jnp.asarray(images)
    steps = 1 if jax.default_backend() == "cpu" else 4
    state = jax.block_until_ready(advance(state, pixels, order, vgg, jnp.int32(0), steps))
    started = time.perf_counter()
    for _ in range(3):
        state = advance(state, pixels, order, vgg, jnp.int32(0), steps)
    jax.block_until_ready(state)
    return (time.perf_counter() - started) / 3 / steps


def passes(network: VAESettings, precision: Any, images: np.ndarray) -> dict[str, float]:
    """Seconds of a forward pass, a probe, a product with the GGN and one of a block of four, a vector."""
    apply, params = reconstruction_function(VAE(network, seed=0), precision=precision)
    x, vector = jnp.asarray(images), jax.tree.map(jnp.ones_like, params)
    block = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), vector)

    def product(weights: Any, pixels: jax.Array, tangent: Any) -> Any:
        _, linear = jax.linearize(lambda w: apply(w, pixels), weights)
        return jax.linear_transpose(linear, weights)(linear(tangent))[0]

    def probe(weights: Any, pixels: jax.Array, tangent: Any) -> jax.Array:
        return jax.jvp(lambda w: apply(w, pixels), (weights,), (tangent,))[1]

    together = jax.jit(lambda weights, pixels, tangents: jax.vmap(lambda v: product(weights, pixels, v))(tangents))
    return {
        "forward": seconds(jax.jit(lambda weights, pixels: apply(weights, pixels)), params, x),
        "probe": seconds(jax.jit(probe), params, x, vector),
        "product": seconds(jax.jit(product), params, x, vector),
        "product in a block of 4": seconds(together, params, x, block, repetitions=2) / 4,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precisions", nargs="+", default=["float32", "tf32", "bfloat16"])
    given = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (2 * given.batch, given.size, given.size, 3), dtype=np.uint8)
    network = VAESettings(image_size=given.size, width=given.width)
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}; batch {given.batch}, {given.size} px")
    for precision in given.precisions:
        step = training_step(network, precision, images, given.batch)
        print(f"{precision}: training step {1e3 * step:.1f} ms, {given.batch / step:.0f} images/s", flush=True)
        took = passes(network, precision, images[: given.batch])
        forward = took.pop("forward")
        ratios = ", ".join(f"{name} {value / forward:.2f}" for name, value in took.items())
        print(f"{precision}: forward pass {1e3 * forward:.2f} ms; in forward passes: {ratios}", flush=True)


if __name__ == "__main__":
    main()
