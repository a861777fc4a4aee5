"""What bfloat16 changes: the same small training in float32 and in bfloat16, and in float32 from another seed.

    python benchmarks/precision.py

Synthetic skin of 32 px, a small network, loss with the perceptual term (SqueezeNet's features, random weights). The
other seed shows how far two trainings differ anyway. tf32 exists on GPUs alone: on a CPU its column is float32's.
"""

import argparse
import dataclasses

import numpy as np

from sluguq.images.phantom import render
from sluguq.networks.perceptual.features import load_perceptual
from sluguq.networks.training import TrainingSettings, train
from sluguq.networks.vae import VAESettings

TERMS = ("loss", "mse", "kl", "perceptual")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    pixels = np.stack([render(fst, seed=0, index=index, size=32).pixels for index in range(16) for fst in (1, 2, 5, 6)])
    settings = TrainingSettings(
        network=VAESettings(image_size=32, width=8, depth=3, latent_channels=8),
        epochs=arguments.epochs,
        batch_size=16,
        learning_rate=1e-3,
    )
    perceptual = load_perceptual("squeezenet1_1", None, weights="random")
    histories = {}
    for name, precision, seed in (
        ("float32", "float32", 0),
        ("bfloat16", "bfloat16", 0),
        ("tf32", "tf32", 0),
        ("float32, other seed", "float32", 1),
    ):
        changed = dataclasses.replace(settings, precision=precision)
        result = train(pixels, changed, seed=seed, perceptual=perceptual, progress=False)
        histories[name] = {term: np.array([row[term] for row in result.history]) for term in TERMS}
    exact = histories["float32"]
    epochs = sorted({round(e) for e in np.geomspace(1, arguments.epochs, 5)})
    print("| | " + " | ".join(f"mse, epoch {e}" for e in epochs) + " | " + " | ".join(TERMS) + " |")
    print("|" + " --- |" * (1 + len(epochs) + len(TERMS)))
    for name, terms in histories.items():
        curve = [f"{terms['mse'][e - 1]:.4f}" for e in epochs]
        off = [f"{100 * np.abs(terms[t] / exact[t] - 1).mean():.2f} %" for t in TERMS]
        print("| " + " | ".join([name, *curve, *off]) + " |")


if __name__ == "__main__":
    main()
