"""The table of judged photographs: where each lies in the reference of every network, and which is most suspect.

The mean of several percentiles reaches 95 less often than each of them, unless the networks agree wholly. So it is
itself ranked, among the means that photographs like the reference would have (`rank_of_mean`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from sluguq.analysis.conformal import conformal_p, joined_p
from sluguq.analysis.percentiles import percentiles
from sluguq.machine.streams import plain_stream

if TYPE_CHECKING:
    from sluguq.flag.judges import Judge

FEWEST_SHARED = 20
"""How well networks agree is estimated where at least this many reference images were tested by two of them."""

_DRAWS = 200_000


def judged_table(
    names: Sequence[str],
    networks: Sequence[Judge],
    scores: Sequence[Mapping[str, np.ndarray]],
    groups: Mapping[str, Any],
) -> pd.DataFrame:
    """The table that `sluguq.flag.run.flag` describes, sorted; its index is the place of each photograph in `names`.

    :param names: of the photographs.
    :param networks: with their references.
    :param scores: of every network, by variable (photograph,).
    :param groups: names of the experiment's groups.
    """
    columns: dict[str, Any] = {"file": list(names)}
    single: dict[str, np.ndarray] = {}
    for network, score in zip(networks, scores, strict=True):
        ending = f"_seed-{network.seed}"
        for name in ("slug", "slug_sem", "mse"):
            single[name + ending] = np.asarray(score[name])
        for name in ("slug", "mse"):
            single[f"{name}_percentile{ending}"] = percentiles(score[name], network.reference[name])

    def over_networks(values: list[np.ndarray]) -> np.ndarray:
        return np.mean(values, axis=0)

    slug = [score["slug"] for score in scores]
    columns["slug"] = over_networks(slug)
    columns["slug_sem"] = _standard_error(np.stack(slug), np.stack([score["slug_sem"] for score in scores]))
    references = [n.reference for n in networks]
    for name in ("slug", "mse"):
        means = over_networks([single[f"{name}_percentile_seed-{n.seed}"] for n in networks])
        columns[f"{name}_percentile"] = rank_of_mean(means, agreement(references, name), len(networks))
    columns["slug_ratio"] = over_networks(
        [s / float(n.reference["slug"].median()) for s, n in zip(slug, networks, strict=True)]
    )
    columns["mse"] = over_networks([score["mse"] for score in scores])
    for group in groups:
        parts = [reference[reference["group"] == group] for reference in references]
        if all(len(part) for part in parts):
            means = over_networks([percentiles(s, part["slug"]) for s, part in zip(slug, parts, strict=True)])
            columns[f"slug_percentile_{group}"] = rank_of_mean(means, agreement(parts, "slug"), len(networks))
            columns[f"slug_p_{group}"] = joined_p(
                [conformal_p(s, part["slug"]) for s, part in zip(slug, parts, strict=True)]
            )
    in_groups = [columns[name] for group in groups if (name := f"slug_p_{group}") in columns]
    if in_groups and len(in_groups) == len(groups):
        # The group of a new photograph is not known: unusual is what would be unusual in each. A group that some
        # network has no test images of is promised nothing, so nothing is said of all groups then.
        columns["slug_p"] = np.max(in_groups, axis=0)
    order = ["file", "slug", "slug_sem", "slug_percentile", "slug_ratio", "mse", "mse_percentile"]
    table = pd.DataFrame({**{name: columns.pop(name) for name in order}, **columns, **single})
    return table.sort_values(["slug_percentile", "slug_ratio", "file"], ascending=[False, False, True])


def agreement(references: Sequence[pd.DataFrame], column: str) -> float | None:
    """The rank correlation of two networks on images that neither was trained on, the mean over all pairs of networks.

    Only images that both tested count. Each group has the weight that it has in the references, for a small group is
    tested twice more often than a large one. Percentiles of one network are uniform, so their correlation is the mean
    product of their deviations from 50 over a uniform number's variance. None with fewer than `FEWEST_SHARED` images,
    or where a group of the references has none.

    :param references: of each network, what it scored on its test images; columns group and `column`, the index is the
        image.
    :param column: whose ranks are compared.
    """
    scaled = [
        pd.Series((percentiles(r[column], r[column]) - 50) / (100 / np.sqrt(12)), index=r.index) for r in references
    ]
    pairs = [pd.concat(pair, axis=1, join="inner", keys=["x", "y"]) for pair in itertools.combinations(scaled, 2)]
    shared = pd.concat([pd.DataFrame({"image": []}), *(p.reset_index(names="image") for p in pairs)])
    if shared["image"].nunique() < FEWEST_SHARED:
        return None
    groups = pd.concat([r["group"] for r in references])
    products = (shared["x"] * shared["y"]).groupby(shared["image"].map(groups[~groups.index.duplicated()])).mean()
    weights = groups.value_counts(normalize=True)
    if set(weights.index) - set(products.index):
        return None
    return float(np.clip((products * weights).sum(), 0, 1))


def rank_of_mean(means: np.ndarray, correlation: float | None, count: int) -> np.ndarray:
    """Where the mean percentile of a photograph lies among those of photographs like the reference, in per cent.

    No image of the reference need have been tested by all networks, so the distribution
    of the mean is that of `count` uniform numbers with this rank correlation between any two (a Gaussian copula; its
    linear correlation is 2 sin(pi rho / 6)), by `_DRAWS` draws. One network, or no known correlation: the mean itself,
    which then lies nearer to 50 than the rank would.

    :param means: (n,) percentiles, 0 to 100, means over `count` networks.
    :param correlation: of the ranks of any two networks, None where it is not known.
    :param count: of networks.
    """
    if count == 1 or correlation is None:
        return means
    rng = plain_stream()
    linear = 2 * np.sin(np.pi * correlation / 6)
    common = np.sqrt(linear) * rng.standard_normal(_DRAWS)
    ranks = np.zeros(_DRAWS)
    for _ in range(count):
        ranks += 100 * ndtr(common + np.sqrt(max(1 - linear, 0.0)) * rng.standard_normal(_DRAWS)) / count
    return percentiles(means, ranks)


def _standard_error(slug: np.ndarray, sem: np.ndarray) -> np.ndarray:
    """Of the mean over networks (network, image): from their spread, and never less than the probes' own."""
    count = len(slug)
    probes = np.sqrt(np.square(sem).sum(axis=0)) / count
    return probes if count == 1 else np.maximum(probes, slug.std(axis=0, ddof=1) / np.sqrt(count))
