"""Writes what docs/accuracy.md says of bfloat16 and sketches, against Jacobians written down in float64."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from scipy.stats import spearmanr

import sluguq
from slug_common import DOCS, publish_part, table, trained
from sluguq.slug.network import parameter_count
from sluguq.slug.passes import backward
from sluguq.slug.probes import draw
from sluguq.slug.sketch import apply_sketch, make_sketch

mpl.use("Agg")
import matplotlib.pyplot as plt

TRAINING, IMAGES, RANK, REPEATS = 64, 6, 30, 15
# What the three-term recurrence finds in 50 products: beyond, its pairs are ghosts or have not converged.
SKETCHED_RANK, ITERATIONS = 10, 50
PIXELS = 64  # of each image whose SLU the sketched estimator computes
SKETCHES, SKETCH_SIZES, SKETCH_PROBES = 20, (100, 300, 1_000, 3_000, 10_000, 40_000), 64
KEY = jax.random.key(0)
HEAD = [
    "estimator",
    "probes",
    "directions",
    "score",
    "map pixel",
    "rank correlation",
    "coverage",
    "processor seconds an image",
]


def exactly(apply: Any, params: Any, basis: Any, images: Any) -> Any:
    """``score_exact`` in float64, for the vectors as they are stored."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (apply, params))
        return sluguq.score_exact(*wide, basis, images)


def root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def measured(call: Any, exact: Any) -> list[str]:
    """Errors of score and map, rank correlation, coverage and seconds over a few keys."""
    call(jax.random.key(99))
    scores, maps, ranks, covered, times = [], [], [], [], []
    for seed in range(REPEATS):
        start = time.process_time()
        result = call(jax.random.key(seed))
        times.append(time.process_time() - start)
        scores.append(result.slug / exact.slug - 1)
        ranks.append(spearmanr(result.slug, exact.slug).statistic)
        covered.append(np.abs(result.slug - exact.slug) <= 1.96 * result.slug_sem)
        if getattr(result, "maps", None) is not None:
            maps.append(((result.maps - exact.maps) ** 2).mean((1, 2)) / (exact.maps**2).mean((1, 2)))
    return [
        f"{root_mean_square(scores):.1%}",
        f"{np.sqrt(np.mean(maps)):.1%}" if maps else "",
        f"{np.mean(ranks):.3f}",
        f"{np.mean(covered):.0%}",
        f"{np.min(times) / IMAGES:.3f}",
    ]


def sketched_estimator(apply: Any, params: Any, images: Any, test: Any, exact: Any) -> str:
    """Errors of the papers' pair by probes, and of a map's pixels by single coordinates."""
    rows, told = [], []
    pixels = np.random.default_rng(0).choice(test[0, :, :, 0].size, PIXELS, replace=False)
    y, x = np.unravel_index(np.repeat(pixels, 3), test.shape[1:3])
    coordinates = np.stack([y, x, np.tile(np.arange(3), PIXELS)], axis=1)
    wanted = exact.maps.reshape(IMAGES, -1)[:, pixels]
    for size in (1_000, 20_000):
        basis = sluguq.sketched_eigenbasis(
            apply,
            params,
            images,
            rank=SKETCHED_RANK,
            sketch_size=size,
            iterations=ITERATIONS,
            batch_size=32,
            key=KEY,
        )
        scored = partial(sluguq.score_sketched, apply, params, basis, test, batch_size=32)
        slu = scored(probes=2, key=KEY, coordinates=coordinates).slu.reshape(IMAGES, PIXELS, 3).sum(-1)
        error = np.sqrt((((slu - wanted) ** 2).mean(1) / (exact.maps**2).mean((1, 2))).mean())
        for probes in (8, 32, 128, 512):
            errors = measured(lambda key, n=probes, one=scored: one(probes=n, key=key), exact)
            errors[1] = f"{error:.1%}*"
            rows.append([f"sketched, s = {size:,}", str(probes), "0", *errors])
        told.append(f"{len(basis.eigenvalues)} of {SKETCHED_RANK} directions with s = {size:,}")
    return (
        table(HEAD, rows)
        + f"\n\nKept were {' and '.join(told)}. The standard error knows nothing of what the sketch does to all "
        "probes alike, so coverage falls as probes are added.\n\n"
        f"\\* From no probe at all: the SLU of the three channels of {PIXELS} pixels, each output by a backward "
        f"pass of its own (`coordinates=`), relative to the root mean square of the whole map. A whole map is "
        f"{int(np.prod(test.shape[1:])):,} such passes."
    )


def sketches(apply: Any, params: Any, basis: Any, test: Any, exact: Any) -> str:
    """What sketching alone does to scores, probes and vectors being the same, as a table and a figure."""
    cotangents = draw(KEY, 0, SKETCH_PROBES, test[0].size, jnp.float32)
    rows = jnp.stack([jnp.concatenate(backward(apply, params, image[None], cotangents), axis=1) for image in test])
    length = jnp.square(rows).sum(-1)
    plain = (length - jnp.square(rows @ basis.vectors.T).sum(-1)).mean(1)
    through = jax.jit(lambda sketch, many: jax.lax.map(partial(apply_sketch, sketch), many))
    lines, errors, negatives = [], [], []
    for size in SKETCH_SIZES:
        scores = []
        for seed in range(SKETCHES):
            sketch = make_sketch(jax.random.key(seed), parameter_count(params), size)
            directions = np.linalg.qr(np.asarray(through(sketch, basis.vectors)).T)[0]
            seen = through(sketch, rows.reshape(-1, rows.shape[-1])).reshape(*rows.shape[:2], -1)
            scores.append((length - jnp.square(seen @ directions).sum(-1)).mean(1))
        relative = np.asarray((np.stack(scores) - plain) / exact.slug)
        negative = np.mean(np.stack(scores) < 0)
        # Images share a sketch, so that sketches are what is independent.
        uncertain = relative.mean(1).std(ddof=1) / np.sqrt(SKETCHES)
        errors.append(relative)
        negatives.append(negative)
        lines.append(
            [
                f"{size:,}",
                f"{relative.mean():+.1%} ± {1.96 * uncertain:.1%}",
                f"{-RANK / size:+.1%}",
                f"{root_mean_square(relative):.1%}",
                f"{negative:.0%}",
            ]
        )
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    sizes = np.array(SKETCH_SIZES)
    for size, relative in zip(sizes, errors, strict=True):
        axes[0].scatter(np.full(relative.size, size), relative.ravel() * 100, s=7, alpha=0.3, color="#0072B2", lw=0)
    axes[0].plot(sizes, [100 * one.mean() for one in errors], "o-", color="#D55E00", label="mean")
    axes[0].plot(sizes, -100 * RANK / sizes, "--", color="black", linewidth=1, label="−k / s")
    axes[0].axhline(0, color="#9aa3ab", linewidth=0.8, zorder=0)
    axes[0].set(xscale="log", xlabel="sketch size s", ylabel="error of the score (%)")
    axes[0].set_yscale("symlog", linthresh=1)
    ticks = (-100, -10, -1, 0, 1, 10, 100)
    axes[0].set_yticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    axes[0].legend(frameon=False)
    axes[1].plot(sizes, np.array(negatives) * 100, "o-", color="#D55E00")
    axes[1].set(xscale="log", xlabel="sketch size s", ylabel="negative scores (%)", ylim=(0, None))
    figure.suptitle(f"{IMAGES} images, {SKETCHES} sketches each, rank {RANK}; same probes and vectors", fontsize=9)
    figure.savefig(DOCS / "sketch-bias.svg")
    share = exact.slug / exact.jacobian_norm
    head = ["sketch size s", "mean error", "−k / s", "root mean square", "negative scores"]
    return table(head, lines) + (
        f"\n\nThe scores are {share.min():.1%} to {share.max():.1%} of ‖J‖² here. What lies outside the span of U "
        "loses k / s of its length, which is the bias. What lies within it keeps its length on average only, and "
        "errs by a share of ‖J‖²: the smaller what the basis leaves, the larger the relative error, and that error "
        "is nearly the same for all images of a model, where more probes do not help.\n\n"
        "![Error of sketched scores by sketch size](sketch-bias.svg)"
    )


def half_precision(name: str, apply: Any, params: Any, basis: Any, test: Any, exact: list[Any] | None) -> list[str]:
    """What vectors in bfloat16 change, exactly where that can be had, and in scores of 1 % under the same key."""
    half = basis._replace(vectors=jnp.asarray(basis.vectors, jnp.bfloat16))
    full, rounded = (
        sluguq.score(apply, params, one, test, tolerance=0.01, key=KEY, probing=sluguq.Probing(norm_probes=0))
        for one in (basis, half)
    )
    change = np.abs(rounded.slug / full.slug - 1)
    return [
        name,
        "" if exact is None else f"{np.abs(exact[1].slug / exact[0].slug - 1).max():.3%}",
        f"{np.mean(change):.3%}",
        f"{change.max():.3%}",
        f"{(full.slug_sem / full.slug).mean():.2%}",
        f"{full.probes.max()} and {rounded.probes.max()}",
    ]


def main() -> None:
    apply, params, pictures, test = trained(32, 4, 3, 8, 60)
    pictures, test = pictures[:TRAINING], test[:IMAGES]
    basis = sluguq.eigenbasis(apply, params, pictures, rank=RANK, batch_size=32, key=KEY, tolerance=1e-2)
    fewer = basis._replace(vectors=basis.vectors[:SKETCHED_RANK], eigenvalues=basis.eigenvalues[:SKETCHED_RANK])
    half = basis._replace(vectors=jnp.asarray(basis.vectors, jnp.bfloat16))
    exact, fewer_exact, half_exact = (exactly(apply, params, one, test) for one in (basis, fewer, half))
    large_apply, large_params, large_pictures, large_test = trained(64, 10, 4, 32, 20)
    large_basis = sluguq.eigenbasis(
        large_apply,
        large_params,
        large_pictures[:TRAINING],
        rank=20,
        batch_size=32,
        key=KEY,
        tolerance=0.1,
        solver=sluguq.Lanczos(trace_probes=0),
    )
    halves = [
        half_precision(
            f"{parameter_count(params):,} weights, rank {RANK}", apply, params, basis, test, [exact, half_exact]
        ),
        half_precision(
            f"{parameter_count(large_params):,} weights, rank 20",
            large_apply,
            large_params,
            large_basis,
            large_test[:12],
            None,
        ),
    ]
    half_head = ["network", "exact score, at most", "score, mean", "score, at most", "standard error", "probes"]
    text = f"""## Vectors in bfloat16

Where it matters most, with `tolerance=0.01`: the difference that rounding the stored vectors makes to a score under
the same key, beside the standard error of that score. The first column is without any probe, by `score_exact` in
float64 for both.

{table(half_head, halves)}

Where the number of probes differs, an image has stopped a block of probes earlier or later, and the difference
holds that too.

## Sketched scores

The papers' pair, `sketched_eigenbasis` and `score_sketched`. Its three-term recurrence finds fewer directions in
{ITERATIONS} products than Lanczos with reorthogonalisation does, so the rank is {SKETCHED_RANK} here, and the
reference is exact for that rank.

{sketched_estimator(apply, params, pictures, test, fewer_exact)}

### By sketch size

The sketch alone: the vectors of rank {RANK} of the first table, sketched or not, under the same {SKETCH_PROBES}
probes; so the differences hold neither noise of probes nor errors of the recurrence. Means over {IMAGES} images and
{SKETCHES} sketches, with the 95 % interval over sketches; k is the rank.

{sketches(apply, params, basis, test, exact)}
"""
    publish_part("estimators", "end of estimators", text)


if __name__ == "__main__":
    main()
