"""The table of judged photographs: where each lies in the reference of every network, and which is most suspect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sluguq.flag import Network


def judged_table(
    names: Sequence[str],
    networks: Sequence[Network],
    scores: Sequence[Mapping[str, np.ndarray]],
    groups: Mapping[str, Any],
) -> pd.DataFrame:
    """The table that `sluguq.flag.flag` describes, sorted; its index is the place of each photograph in `names`."""
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
    columns["slug_percentile"] = over_networks([single[f"slug_percentile_seed-{n.seed}"] for n in networks])
    columns["slug_ratio"] = over_networks(
        [s / float(n.reference["slug"].median()) for s, n in zip(slug, networks, strict=True)]
    )
    columns["mse"] = over_networks([score["mse"] for score in scores])
    columns["mse_percentile"] = over_networks([single[f"mse_percentile_seed-{n.seed}"] for n in networks])
    for group in groups:
        parts = [n.reference.loc[n.reference["group"] == group, "slug"] for n in networks]
        if all(len(part) for part in parts):
            columns[f"slug_percentile_{group}"] = over_networks(
                [percentiles(s, part) for s, part in zip(slug, parts, strict=True)]
            )
    table = pd.DataFrame({**columns, **single})
    return table.sort_values(["slug_percentile", "slug_ratio", "file"], ascending=[False, False, True])


def percentiles(values: Any, reference: Any) -> np.ndarray:
    """The share of the reference below each value, in per cent; equal values count half."""
    ordered = np.sort(np.asarray(reference, dtype=float))
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return 50 * (below + not_above) / len(ordered)


def _standard_error(slug: np.ndarray, sem: np.ndarray) -> np.ndarray:
    """Of the mean over networks (network, image): from their spread, and never less than the probes' own."""
    count = len(slug)
    probes = np.sqrt(np.square(sem).sum(axis=0)) / count
    return probes if count == 1 else np.maximum(probes, slug.std(axis=0, ddof=1) / np.sqrt(count))
