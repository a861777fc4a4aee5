"""Cost against accuracy of scores: one table for a network and its data, and docs/accuracy.md from two networks.

    python benchmarks/slug_cost_accuracy.py small large

Every way is run under several keys in turn, so that processor times are of the same minutes. Accuracy is against
dense Jacobians where they can be written down, else against many more directions and probes than any way has.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.stats import spearmanr

import sluguq
from slug_common import MACHINE, phantoms, publish_part, seconds, table, trained
from sluguq.slug.accuracy import ACCURACIES
from sluguq.slug.exact import jacobian
from sluguq.slug.network import parameter_count

KEY = jax.random.key(0)
RANK, TRAINING, IMAGES, KEYS = 20, 64, 36, 2
NETWORKS = {"small": (32, 4, 3, 8, 60), "large": (64, 10, 4, 32, 20)}
DENSE = 100_000  # weights, of a network whose Jacobians are written down


def without_norm(directions: int | None = None) -> sluguq.Probing:
    return sluguq.Probing(directions=directions, norm_probes=0)


WAYS: dict[str, dict[str, Any]] = {
    "tolerance 1 %, 16 directions (the default before)": {"tolerance": 0.01, "probing": without_norm(16)},
    **{f"accuracy {word}": {"accuracy": word, "probing": without_norm()} for word in ACCURACIES},
    "8 directions, 16 probes": {"probes": 16, "probing": without_norm(8)},
    "64 probes": {"probes": 64, "probing": without_norm(0)},
}


class Case(NamedTuple):
    """A network, its basis, images, groups of them, and what their scores are."""

    name: str
    apply: Any
    params: Any
    basis: Any
    images: np.ndarray
    dark: np.ndarray
    light: np.ndarray
    exact: np.ndarray
    reference: str


def case_of(name: str) -> Case:
    size, *rest = NETWORKS[name]
    apply, params, training, _ = trained(size, *rest)
    images, skin_types = phantoms(IMAGES, size, [1, 2, 3, 4, 5, 6], 2), np.arange(IMAGES) % 6 + 1
    options = {"rank": RANK, "batch_size": 32, "tolerance": 0.05, "solver": sluguq.Lanczos(trace_probes=0)}
    basis = sluguq.eigenbasis(apply, params, training[:TRAINING], key=KEY, **options)
    exact, reference = kept(name, lambda: exactly(apply, params, basis, images))
    dark, light = np.isin(skin_types, (5, 6)), np.isin(skin_types, (1, 2))
    return Case(name, apply, params, basis, images, dark, light, exact, reference)


def exactly(apply: Any, params: Any, basis: Any, images: np.ndarray) -> tuple[np.ndarray, str]:
    if parameter_count(params) <= DENSE:
        vectors, scores = np.asarray(basis.vectors), []
        for image in images:
            rows = np.array(jacobian(apply, params, image))
            rows -= (rows @ vectors.T) @ vectors
            scores.append(np.square(rows).sum(dtype=np.float64))
        return np.array(scores), "Jacobians written down"
    many = sluguq.score(apply, params, basis, images, probes=256, key=jax.random.key(999), probing=without_norm(48))
    return many.slug, f"48 directions and 256 probes, accurate to {relative(many.slug_sem / many.slug):.1%}"


def kept(name: str, compute: Callable[[], tuple[np.ndarray, str]]) -> tuple[np.ndarray, str]:
    """What takes long, kept between runs."""
    path = Path(tempfile.gettempdir()) / "sluguq-benchmarks" / f"exact-{name}-{RANK}-{TRAINING}-{IMAGES}.json"
    if not path.exists():
        exact, reference = compute()
        path.write_text(json.dumps([exact.tolist(), reference]))
    exact, reference = json.loads(path.read_text())
    return np.array(exact), reference


def relative(errors: Any) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def measured(case: Case) -> str:
    """The table of one network."""
    passed = jax.jit(case.apply)
    forward = seconds(lambda: passed(case.params, case.images[:8]), 5) / 8
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(KEYS + 1):  # the first compiles
        for way, options in WAYS.items():
            start = time.process_time()
            scores = sluguq.score(case.apply, case.params, case.basis, case.images, key=jax.random.key(seed), **options)
            if seed:
                spent[way].append(time.process_time() - start)
                found[way].append(scores)
    first = min(next(iter(spent.values())))
    truth = case.exact[case.dark].mean() / case.exact[case.light].mean()
    rows = []
    for way, runs in found.items():
        slug = np.stack([run.slug for run in runs])
        ratio = slug[:, case.dark].mean(1) / slug[:, case.light].mean(1) / truth - 1
        rows.append(
            [
                way,
                f"{np.mean([run.shared for run in runs]):.0f}",
                f"{np.mean([run.directions for run in runs]):.0f}",
                f"{np.mean([run.probes.mean() for run in runs]):.0f}",
                f"{min(spent[way]) / IMAGES / forward:.0f}",
                f"{min(spent[way]) / first:.2f}",
                f"{relative(slug / case.exact - 1):.1%}",
                f"{relative(np.stack([run.slug_sem / run.slug for run in runs])):.1%}",
                f"{np.mean([spearmanr(one, case.exact).statistic for one in slug]):.4f}",
                f"{relative(ratio):.1%}",
            ]
        )
    return table(HEAD, rows)


HEAD = [
    "way",
    "shared directions",
    "own directions",
    "probes",
    "cost, forward passes an image",
    "of the first",
    "error of a score",
    "its standard error",
    "rank correlation",
    "error of dark / light",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", choices=NETWORKS)
    names = parser.parse_args().networks
    sections = []
    for name in names:
        case = case_of(name)
        sections.append(
            f"### {parameter_count(case.params):,} weights, {case.images.shape[1]} px\n\n"
            f"Reference: {case.reference}.\n\n{measured(case)}"
        )
        print(sections[-1], flush=True)
    words = f"`python benchmarks/slug_cost_accuracy.py {' '.join(names)}` on {MACHINE}.\n\n"
    publish_part("cost against accuracy", "end", words + "\n\n".join(sections))


if __name__ == "__main__":
    main()
