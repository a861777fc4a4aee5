"""SLUG on one step of a flow-matching network: which images does a diffusion-like model not know how to denoise?

A generative model of this kind has no reconstruction, but each of its steps is a network from images to images. Here
one step, from half noise, is asked how far its output depends on what training left open, image by image and pixel by
pixel. Run it with ``python examples/denoiser.py``; half a minute on a laptop.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import sluguq

SIZE = 12


class Velocity(nnx.Module):
    """v(x, t), the direction from noise to image; the time comes in as another channel."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(2, 16, (3, 3), rngs=rngs)
        self.second = nnx.Conv(16, 16, (3, 3), kernel_dilation=2, rngs=rngs)
        self.last = nnx.Conv(16, 1, (3, 3), rngs=rngs)

    def __call__(self, noisy: jax.Array, time: jax.Array) -> jax.Array:
        clock = jnp.broadcast_to(time[:, None, None, None], noisy.shape)
        hidden = nnx.silu(self.first(jnp.concatenate([noisy, clock], axis=-1)))
        return self.last(nnx.silu(hidden + self.second(hidden)))


def discs(count: int, seed: int, *, stripes: bool = False) -> np.ndarray:
    """Soft discs, (count, 12, 12, 1) in [-1, 1]; or stripes, which training never shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    if stripes:
        angle = rng.uniform(0, np.pi, (count, 1, 1))
        return np.sign(np.sin(2.2 * (np.cos(angle) * x + np.sin(angle) * y)))[..., None].astype(np.float32)
    centre = rng.uniform(4, 8, (2, count, 1, 1))
    away = np.hypot(y - centre[0], x - centre[1]) - rng.uniform(2, 4, (count, 1, 1))
    return np.tanh(-2 * away)[..., None].astype(np.float32)


def halfway(images: np.ndarray, time: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the network sees, x = (1 - t) noise + t image with its time, and what it should answer."""
    noise = np.random.default_rng(seed).normal(size=images.shape).astype(np.float32)
    weight = time[:, None, None, None]
    return {"noisy": (1 - weight) * noise + weight * images, "time": time}, images - noise


def train(model: Velocity, images: np.ndarray, steps: int) -> None:
    """Flow matching: the squared error of the velocity at random times (Lipman et al. 2023)."""
    optimiser = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model: Velocity, optimiser: nnx.Optimizer, seen: dict[str, jax.Array], wanted: jax.Array) -> None:
        optimiser.update(model, nnx.grad(lambda net: jnp.mean((net(seen["noisy"], seen["time"]) - wanted) ** 2))(model))

    for index in range(steps):
        time = np.random.default_rng(index).uniform(size=32).astype(np.float32)
        step(model, optimiser, *halfway(images[index * 32 % len(images) :][:32], time, seed=index))


def main(steps: int = 600) -> dict[str, float]:
    """Mean SLUG of one step on familiar and on unfamiliar images."""
    model, images = Velocity(nnx.Rngs(0)), discs(256, seed=0)
    train(model, images, steps)
    graph, params = nnx.split(model, nnx.Param)

    def apply(params, seen):  # two inputs in a dict, both with a leading axis of examples
        return nnx.merge(graph, params)(seen["noisy"], seen["time"])

    key = jax.random.key(0)
    times = np.random.default_rng(1).uniform(size=len(images)).astype(np.float32)
    training, _ = halfway(images, times, seed=1)
    basis = sluguq.eigenbasis(apply, params, training, rank=20, key=key)
    result = {}
    for name, new in [("discs", discs(16, seed=1)), ("stripes", discs(16, seed=1, stripes=True))]:
        seen, _ = halfway(new, np.full(len(new), 0.5, np.float32), seed=2)  # the same noise for both
        scores = sluguq.score(apply, params, basis, seen, tolerance=0.02, maps=True, key=key)
        result[name] = float(scores.slug.mean())
        brightest = np.unravel_index(scores.maps[0].argmax(), scores.maps[0].shape)
        print(f"{name}: SLUG {scores.slug.mean():.1f} on average, first image {scores.slug[0]:.1f} ± ", end="")
        print(f"{scores.slug_sem[0]:.1f}, most uncertain at pixel {tuple(map(int, brightest))}")
    return result


if __name__ == "__main__":
    main()
