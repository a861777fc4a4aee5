"""Time to 1 % relative standard error of the image score, and to a map: this project against the papers' recipe.

The recipe is S = 500 output-space probes through a sketched basis, and one SLU for each output coordinate of a
map. It is timed on a few probes and images and scaled up, since the whole of it takes minutes an image; its
number of probes for 1 % follows from its own standard errors. Both sides run after
compilation, and processor time is counted, so that other jobs on the machine matter less.
"""

import time

import jax
import numpy as np

import sluguq
from slug_common import publish, table, trained
from sluguq.slug.network import parameter_count

KEY = jax.random.key(0)
RANK, SKETCH, IMAGES, SAMPLE = 20, 20_000, 4, 16


def clocked(call):
    """Processor seconds, over all cores, of a call after one that compiles; with its result."""
    call()
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def main() -> None:
    apply, params, images, test = trained(64, 10, 4, 32, 20)
    images, test = images[:32], test[:IMAGES]
    options = {"rank": RANK, "batch_size": 32, "key": KEY, "tolerance": 0.1}
    basis = sluguq.eigenbasis(apply, params, images, trace_probes=0, **options)
    options |= {"sketch_size": SKETCH, "iterations": 34, "tolerance": 0.1}
    sketched = sluguq.sketched_eigenbasis(apply, params, images, **options)

    passed = jax.jit(apply)
    forward = clocked(lambda: [passed(params, test).block_until_ready() for _ in range(10)])[0] / IMAGES / 10
    common = {"batch_size": IMAGES, "key": KEY, "norm_probes": 0}
    deflated_time, deflated = clocked(lambda: sluguq.score(apply, params, basis, test, tolerance=0.01, **common))
    plain_time, plain = clocked(lambda: sluguq.score(apply, params, basis, test, probes=64, **common))
    map_time, maps = clocked(lambda: sluguq.score(apply, params, basis, test, probes=64, maps=True, **common))

    few = test[:2]
    coordinates = np.stack([np.full(SAMPLE, 30), np.arange(SAMPLE), np.zeros(SAMPLE, int)], axis=1)
    base_time, _ = clocked(lambda: sluguq.score_sketched(apply, params, sketched, few, probes=SAMPLE, key=KEY))
    more_time, recipe = clocked(
        lambda: sluguq.score_sketched(apply, params, sketched, few, probes=2 * SAMPLE, key=KEY, coordinates=coordinates)
    )
    # The differences leave out what does not grow with probes.
    pass_time = (more_time - base_time) / (2 * SAMPLE * len(few))
    needed = float(np.mean((recipe.slug_sem / recipe.slug / 0.01) ** 2) * 2 * SAMPLE)
    plain_needed = float(np.max((plain.slug_sem / plain.slug / 0.01) ** 2) * plain.probes)
    each = deflated_time / IMAGES
    probe = plain_time / IMAGES / plain.probes
    outputs = int(np.prod(test.shape[1:]))
    rows = [
        ["forward pass", "", f"{forward:.4f}", f"{each / forward:.0f}"],
        [
            "tolerance 0.01 (exact directions)",
            f"{deflated.probes} probes, {deflated.directions} directions",
            f"{each:.2f}",
            "1",
        ],
        [
            "plain probes",
            f"{plain_needed:.0f} probes*",
            f"{probe * plain_needed:.2f}*",
            f"{probe * plain_needed / each:.1f}",
        ],
        ["recipe, S = 500", "500 probes*", f"{500 * pass_time:.1f}*", f"{500 * pass_time / each:.0f}"],
        ["recipe to 1 %", f"{needed:.0f} probes*", f"{needed * pass_time:.1f}*", f"{needed * pass_time / each:.0f}"],
        ["map, 64 plain probes", "64 probes", f"{map_time / IMAGES:.2f}", f"{map_time / IMAGES / each:.1f}"],
        [
            "map by one SLU an output",
            f"{outputs} coordinates*",
            f"{outputs * pass_time:.0f}*",
            f"{outputs * pass_time / (map_time / IMAGES):.0f} times the map above",
        ],
    ]
    body = (
        f"VAE of {parameter_count(params):,} weights, 64 px, rank {RANK}, sketch {SKETCH:,}, {IMAGES} synthetic "
        f"images (2 for the recipe). Largest relative standard error with the tolerance: "
        f"{float((deflated.slug_sem / deflated.slug).max()):.2%}; all within: {bool(deflated.converged.all())}. "
        f"That took the time of {each / probe:.0f} plain probes. Mean absolute difference to the plain scores: "
        f"{float(np.abs(deflated.slug / plain.slug - 1).mean()):.1%} (their own standard error is "
        f"{float((plain.slug_sem / plain.slug).mean()):.1%}). A plain probe costs "
        f"{probe / forward:.2f} forward passes.\n\n"
        + table(["what", "spent on each image", "processor seconds an image", "relative to the first method"], rows)
        + "\n\n\\* scaled up from fewer probes, or computed from standard errors."
    )
    assert maps.maps is not None
    publish("SLUG: time to 1 %", "python benchmarks/slug_speed.py", body)


if __name__ == "__main__":
    main()
