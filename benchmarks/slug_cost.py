"""What a probe costs against a forward pass, how cost grows, and whether memory stays flat."""

import json
import re
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np

import sluguq
from slug_common import DOCS, RESULTS, publish, seconds, table
from sluguq.config import Experiment, load_experiment
from sluguq.datasets.acquisition import entry_of
from sluguq.networks.network import reconstruction_function
from sluguq.networks.registry import settings_of
from sluguq.networks.vae import VAE, VAESettings
from sluguq.slug.ggn import GGN
from sluguq.slug.network import parameter_count
from sluguq.slug.passes import backward, forward
from sluguq.slug.probes import probe_batch

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator, StrMethodFormatter

KEY = jax.random.key(0)
PAPERS = Path(__file__).parents[1] / "config" / "config.yaml"
PRODUCTS = 4  # of an eigenbasis, where its rank is not what varies


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
    options = {"probes": probes, "batch_size": 16, "probing": sluguq.Probing(probe_block=8), "key": KEY}
    sluguq.score(apply, params, basis, pictures(images, size), **options)
    # Not getrusage: a process inherits the largest size of the one that started it.
    status = Path("/proc/self/status").read_text()
    print(int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024)


def decomposed(images: int, size: int, width: int, rank: int) -> float:
    """Processor seconds of an eigenbasis with as few products as its rank allows, one an eigenvector."""
    apply, params = network(size, width)
    options = {"batch_size": 16, "key": KEY, "execution": sluguq.Execution(progress=False)}
    solver = sluguq.Lanczos(subspace=2 * rank + 10, trace_probes=0, max_products=rank)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*have not converged")
        inputs = pictures(images, size)
        sluguq.eigenbasis(
            apply, params, inputs[:16], rank=2, solver=replace(solver, max_products=2), **options
        )  # compiles
        start = time.process_time()
        basis = sluguq.eigenbasis(apply, params, inputs, rank=rank, solver=solver, **options)
        jax.block_until_ready(basis.vectors)
    return time.process_time() - start


def growth() -> str:
    """A figure: time and memory of scoring and time of an eigenbasis as sizes grow; every point as a table."""

    def scored(images: int, size: int, width: int, rank: int) -> float:
        apply, params = network(size, width)
        basis, inputs = idle_basis(parameter_count(params), rank), pictures(images, size)
        return seconds(lambda: sluguq.score(apply, params, basis, inputs, probes=8, batch_size=16, key=KEY).slug, 1)

    def weights(width: int) -> int:
        return parameter_count(network(32, width)[1])

    series = {
        "pixels a side": [(side, (16, side, 4, 8)) for side in (32, 64, 128, 256)],
        "weights": [(weights(width), (16, 32, width, 8)) for width in (3, 8, 20, 42)],
        "rank": [(rank, (16, 32, 12, rank)) for rank in (8, 32, 128)],
        "images": [(images, (images, 64, 6, 8)) for images in (16, 64, 256)],
    }
    measures = ("scores, processor s", "scores, peak memory (MiB)", "eigenbasis, processor s")
    figure, axes = plt.subplots(3, len(series), figsize=(12, 8), layout="constrained", sharex="col", sharey="row")
    rows = []
    for column, (name, points) in zip(axes.T, series.items(), strict=True):
        sizes = np.array([size for size, _ in points])
        times = [scored(*shape) for _, shape in points]
        memory = [peak(images, 8, size, width, rank) for _, (images, size, width, rank) in points]
        ranks = [rank if name == "rank" else PRODUCTS for rank, _ in points]
        bases = [decomposed(*shape[:3], rank) for (_, shape), rank in zip(points, ranks, strict=True)]
        # Twice the side is four times the pixels.
        power = 2 if name == "pixels a side" else 1
        for ax, values, unit in zip(column, (times, memory, bases), measures, strict=True):
            linear = values[-1] * (sizes / sizes[-1]) ** power
            ax.loglog(sizes, linear, "--", color="#9aa3ab", label="linear", scaley=False)
            ax.loglog(sizes, values, "o-", color="#0072B2", label="measured")
            ax.set_ylabel(unit if name == "pixels a side" else "")
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(sizes, [f"{size:,}" if size < 1e5 else f"{size / 1e6:.2g}M" for size in sizes])
            ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        column[-1].set_xlabel(name)
        steepest = [np.max(np.diff(np.log(values)) / np.diff(power * np.log(sizes))) for values in (times, bases)]
        styles = ((sizes, ","), (times, ".3g"), (memory, ".0f"), (bases, ".3g"))
        listed = ["; ".join(format(value, style) for value in values) for values, style in styles]
        rows.append([name, *listed[:2], f"{steepest[0]:.2f}", *listed[2:], f"{steepest[1]:.2f}"])
    axes[0, 0].legend(frameon=False)
    figure.savefig(DOCS / "growth.svg")
    head = ["against", "values", "scores, processor s", "exponent", "peak memory, MiB", "eigenbasis, processor s"]
    return (
        "Scoring with 8 probes, batches of 16 images; where they are not what varies, 16 images, 32 px (64 px "
        "against images), rank 8. Peak memory is that of a whole process, imports and compilation included. An "
        f"eigenbasis with {PRODUCTS} products; against rank, with as many products as its rank, so that the "
        "reorthogonalisation, which grows with the square of the rank, is in it, beside products of only 16 images. "
        "Exponents are those of the steepest step (against the number of pixels, not the side): 1 is linear.\n\n"
        + table([*head, "exponent"], rows)
        + "\n\n![Growth of cost](../docs/growth.svg)"
    )


def plain_probes(experiment: Experiment) -> tuple[int, str]:
    """What scoring an image costs in plain probes, and where that is from."""
    if experiment.score.probes is not None:
        return experiment.score.probes, "as configured"
    if experiment.score.tolerance != 0.01:
        raise ValueError(f"score.tolerance is {experiment.score.tolerance}: slug_speed.py has measured 0.01 only")
    measured = re.search(
        r"^## SLUG: time to 1 %$.*?took the time of (\d+) plain probes", RESULTS.read_text(), re.M | re.S
    )
    if measured is None:
        raise ValueError(f"{RESULTS} holds no time to 1 %: run slug_speed.py first")
    return int(measured[1]), (
        "an image's score within a tolerance of 1 % takes what *SLUG: time to 1 %* measured on a smaller network, "
        "the time of that many plain probes"
    )


def scored_images(experiment: Experiment) -> dict[str, int]:
    """How many images a model scores, by data set; the external ones whole, as published."""
    counts = {experiment.training_dataset: len(experiment.groups) * experiment.split.test_images}
    for name in experiment.external_datasets:
        entry = entry_of(experiment.datasets[name])
        if entry is None:
            raise ValueError(f"it is not known how many images {name} has")
        counts[name] = int(entry.states["images"])
    return counts


def whole_experiment() -> str:
    """What all scores of the SLUG paper's experiment cost, from the papers' network on this machine."""
    experiment = load_experiment(PAPERS)
    size = experiment.images.size
    apply, params = reconstruction_function(settings_of(experiment.model.model_dump(), size).initial(0))
    weights = parameter_count(params)
    images = jnp.asarray(pictures(4, size))
    passed = jax.jit(apply)
    counted = passed.lower(params, images).compile().cost_analysis()
    if counted is None:
        raise RuntimeError("this device's compiler does not count operations: run the benchmark on a CPU")
    flops = counted["flops"] / len(images)
    plain = seconds(lambda: passed(params, images)) / len(images)
    vectors = jax.random.normal(KEY, (2, weights))
    probe = seconds(lambda: probe_batch(apply, params, images, vectors, maps=True, width=1)) / len(images) / 2
    product = seconds(partial(GGN(apply, params, images, batch_size=4).product, vectors[0])) / len(images)
    models = len(experiment.configurations) * len(experiment.seeds)
    rank, training = experiment.eigenbasis.rank, experiment.split.train_images
    products = round(1.75 * rank)  # as networks of 50,000 weights took, the search for missed eigenvalues included
    probes, origin = plain_probes(experiment)
    norm_probes = sluguq.Probing().norm_probes
    steps = [("eigenbasis, at most", f"{training:,} images × {products} products", product, training * products)]
    for name, count in scored_images(experiment).items():
        work = f"{count:,} images × ({probes} + {norm_probes}) probes"
        steps.append((f"scores and maps, {name}", work, probe, count * (probes + norm_probes)))
    rows = []
    total = 0.0
    for what, work, cost, times in steps:
        arithmetic = models * times * cost / plain * flops
        total += arithmetic
        passes = f"{cost / plain:.1f}"
        rows.append([what, work, f"{cost:.2f}", passes, f"{times * cost / 3600:.0f}", f"{arithmetic / 1e15:,.0f}"])
    head = ["step", "a model", "processor seconds each", "forward passes each", "processor hours a model", "PFLOP, all"]
    return (
        f"`config/config.yaml`: the papers' network ({weights:,} weights, {size} px), rank {rank}, {models} models. A "
        f"forward pass takes {plain:.2f} processor seconds and {flops / 1e9:.1f} GFLOP by XLA's count.\n\n"
        + table(head, rows)
        + f"\n\nProducts are the most that Lanczos takes at rank {rank} before it gives up on convergence; "
        f"{2 * rank + 10} fill its first subspace. Probes: {origin}; {norm_probes} more give ‖J‖². A device that "
        f"sustains 20 TFLOP/s would take {total / 20e12 / 3600:.0f} hours for all of it. That is arithmetic, not a "
        "measurement: no GPU has been at hand."
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
