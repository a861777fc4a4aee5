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
from matplotlib.ticker import NullLocator, StrMethodFormatter

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


def peak(images: int, probes: int = 16, size: int = 64, width: int = 6, rank: int = 8) -> float:
    """Peak resident memory, MiB, of scoring in a process of its own."""
    code = f"import slug_cost; slug_cost.score_once({images}, {probes}, {size}, {width}, {rank})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sys.path[0])
    return json.loads(result.stdout.splitlines()[-1])


def idle_basis(count: int, rank: int) -> sluguq.Eigenbasis:
    """Directions of no meaning, which cost what others do; made without the memory of an orthogonalisation."""
    vectors = np.zeros((rank, count), np.float32)
    for row, vector in enumerate(vectors):
        vector[row::rank] = 1 / np.sqrt(len(vector[row::rank]))
    return sluguq.Eigenbasis(
        eigenvalues=np.ones(rank),
        vectors=vectors,
        residuals=np.zeros(rank),
        converged=np.ones(rank, bool),
        orthogonality=0.0,
        trace=float(rank),
        trace_sem=0.0,
        products=0,
    )


def score_once(images: int, probes: int, size: int, width: int, rank: int) -> None:
    apply, params = network(size, width)
    basis = idle_basis(parameter_count(params), rank)
    sluguq.score(apply, params, basis, pictures(images, size), probes=probes, batch_size=16, probe_block=8, key=KEY)
    # Not getrusage: a process inherits the largest size of the one that started it.
    status = Path("/proc/self/status").read_text()
    print(int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024)


def growth() -> str:
    """A figure: processor time and peak memory against pixels, weights, rank and images; every point as a table."""

    def scored(images: int, size: int, width: int, rank: int) -> float:
        apply, params = network(size, width)
        basis, inputs = idle_basis(parameter_count(params), rank), pictures(images, size)
        return seconds(lambda: sluguq.score(apply, params, basis, inputs, probes=8, batch_size=16, key=KEY).slug)

    def weights(width: int) -> int:
        return parameter_count(network(32, width)[1])

    series = {
        "pixels a side": [(side, (16, side, 4, 8)) for side in (32, 64, 128, 256)],
        "weights": [(weights(width), (16, 32, width, 8)) for width in (3, 8, 20, 42)],
        "rank": [(rank, (16, 32, 12, rank)) for rank in (8, 32, 128)],
        "images": [(images, (images, 64, 6, 8)) for images in (16, 64, 256)],
    }
    figure, axes = plt.subplots(2, len(series), figsize=(12, 5.5), layout="constrained", sharex="col", sharey="row")
    rows = []
    for column, (name, points) in zip(axes.T, series.items(), strict=True):
        sizes = np.array([size for size, _ in points])
        times = [scored(*shape) for _, shape in points]
        memory = [peak(images, 8, size, width, rank) for _, (images, size, width, rank) in points]
        # Twice the side is four times the pixels.
        power = 2 if name == "pixels a side" else 1
        for ax, values, unit in zip(column, (times, memory), ("processor seconds", "peak memory (MiB)"), strict=True):
            linear = values[-1] * (sizes / sizes[-1]) ** power
            ax.loglog(sizes, linear, "--", color="#9aa3ab", label="linear", scaley=False)
            ax.loglog(sizes, values, "o-", color="#0072B2", label="measured")
            ax.set_ylabel(unit if name == "pixels a side" else "")
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(sizes, [f"{size:,}" if size < 1e5 else f"{size / 1e6:.2g}M" for size in sizes])
            ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        column[1].set_xlabel(name)
        steepest = np.max(np.diff(np.log(times)) / np.diff(power * np.log(sizes)))
        styles = ((sizes, ","), (times, ".2g"), (memory, ".0f"))
        rows.append(
            [
                name,
                *("; ".join(format(value, style) for value in values) for values, style in styles),
                f"{steepest:.2f}",
            ]
        )
    axes[0, 0].legend(frameon=False)
    figure.savefig(DOCS / "growth.svg")
    return (
        "Scoring with 8 probes, batches of 16 images; where they are not what varies, 16 images, 32 px (64 px "
        "against images), rank 8. Peak memory is that of a whole process, imports and compilation included. The "
        "exponent is that of the steepest step (of time against the number of pixels, not the side): 1 is linear.\n\n"
        + table(["against", "values", "processor seconds", "peak memory, MiB", "exponent of time"], rows)
        + "\n\n![Growth of cost](../docs/growth.svg)"
    )


def whole_experiment() -> str:
    """What all scores of the SLUG paper's experiment cost, from the papers' network on this machine."""
    apply, params = reconstruction_function(VAE(VAESettings()))
    weights = parameter_count(params)
    images = jnp.asarray(pictures(4, 128))
    passed = jax.jit(apply)
    flops = passed.lower(params, images).compile().cost_analysis()["flops"] / len(images)
    plain = seconds(lambda: passed(params, images)) / len(images)
    vectors = jax.random.normal(KEY, (2, weights))
    probe = seconds(lambda: probe_batch(apply, params, images, vectors, maps=True, width=1)) / len(images) / 2
    product = seconds(partial(GGN(apply, params, images, batch_size=4).product, vectors[0])) / len(images)
    models, training, products, test, probes = 30, 1_668, 75, 1_024 + 4_901 + 3_000, 64
    rows = []
    total = 0.0
    for what, work, cost, times in (
        ("eigenbasis", f"{training:,} images × {products} products", product, training * products),
        ("scores and maps", f"{test:,} images × {probes} probes", probe, test * probes),
    ):
        arithmetic = models * times * cost / plain * flops
        total += arithmetic
        passes = f"{cost / plain:.1f}"
        rows.append([what, work, f"{cost:.2f}", passes, f"{times * cost / 3600:.0f}", f"{arithmetic / 1e15:,.0f}"])
    head = ["step", "a model", "processor seconds each", "forward passes each", "processor hours a model", "PFLOP, all"]
    return (
        f"The papers' network ({weights:,} weights, 128 px): a forward pass takes {plain:.2f} processor seconds and "
        f"{flops / 1e9:.1f} GFLOP by XLA's count. {models} models:\n\n"
        + table(head, rows)
        + f"\n\nA device that sustains 20 TFLOP/s would take {total / 20e12 / 3600:.1f} hours for all of it. That is "
        "arithmetic, not a measurement: no GPU has been at hand."
    )


if __name__ == "__main__":
    publish("SLUG: cost of a probe", "python benchmarks/slug_cost.py", passes())
    memory = [
        [f"{images} images, {probes} probes", f"{peak(images, probes, rank=8):.0f}"]
        for images, probes in ((32, 16), (512, 16), (32, 256))
    ]
    publish(
        "SLUG: peak memory of scoring",
        "python benchmarks/slug_cost.py",
        "Resident memory of the whole process, 64 px, batches of 16 images, blocks of 8 probes.\n\n"
        + table(["what", "MiB"], memory),
    )
    publish("SLUG: growth of cost", "python benchmarks/slug_cost.py", growth())
    publish("SLUG: cost of the papers' experiment", "python benchmarks/slug_cost.py", whole_experiment())
