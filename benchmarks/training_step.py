"""One training step in JAX against the same network and loss in PyTorch, interleaved in one run.

    python benchmarks/training_step.py --network small --peers eager compiled
    python benchmarks/training_step.py --network full --precision bfloat16

`small` has 3.2 million weights, 64 px and batch 16; `full` 50.4 million, 128 px and batch 4 (64 on a GPU).
Loss: mean squared error + KL, with `--perceptual` also VGG19's features (random weights). Adam, no clipping.
Steps of the contestants alternate, so that what else runs on the machine meets all of them; medians are
given. `--peers` may name PyTorch's layouts too (`compiled-nchw`); without a suffix it is channels_last. `--memory` runs
every contestant once more, alone in a process. PyTorch is a test-only dependency.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sluguq.networks.network import matmul_precision
from sluguq.networks.objective import ObjectiveSettings
from sluguq.networks.perceptual.features import features, layer_shapes, load_perceptual
from sluguq.networks.training import TrainingSettings, compiled_advance, epoch_order, initial_state
from sluguq.networks.vae import VAESettings

Step = Callable[[], None]


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kind: str):
        super().__init__()
        self.kind, self.inner = kind, max(inputs, outputs) // 2
        first = self.inner + (0 if kind == "same" else outputs)
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs, 1e-4), nn.BatchNorm2d(self.inner, 1e-4)
        self.conv1 = nn.Conv2d(inputs, first, 3, 2 if kind == "down" else 1, 1)
        self.conv2 = nn.Conv2d(self.inner, outputs, 3, 1, 1)

    def forward(self, x):
        y = functional.elu(self.norm1(x))
        if self.kind == "up":
            y = functional.interpolate(y, scale_factor=2, mode="nearest")
        y = self.conv1(y)
        skip = x if self.kind == "same" else y[:, self.inner :]
        return self.conv2(functional.elu(self.norm2(y[:, : self.inner]))) + skip


class TorchVAE(nn.Module):
    def __init__(self, settings: VAESettings):
        super().__init__()
        widths = [settings.width * 2**i for i in range(settings.depth + 1)]
        top, latent = widths[-1], settings.latent_channels
        down = [Block(a, b, "down") for a, b in itertools.pairwise(widths)]
        up = [Block(b, a, "up") for a, b in itertools.pairwise(widths)]
        self.encoder = nn.Sequential(nn.Conv2d(3, widths[0], 3, 1, 1), *down, Block(top, top, "same"), nn.ELU())
        self.mean, self.log_variance = nn.Conv2d(top, latent, 1), nn.Conv2d(top, latent, 1)
        self.decoder = nn.Sequential(nn.Conv2d(latent, top, 1), Block(top, top, "same"), *up[::-1])
        self.out = nn.Conv2d(widths[0], 3, 5, 1, 2)

    def forward(self, x):
        y = self.encoder(x)
        mean, log_variance = self.mean(y), self.log_variance(y)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return torch.tanh(self.out(functional.elu(self.decoder(z)))), mean, log_variance


def torch_features(x, weights):
    """VGG19's convolutions before the ReLU, input normalised as `sluguq.networks.perceptual.features` does."""
    mean, deviation = (
        torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x = ((x + 1) / 2 - mean) / deviation
    previous = None
    for name, (kernel, bias) in weights.items():
        position = int(name.split(".")[1])
        if previous is not None:
            x = functional.relu(x)
            x = functional.max_pool2d(x, 2) if position - previous == 3 else x
        previous = position
        x = functional.conv2d(x, kernel, bias, padding=1)
        yield x


def torch_step(settings: TrainingSettings, pixels: np.ndarray, peer: str, perceptual) -> Step:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = torch.contiguous_format if peer.endswith("nchw") else torch.channels_last
    net = TorchVAE(settings.network).to(device, memory_format=layout)
    optimiser = torch.optim.Adam(net.parameters(), settings.learning_rate, fused=True)
    images = torch.tensor(pixels, device=device)
    weights = None
    if perceptual is not None:
        weights = {
            name: (
                torch.tensor(np.asarray(perceptual.weights[name]["kernel"]).transpose(3, 2, 0, 1).copy()).to(
                    device, memory_format=layout
                ),
                torch.tensor(np.asarray(perceptual.weights[name]["bias"]), device=device),
            )
            for name in layer_shapes("vgg19")
        }
    half = settings.precision == "bfloat16"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"

    def loss(x):
        with torch.autocast(device, torch.bfloat16, enabled=half):
            y, mean, log_variance = net(x)
            total = functional.mse_loss(y, x)
            total = total + 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
            if weights is not None:
                with torch.no_grad():
                    wanted = list(torch_features(x, weights))
                terms = [functional.mse_loss(b, a) for a, b in zip(wanted, torch_features(y, weights), strict=True)]
                total = total + sum(terms) / len(terms)
        return total

    run = torch.compile(loss) if peer.startswith("compiled") else loss

    def step() -> None:
        chosen = images[torch.randint(len(images), (settings.batch_size,), device=device)]
        x = (chosen.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=layout)
        optimiser.zero_grad(set_to_none=True)
        run(x).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def jax_step(settings: TrainingSettings, pixels: np.ndarray, perceptual) -> tuple[Step, float]:
    terms = ("loss", "mse", "kl", *(["perceptual"] if perceptual is not None else []), "gradient_norm")
    holder = [initial_state(settings, 0, 1000, terms=terms)]
    images, order = jax.device_put(pixels), epoch_order(0, 0, len(pixels))
    epoch_steps = len(pixels) // settings.batch_size
    seed, count = np.int32(0), np.int32(1)
    advance = compiled_advance(settings, 1000, epoch_steps, None)
    program = advance.lower(holder[0], images, order, perceptual, seed, count).compile()
    flops = program.cost_analysis().get("flops", 0.0)

    def step() -> None:
        holder[0] = jax.block_until_ready(program(holder[0], images, order, perceptual, seed, count))

    return step, float(flops)


def matrix_rate(precision: str, size: int = 4096) -> float:
    """Fastest of several products of square matrices, in FLOP/s: what the device can do at most."""
    dtype = np.float32 if precision != "bfloat16" else jax.numpy.bfloat16
    a = jax.numpy.ones((size, size), dtype)
    with matmul_precision(precision):
        product = jax.jit(lambda a: a @ a).lower(a).compile()
    product(a).block_until_ready()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        product(a).block_until_ready()
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def network_flops(network: VAESettings, batch: int) -> float:
    """Multiplications and additions of one step as the architecture states them: thrice those of its convolutions.

    No form of a convolution that saves some of them is counted as one that does fewer.
    """
    widths = [network.width * 2**i for i in range(network.depth + 1)]
    side, top, latent = network.image_size, widths[-1], network.latent_channels
    total = side**2 * widths[0] * network.channels * (9 + 25)
    for level, (a, b) in enumerate(itertools.pairwise(widths)):
        half = (side >> (level + 1)) ** 2
        total += half * 9 * (a * (b // 2 + b) + b // 2 * b)
        total += 4 * half * 9 * (b * (b // 2 + a) + b // 2 * a)
    total += (side >> network.depth) ** 2 * (2 * network.bottleneck_blocks * 9 * top**2 + 3 * top * latent)
    return 6.0 * batch * total


def peak_memory(name: str) -> float:
    """Largest resident memory, in MiB, of a process that runs this contestant alone."""
    command = [sys.executable, *sys.argv, "--alone", name]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.split()[-1])


def resident_at_most() -> float:
    """VmHWM of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=["small", "full"], default="small")
    peers = ["eager", "compiled", "eager-nchw", "compiled-nchw"]
    parser.add_argument("--peers", nargs="*", choices=peers, default=["eager", "compiled"])
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="float32")
    parser.add_argument("--perceptual", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    gpu = jax.default_backend() != "cpu"
    if arguments.network == "small":
        network, batch = VAESettings(image_size=64, width=16), 16
    else:
        network, batch = VAESettings(), 64 if gpu else 4
    batch = arguments.batch or batch
    settings = TrainingSettings(
        network=network,
        objective=ObjectiveSettings(perceptual_weight=float(arguments.perceptual)),
        batch_size=batch,
        gradient_clip=None,
        precision=arguments.precision,
    )
    perceptual = load_perceptual("vgg19", None, weights="random") if arguments.perceptual else None
    if perceptual is not None:
        assert len(list(features(perceptual, np.zeros((1, 32, 32, 3), np.float32)))) == 16
    shape = (4 * batch, network.image_size, network.image_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    names = ["JAX", *(f"PyTorch {peer}" for peer in arguments.peers)]
    if arguments.alone:
        names = [arguments.alone]
    contestants: dict[str, Step] = {}
    first = {}
    flops = 0.0
    for name in names:
        started = time.perf_counter()
        if name == "JAX":
            contestants[name], flops = jax_step(settings, pixels, perceptual)
        else:
            contestants[name] = torch_step(settings, pixels, name.removeprefix("PyTorch "), perceptual)
        contestants[name]()
        first[name] = time.perf_counter() - started
    if arguments.alone:
        contestants[arguments.alone]()
        print(resident_at_most())
        return
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.steps):
        for name, step in contestants.items():
            started = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - started)
    rate = matrix_rate(arguments.precision)
    load = os.getloadavg()[0]
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, torch {torch.__version__}, {settings.precision}")
    what = f"{arguments.network}: {network.image_size} px, batch {batch}, perceptual {arguments.perceptual}"
    print(f"{what}, load {load:.1f}")
    heading = ["", "ms an image, median", "fastest", "relative to JAX", "images/s", "first step, s", "MiB at most"]
    print("| " + " | ".join(heading) + " |\n|" + " --- |" * len(heading))
    for name, measured in times.items():
        median, least = (1e3 * f(measured) / batch for f in (statistics.median, min))
        relative = statistics.median(measured) / statistics.median(times["JAX"])
        memory = f"{peak_memory(name):.0f}" if arguments.memory else ""
        cells = [
            f"{median:.2f}",
            f"{least:.2f}",
            f"{relative:.2f}",
            f"{1e3 / median:.1f}",
            f"{first[name]:.0f}",
            memory,
        ]
        print("| " + " | ".join([name, *cells]) + " |")
    seconds = statistics.median(times["JAX"])
    print(f"JAX: {flops / 1e9:.1f} GFLOP a step by XLA's count, {flops / seconds / 1e9:.0f} GFLOP/s", end="; ")
    if not arguments.perceptual:
        stated = network_flops(network, batch)
        print(f"{stated / 1e9:.1f} as the architecture states them, {stated / seconds / 1e9:.0f} GFLOP/s", end="; ")
    print(f"a matrix product {rate / 1e9:.0f} GFLOP/s", end="")
    memory_stats = jax.devices()[0].memory_stats() if gpu else None
    print(f"; {memory_stats['peak_bytes_in_use'] / 2**30:.2f} GiB at most on the device" if memory_stats else "")


if __name__ == "__main__":
    main()
