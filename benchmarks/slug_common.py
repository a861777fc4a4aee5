"""What the benchmarks of the SLUG engine share: trained networks, clocks, and the results file."""

import pickle
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sluguq.images.phantom.scene import render
from sluguq.networks.network import reconstruction_function
from sluguq.networks.objective import ObjectiveSettings
from sluguq.networks.training import TrainingSettings, train
from sluguq.networks.vae import VAESettings

RESULTS = Path(__file__).with_name("RESULTS.md")
DOCS = Path(__file__).parents[1] / "docs"
MACHINE = "two CPU cores, shared with other jobs; compare figures within a table, not between runs"


def phantoms(count: int, size: int, skin_types: list[int], seed: int) -> np.ndarray:
    """Synthetic skin photographs, uint8 (count, size, size, 3), skin types in turn."""
    return np.stack(
        [render(skin_types[i % len(skin_types)], seed=seed, index=i, size=size).pixels for i in range(count)]
    )


def trained(size: int, width: int, depth: int, latent: int, epochs: int, count: int = 256) -> tuple[Any, ...]:
    """(apply, params, training images, test images) of a VAE trained on light synthetic skin; kept between runs."""
    folder = Path(tempfile.gettempdir()) / "sluguq-benchmarks"
    folder.mkdir(exist_ok=True)
    path = folder / f"vae-{size}-{width}-{depth}-{latent}-{epochs}-{count}.pickle"
    network = VAESettings(image_size=size, width=width, depth=depth, latent_channels=latent)
    if not path.exists():
        images = phantoms(count, size, [1, 2], 1)
        settings = TrainingSettings(
            network=network,
            objective=ObjectiveSettings(perceptual_weight=0),
            epochs=epochs,
            batch_size=32,
            learning_rate=1e-3,
            schedule="cosine",
        )
        weights, statistics = train(images, settings, seed=0).network.split()
        path.write_bytes(pickle.dumps((weights, statistics, images, phantoms(24, size, [1, 2, 3, 4, 5, 6], 2))))
    weights, statistics, images, test = pickle.loads(path.read_bytes())
    apply, params = reconstruction_function(network.join(weights, statistics))
    return apply, params, images, test


def seconds(call: Callable[[], Any], repeats: int = 2) -> float:
    """The least processor time of a call, over all cores, after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        start = time.process_time()
        jax.block_until_ready(call())
        times.append(time.process_time() - start)
    return min(times)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def publish(heading: str, command: str, body: str) -> None:
    """Print a section and put it into RESULTS.md in place of the one with the same heading."""
    section = f"## {heading}\n\n`{command}` on {MACHINE}.\n\n{body.strip()}\n"
    print(section)
    text = RESULTS.read_text() if RESULTS.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    text = pattern.sub(lambda _: section + "\n", text) if pattern.search(text) else text.rstrip() + "\n\n" + section
    RESULTS.write_text(text.rstrip() + "\n")


def publish_part(start: str, end: str, body: str) -> None:
    """Print a part of docs/accuracy.md and put it between its marks there."""
    print(body)
    path = DOCS / "accuracy.md"
    before, rest = path.read_text().split(f"<!-- {start} -->")
    path.write_text(f"{before}<!-- {start} -->\n\n{body.strip()}\n\n<!-- {end} -->{rest.split(f'<!-- {end} -->')[1]}")
