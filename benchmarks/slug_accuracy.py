"""Writes docs/accuracy.md: estimators against scores with the Jacobian written down, and its figure."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from scipy.stats import spearmanr

import sluguq
from slug_common import DOCS, MACHINE, table, trained
from sluguq.slug.network import parameter_count

mpl.use("Agg")
import matplotlib.pyplot as plt

IMAGES, RANK, REPEATS = 6, 30, 30
# What the three-term recurrence finds in 50 products: beyond, its pairs are ghosts or have not converged.
SKETCHED_RANK = 10
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


def measured(call, exact: Any) -> list[str]:  # type: ignore[no-untyped-def]
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
        f"{np.sqrt(np.mean(np.square(scores))):.1%}",
        f"{np.sqrt(np.mean(maps)):.1%}" if maps else "",
        f"{np.mean(ranks):.3f}",
        f"{np.mean(covered):.0%}",
        f"{np.min(times) / IMAGES:.3f}",
    ]


def estimators(trained_network: tuple[Any, ...], exact: Any) -> str:
    apply, params, basis, test = trained_network
    rows = []
    for probes in (8, 32, 128, 512):
        rows.append(
            [
                "plain",
                str(probes),
                "0",
                *measured(
                    lambda key, n=probes: sluguq.score(
                        apply, params, basis, test, probes=n, directions=0, key=key, maps=True, norm_probes=0
                    ),
                    exact,
                ),
            ]
        )
    for tolerance in (0.02, 0.01):
        estimate = partial(sluguq.score, apply, params, basis, test, tolerance=tolerance, maps=True, norm_probes=0)
        spent = estimate(key=KEY)
        rows.append(
            [
                f"tolerance {tolerance:.0%}",
                f"up to {spent.probes.max()}",
                str(spent.directions),
                *measured(lambda key, one=estimate: one(key=key), exact),
            ]
        )
    for directions, fresh in ((8, 16), (16, 32), (24, 32), (48, 32)):
        rows.append(
            [
                "exact directions",
                str(directions + -(-directions // 3) + fresh),
                str(directions),
                *measured(
                    lambda key, m=directions, n=fresh: sluguq.score(
                        apply, params, basis, test, probes=n, directions=m, key=key, maps=True, norm_probes=0
                    ),
                    exact,
                ),
            ]
        )
    return table(HEAD, rows)


def sketched_estimator(apply, params, images, test, exact) -> str:  # type: ignore[no-untyped-def]
    """Errors of the papers' pair with a large sketch, by probes."""
    basis = sluguq.sketched_eigenbasis(
        apply, params, images, rank=SKETCHED_RANK, sketch_size=20_000, iterations=50, batch_size=32, key=KEY
    )
    rows = []
    for probes in (8, 32, 128):
        errors = measured(
            lambda key, n=probes: sluguq.score_sketched(apply, params, basis, test, probes=n, batch_size=32, key=key),
            exact,
        )
        rows.append([f"sketched, s = 20,000, {len(basis.eigenvalues)} directions kept", str(probes), "0", *errors])
    return table(HEAD, rows)


def sketches(apply, params, images, test, exact) -> str:  # type: ignore[no-untyped-def]
    """Bias and negative scores as the sketch shrinks, as a table and a figure."""
    rows, sizes, biases, negatives = [], (100, 300, 1_000, 3_000, 10_000, 40_000), [], []
    share = exact.slug / exact.jacobian_norm
    for size in sizes:
        relative, negative = [], []
        for seed in range(3):
            basis = sluguq.sketched_eigenbasis(
                apply,
                params,
                images,
                rank=SKETCHED_RANK,
                sketch_size=size,
                iterations=50,
                batch_size=32,
                key=jax.random.key(seed),
            )
            scores = sluguq.score_sketched(apply, params, basis, test, probes=48, batch_size=48, key=KEY)
            relative.append((scores.slug - exact.slug) / exact.slug)
            negative.append(scores.slug < 0)
        biases.append(np.array(relative))
        negatives.append(np.mean(negative))
        rows.append(
            [
                f"{size:,}",
                f"{np.mean(relative):+.0%}",
                f"{np.sqrt(np.mean(np.square(relative))):.0%}",
                f"{np.mean(negative):.0%}",
            ]
        )
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for size, relative in zip(sizes, biases, strict=True):
        axes[0].scatter(np.full(relative.size, size), relative.ravel() * 100, s=9, alpha=0.5, color="#0072B2")
    axes[0].axhline(0, color="black", linewidth=0.8)
    axes[0].set(xscale="log", xlabel="sketch size s", ylabel="score − exact (% of exact)")
    axes[0].set_yscale("symlog", linthresh=10)
    axes[1].plot(sizes, np.array(negatives) * 100, "o-", color="#D55E00")
    axes[1].set(xscale="log", xlabel="sketch size s", ylabel="negative scores (%)", ylim=(-2, 102))
    figure.suptitle(f"{IMAGES} images, 3 sketches each, rank {SKETCHED_RANK}", fontsize=9)
    figure.savefig(DOCS / "sketch-bias.svg")
    left = f"{share.min():.1%} to {share.max():.1%}"
    return table(["sketch size", "mean error", "root mean square", "negative scores"], rows) + (
        f"\n\nThe scores are {left} of ‖J‖² here. A sketch errs by a share of ‖J‖², so the smaller what the basis "
        f"leaves, the larger the relative error.\n\n![Error of sketched scores by sketch size](sketch-bias.svg)"
    )


if __name__ == "__main__":
    apply, params, trained_images, test = trained(32, 4, 3, 8, 60)
    trained_images, test = trained_images[:128], test[:IMAGES]
    basis = sluguq.eigenbasis(apply, params, trained_images, rank=RANK, batch_size=32, key=KEY, tolerance=1e-2)
    exact = sluguq.score_exact(apply, params, basis, test)
    fewer = basis._replace(vectors=basis.vectors[:SKETCHED_RANK], eigenvalues=basis.eigenvalues[:SKETCHED_RANK])
    fewer_exact = sluguq.score_exact(apply, params, fewer, test)
    half = basis._replace(vectors=jnp.asarray(basis.vectors, jnp.bfloat16))
    full_scores, half_scores = (
        sluguq.score(apply, params, one, test, probes=64, key=KEY, norm_probes=0) for one in (basis, half)
    )
    loss = np.abs(half_scores.slug / full_scores.slug - 1).max()
    text = f"""# Accuracy

Written by `python benchmarks/slug_accuracy.py` on {MACHINE}.

A VAE of {parameter_count(params):,} weights, 32 px, trained on synthetic light skin; {IMAGES} test images of all
skin types; basis of rank {RANK}, which takes {1 - exact.slug.sum() / exact.jacobian_norm.sum():.0%} off ‖J‖² and
explains {basis.explained:.1%} of Tr G. Reference: `score_exact`, the Jacobian written down. Root mean square
relative errors over images and {REPEATS} keys; coverage is how often ±1.96 standard errors held the exact score.
Images share their probes, so that their errors go together and {REPEATS} keys tell coverage to within some
{1.96 * np.sqrt(0.05 * 0.95 / REPEATS):.0%}.

{estimators((apply, params, basis, test), exact)}

A direction costs about two probes, one pass backward and one forward. Plain probes need
{float(np.mean((full_scores.slug_sem / full_scores.slug) ** 2) * 64 / 1e-4):.0f} on average for 1 %.

## Vectors in bfloat16

With the same 64 probes, storing the basis in bfloat16 changes a score by at most {loss:.2%}, where its standard
error is {float((full_scores.slug_sem / full_scores.slug).mean()):.1%}.

## Sketched scores

The papers' pair, `sketched_eigenbasis` and `score_sketched`. Its three-term recurrence finds fewer directions than
Lanczos with reorthogonalisation does, so the rank is {SKETCHED_RANK} here, and the reference is exact for that rank.

{sketched_estimator(apply, params, trained_images, test, fewer_exact)}

By sketch size, with 48 probes:

{sketches(apply, params, trained_images, test, fewer_exact)}
"""
    (DOCS / "accuracy.md").write_text(text)
    print(text)
