"""SLUG for an autoencoder that knows nothing of this project: which images is it unsure of, and where?

Run it with ``python examples/your_own_model.py``; half a minute on a laptop.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import sluguq


class Autoencoder(nnx.Module):
    """Somebody else's network: two convolutions down, two up."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.down = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.code = nnx.Conv(16, 4, (3, 3), strides=2, rngs=rngs)
        self.up = nnx.ConvTranspose(4, 16, (3, 3), strides=(2, 2), rngs=rngs)
        self.out = nnx.ConvTranspose(16, 3, (3, 3), strides=(2, 2), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(nnx.elu(self.up(nnx.elu(self.code(nnx.elu(self.down(x)))))))


def discs(count: int, seed: int, *, squares: bool = False) -> np.ndarray:
    """Blurred discs on a plain ground, (count, 16, 16, 3) in [-1, 1]; or squares, which training never shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    centre = rng.uniform(5, 11, (2, count, 1, 1))
    away = np.abs(np.stack([y - centre[0], x - centre[1]]))
    distance = away.max(0) if squares else np.hypot(*away)
    mask = 1 / (1 + np.exp(4 * (distance - rng.uniform(2, 5, (count, 1, 1)))))
    colour = rng.uniform(-1, 1, (2, count, 1, 1, 3)) * ([1, 1, -1] if squares else [1, 0.3, 0.3])
    return (colour[0] * mask[..., None] + colour[1] * (1 - mask[..., None])).astype(np.float32)


def train(model: Autoencoder, images: np.ndarray, steps: int) -> None:
    """A few hundred steps of Adam on the squared error."""
    optimiser = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model: Autoencoder, optimiser: nnx.Optimizer, batch: jax.Array) -> None:
        optimiser.update(model, nnx.grad(lambda net: jnp.mean((net(batch) - batch) ** 2))(model))

    for index in range(steps):
        step(model, optimiser, jnp.asarray(images[index * 32 % 256 :][:32]))


def main(steps: int = 400) -> dict[str, float]:
    """Mean SLUG of familiar and of unfamiliar images."""
    model, images = Autoencoder(nnx.Rngs(0)), discs(256, seed=0)
    train(model, images, steps)

    # --- from here on it is the same for any model ---------------------------------------------
    graph, params = nnx.split(model, nnx.Param)

    def apply(params, images):
        return nnx.merge(graph, params)(images)

    key = jax.random.key(0)
    basis = sluguq.eigenbasis(apply, params, images, rank=20, key=key)
    result = {}
    for name, new in [("discs", discs(8, seed=1)), ("squares", discs(8, seed=1, squares=True))]:
        scores = sluguq.score(apply, params, basis, new, tolerance=0.02, maps=True, key=key)
        result[name] = float(scores.slug.mean())
        brightest = np.unravel_index(scores.maps[0].argmax(), scores.maps[0].shape)
        print(f"{name}: SLUG {scores.slug.mean():.1f} on average, first image {scores.slug[0]:.1f} ± ", end="")
        print(f"{scores.slug_sem[0]:.1f}, most uncertain at pixel {tuple(map(int, brightest))}")
    return result


if __name__ == "__main__":
    main()
