"""Time to 1 % relative standard error of the image score, and to a map: this project against the papers' recipe.

The recipe is S = 500 output-space probes through a sketched basis, and one SLU for each output coordinate of a
map. It is timed on a few probes and images and scaled up, since the whole of it takes minutes an image; its
number of probes for 1 % follows from its own standard errors. Both sides run after
compilation, and processor time is counted, so that other jobs on the machine matter less.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

import sluguq
from slug_common import publish, seconds, table, trained
from sluguq.slug.network import parameter_count

KEY = jax.random.key(0)
RANK, SKETCH, TRAINING, SAMPLE = 20, 20_000, 64, 16
HEAD = ["what", "spent on each image", "processor seconds an image", "relative to the first method"]


def clocked(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, over all cores, of a call after one that compiles; with its result."""
    call()
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def recipe_pass(apply: Any, params: Any, sketched: Any, images: Any) -> tuple[float, Any]:
    """Processor seconds of one output-space probe, or one SLU, of an image; and scores with a few of them."""
    rows = np.stack([np.full(SAMPLE, images.shape[1] // 2), np.arange(SAMPLE), np.zeros(SAMPLE, int)], axis=1)
    base, _ = clocked(lambda: sluguq.score_sketched(apply, params, sketched, images, probes=SAMPLE, key=KEY))
    more, scores = clocked(
        lambda: sluguq.score_sketched(apply, params, sketched, images, probes=2 * SAMPLE, key=KEY, coordinates=rows)
    )
    # The difference leaves out what does not grow with probes.
    return (more - base) / (2 * SAMPLE * len(images)), scores


def bases(apply: Any, params: Any, images: Any) -> tuple[Any, Any]:
    options = {"rank": RANK, "batch_size": 32, "key": KEY, "tolerance": 0.1}
    basis = sluguq.eigenbasis(apply, params, images, solver=sluguq.Lanczos(trace_probes=0), **options)
    return basis, sluguq.sketched_eigenbasis(apply, params, images, sketch_size=SKETCH, iterations=34, **options)


def to_one_percent() -> None:
    apply, params, images, test = trained(64, 10, 4, 32, 20)
    basis, sketched = bases(apply, params, images[:TRAINING])
    count = len(test)
    passed = jax.jit(apply)
    forward = seconds(lambda: passed(params, test), 5) / count
    common = {"batch_size": count, "key": KEY}
    slug_only = sluguq.Probing(norm_probes=0)
    splits = {
        directions: clocked(
            lambda m=directions: sluguq.score(
                apply, params, basis, test, tolerance=0.01, probing=replace(slug_only, directions=m), **common
            )
        )
        for directions in (8, 16, 24, 32)
    }
    default = splits[16][1]
    each = splits[16][0] / count
    plain_time, plain = clocked(
        lambda: sluguq.score(apply, params, basis, test, probes=64, probing=slug_only, **common)
    )
    probe = plain_time / count / plain.probes.max()
    plain_needed = float(np.mean((plain.slug_sem / plain.slug / 0.01) ** 2) * plain.probes.max())
    pass_time, recipe = recipe_pass(apply, params, sketched, test[:2])
    needed = float(np.mean((recipe.slug_sem / recipe.slug / 0.01) ** 2) * 2 * SAMPLE)
    rows = [["forward pass", "", f"{forward:.4f}", f"{forward / each:.4f}"]]
    rows += [
        [
            "tolerance 0.01",
            f"up to {scores.probes.max()} probes, {directions} directions"
            + (" (first method)" if directions == 16 else ""),
            f"{spent / count:.2f}",
            f"{spent / count / each:.2f}",
        ]
        for directions, (spent, scores) in splits.items()
    ]
    for what, probes, cost in (
        ("plain probes", plain_needed, probe),
        ("recipe, S = 500", 500, pass_time),
        ("recipe to 1 %", needed, pass_time),
    ):
        rows.append([what, f"{probes:.0f} probes*", f"{probes * cost:.2f}*", f"{probes * cost / each:.1f}"])
    publish(
        "SLUG: time to 1 %",
        "python benchmarks/slug_speed.py",
        f"VAE of {parameter_count(params):,} weights, 64 px, rank {RANK}, sketch {SKETCH:,}, {count} synthetic "
        f"images (2 for the recipe). Largest relative standard error with the tolerance: "
        f"{float((default.slug_sem / default.slug).max()):.2%}; all within: {bool(default.converged.all())}. "
        f"That took the time of {each / probe:.0f} plain probes. Mean absolute difference to the plain scores: "
        f"{float(np.abs(default.slug / plain.slug - 1).mean()):.1%} (their own standard error is "
        f"{float((plain.slug_sem / plain.slug).mean()):.1%}). A plain probe costs "
        f"{probe / forward:.2f} forward passes, one of the recipe {pass_time / forward:.1f}.\n\n"
        + table(HEAD, rows)
        + "\n\n\\* scaled up from fewer probes, or computed from standard errors.",
    )


def split() -> None:
    """Time to a tolerance against the number of directions, on networks and tolerances unlike the first."""
    rows = []
    for shape, rank, tolerance in (
        ((32, 8, 3, 16, 20), 5, 0.01),
        ((64, 10, 4, 32, 20), 50, 0.01),
        ((64, 10, 4, 32, 20), 20, 0.03),
        ((128, 16, 4, 32, 3), 20, 0.01),
    ):
        apply, params, images, test = trained(*shape)
        test = test[:8]
        basis = sluguq.eigenbasis(
            apply,
            params,
            images[:TRAINING],
            rank=rank,
            batch_size=32,
            key=KEY,
            tolerance=0.1,
            solver=sluguq.Lanczos(trace_probes=0),
        )
        run = partial(sluguq.score, apply, params, basis, test, batch_size=8, key=KEY)
        probing = sluguq.Probing(norm_probes=0)
        plain_time, plain = clocked(partial(run, probes=SAMPLE, probing=probing))
        needed = float(np.max((plain.slug_sem / plain.slug / tolerance) ** 2))
        spent = {0: plain_time / len(test) * needed}
        for directions in (8, 16, 24, 32):
            each, _ = clocked(partial(run, tolerance=tolerance, probing=replace(probing, directions=directions)))
            spent[directions] = each / len(test)
        jax.clear_caches()  # a process can map only so many compiled programs
        least = min(spent.values())
        rows.append(
            [
                f"{parameter_count(params) / 1e6:.1f} million, {shape[0]} px, rank {rank}, {tolerance:.0%}",
                f"{least:.2f}",
            ]
            + [f"{value / least:.2f}" for value in spent.values()]
        )
    publish(
        "SLUG: how many directions",
        "python benchmarks/slug_speed.py",
        "Time until every image is within the tolerance, relative to the best of its line, by the number of directions "
        f"taken exactly; 8 images. With 0 directions, plain probes, scaled up from {SAMPLE}.\n\n"
        + table(["network", "processor seconds an image, best", *map(str, spent)], rows),
    )


def to_a_map() -> None:
    apply, params, images, test = trained(128, 16, 4, 32, 3)
    basis, sketched = bases(apply, params, images[:TRAINING])
    test = test[:8]
    passed = jax.jit(apply)
    forward = seconds(lambda: passed(params, test), 3) / len(test)
    pass_time, _ = recipe_pass(apply, params, sketched, test[:1])
    outputs = int(np.prod(test.shape[1:]))
    rows = [["forward pass", "", f"{forward:.3f}", "", ""]]
    for probes, directions in ((64, 0), (160, 0), (32, 16)):
        options = {"probes": probes, "directions": directions, "maps": True, "norm_probes": 0, "batch_size": 8}
        spent, first = clocked(lambda o=options: sluguq.score(apply, params, basis, test, key=KEY, **o).maps)
        second = sluguq.score(apply, params, basis, test, key=jax.random.key(1), **options).maps
        # Errors of independent maps do not correlate: half their squared difference is the variance of one.
        variance, level = ((first - second) ** 2).mean() / 2, (first * second).mean()
        cost = spent / len(test)
        rows.append(
            [
                "map of every pixel",
                f"{probes + directions + -(-directions // 3)} probes, {directions} directions",
                f"{cost:.2f}",
                f"{np.sqrt(variance / level):.1%}",
                f"{outputs * pass_time / cost:,.0f}",
            ]
        )
    rows.append(["one SLU an output", f"{outputs:,} coordinates*", f"{outputs * pass_time:,.0f}*", "", "1"])
    publish(
        "SLUG: time to a map",
        "python benchmarks/slug_speed.py",
        f"VAE of {parameter_count(params):,} weights, 128 px, rank {RANK}, sketch {SKETCH:,}, {len(test)} synthetic "
        "images (1 for the SLU). The error is the root mean square over pixels, relative to that of the map, from "
        "two maps with independent probes; SLU errs by its sketch.\n\n"
        + table(["what", "spent on each image", "processor seconds an image", "error of a pixel", "times faster"], rows)
        + "\n\n\\* scaled up from fewer.",
    )


if __name__ == "__main__":
    to_one_percent()
    split()
    to_a_map()
