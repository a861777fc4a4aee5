"""What a probe costs against a forward pass, how cost grows, and whether memory stays flat."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np

import sluguq
from slug_common import DOCS, publish, seconds, table
from sluguq.slug.ggn import GGN
from sluguq.slug.network import parameter_count
from sluguq.slug.passes import backward, forward
from sluguq.slug.probes import probe_batch
from sluguq.vae import VAE, VAESettings, reconstruction_function

mpl.use("Agg")
import matplotlib.pyplot as plt

KEY = jax.random.key(0)


def network(size: int, width: int, depth: int = 4):
    apply, params = reconstruction_function(
        VAE(VAESettings(image_size=size, width=width, depth=depth, latent_channels=32))
    )
    return apply, params


def pictures(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def costs(size: int, width: int, batch: int, tangents: int = 8) -> list[float]:
    """Seconds an image: forward, probe, Gauss-Newton product, backward and forward pass of a direction."""
    apply, params = network(size, width)
    images = jnp.asarray(pictures(batch, size))
    vectors = jax.random.normal(KEY, (tangents, parameter_count(params)))
    plain = seconds(lambda: jax.jit(apply)(params, images)) / batch
    probe = seconds(lambda: probe_batch(apply, params, images, vectors, maps=True, width=1)) / batch / tangents
    ggn = GGN(apply, params, images, batch_size=batch)
    product = seconds(lambda: ggn.product(vectors[0])) / batch
    cotangents = jax.random.normal(KEY, (tangents, images[0].size))
    back = seconds(lambda: backward(apply, params, images[:1], cotangents)) / tangents
    leaves = backward(apply, params, images[:1], cotangents)
    ahead = seconds(lambda: forward(apply, params, images[:1], leaves)) / tangents
    return [plain, probe, product, back, ahead]


def passes() -> str:
    rows = []
    for size, width, batch in ((64, 10, 16), (128, 16, 4)):
        weights = parameter_count(network(size, width)[1])
        plain, *others = costs(size, width, batch)
        rows.append(
            [
                f"{weights / 1e6:.1f} million, {size} px",
                f"{plain * 1e3:.1f}",
                *(f"{other / plain:.2f}" for other in others),
            ]
        )
    head = [
        "weights, size",
        "forward, processor ms an image",
        "probe",
        "product with G",
        "direction, backward",
        "direction, forward",
    ]
    return table(head, rows) + (
        "\n\nAll but the first column of times in forward passes. A probe is two convolutions where a forward pass "
        "is one, so 2 is its limit; one linearisation is shared by the probes of a block."
    )


def peak(images: int, probes: int) -> float:
    """Peak resident memory, MiB, of scoring in a process of its own."""
    code = f"import slug_cost; slug_cost.score_once({images}, {probes})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sys.path[0])
    return json.loads(result.stdout.splitlines()[-1])


def score_once(images: int, probes: int) -> None:
    apply, params = network(64, 6)
    sluguq.score(apply, params, None, pictures(images, 64), probes=probes, batch_size=16, probe_block=8, key=KEY)
    # Not getrusage: a process inherits the largest size of the one that started it.
    status = Path("/proc/self/status").read_text()
    print(int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024)


def growth() -> str:
    """A figure: processor seconds a probe and image against pixels and weights; seconds against images and rank."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    rows = []

    def timed(size: int, width: int, batch: int) -> tuple[int, float]:
        apply, params = network(size, width)
        count = parameter_count(params)
        images = jnp.asarray(pictures(batch, size))
        vectors = jax.random.normal(KEY, (4, count))
        return count, seconds(lambda: probe_batch(apply, params, images, vectors, maps=True, width=1)) / batch / 4

    sizes = (32, 64, 128, 256)
    times = [timed(size, 4, max(1, 4096 // size**2))[1] for size in sizes]
    axes[0].loglog([size**2 for size in sizes], times, "o-", color="#0072B2")
    axes[0].set(xlabel="pixels", ylabel="processor seconds a probe and image")
    rows.append(["pixels", "32² to 256²", _slope([size**2 for size in sizes], times)])
    counts, times = zip(*(timed(32, width, 8) for width in (3, 8, 20, 42)), strict=True)
    axes[1].loglog(counts, times, "o-", color="#0072B2")
    axes[1].set(xlabel="weights", ylabel="processor seconds a probe and image")
    rows.append(["weights", f"{counts[0]:.1e} to {counts[-1]:.1e}", _slope(counts, times)])
    _apply, params = network(32, 6)
    ranks, times = (8, 32, 128), []
    from sluguq.slug.projection import projected

    vectors = jax.random.normal(KEY, (8, parameter_count(params)))
    for rank in ranks:
        basis = jax.random.normal(KEY, (rank, parameter_count(params)))
        times.append(seconds(partial(projected, basis, vectors)) / 8)
    axes[2].loglog(ranks, times, "o-", color="#0072B2")
    axes[2].set(xlabel="rank", ylabel="processor seconds to project a probe")
    rows.append(["rank (projection)", "8 to 128", _slope(ranks, times)])
    figure.savefig(DOCS / "growth.svg")
    return table(["against", "range", "exponent"], rows) + "\n\n![Growth of cost](../docs/growth.svg)"


def _slope(x, y) -> str:  # type: ignore[no-untyped-def]
    return f"{np.polyfit(np.log(x), np.log(y), 1)[0]:.2f}"


if __name__ == "__main__":
    publish("SLUG: cost of a probe", "python benchmarks/slug_cost.py", passes())
    memory = [
        [f"{images} images, {probes} probes", f"{peak(images, probes):.0f}"]
        for images, probes in ((32, 16), (512, 16), (32, 256))
    ]
    publish(
        "SLUG: peak memory of scoring",
        "python benchmarks/slug_cost.py",
        "Resident memory of the whole process, 64 px, batches of 16 images, blocks of 8 probes.\n\n"
        + table(["what", "MiB"], memory),
    )
    publish("SLUG: growth of cost", "python benchmarks/slug_cost.py", growth())
