"""Is SLUG worth its cost? The same tests for cheaper signals, and what SLUG knows that they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.retention import retention_gain
from sluguq.statistics import Array, auroc, over_seeds, partial_spearman, quantile, spearman
from sluguq.tables import SIGNALS, by_seed, estimate_fields, per_image

WORST = 0.1
"""The worst errors are this share of a seed's test images."""

FEWEST = 20
"""A signal that fewer images of a seed have than this is not compared: an ensemble, where test sets share little."""


def comparable_signals(dataset: xr.Dataset) -> list[str]:
    """The signals of `SIGNALS` that at least `FEWEST` test images of every model have, the dearest first."""
    tested = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values)
    known = []
    for name in (name for name in SIGNALS if name in dataset):
        values = dataset[name]
        missing = [d for d in ("configuration", "seed") if d not in values.dims]
        finite = np.isfinite(values.expand_dims(missing).transpose("configuration", "seed", "image").values)
        scored = (finite & tested).sum(axis=2)[tested.any(axis=2)]
        if len(scored) and scored.min() >= min(FEWEST, tested.sum(axis=2).max()):
            known.append(name)
    return known


def compare_signals(dataset: xr.Dataset, replicates: int = 100) -> pd.DataFrame:
    """How well each signal tells where the error is large, by configuration.

    Columns: configuration, signal, test, value, low, high, seeds, images, clusters. Tests: `spearman`, the
    rank correlation with MSE; `retention_gain` (see `sluguq.retention`); `auroc_worst`, the probability that
    an image among the worst tenth of errors has a higher signal than another; `partial`, SLUG's rank
    correlation with MSE with this signal's rank held constant (for SLUG itself: with all others held
    constant); `partial_reverse`, this signal's with SLUG's rank held constant. An ensemble has one value
    for all seeds of a configuration. Only `comparable_signals` are compared.
    """
    names = comparable_signals(dataset)
    frame = per_image(dataset, ["mse", *names])
    rows: list[dict[str, Any]] = []
    for configuration in dict.fromkeys(frame["configuration"]):
        for name in names:
            tests: dict[str, tuple[Any, list[str], str]] = {
                "spearman": (_columns(spearman, name), [name], "fisher"),
                "retention_gain": (_gain(name), [name], "identity"),
                "auroc_worst": (_worst(name), [name], "logit"),
            }
            if name != "slug" and "slug" in names:
                tests["partial"] = (_partial("slug", [name]), ["slug", name], "fisher")
                tests["partial_reverse"] = (_partial(name, ["slug"]), ["slug", name], "fisher")
            elif len(names) > 1:
                others = [n for n in names if n != "slug"]
                tests["partial"] = (_partial("slug", others), names, "fisher")
            for test, (statistic, columns, transform) in tests.items():
                seeds, clusters = by_seed(frame, configuration, ("mse", *columns))
                if not seeds:
                    continue
                estimate = over_seeds(statistic, seeds, clusters, transform=transform, replicates=replicates)  # type: ignore[arg-type]
                rows.append({"configuration": configuration, "signal": name, "test": test, **estimate_fields(estimate)})
    return pd.DataFrame(rows)


def _columns(statistic: Any, name: str) -> Any:
    def of(weights: Array, **columns: Array) -> Array:
        return statistic(columns[name].astype(float), columns["mse"], weights=weights)

    return of


def _gain(name: str) -> Any:
    def of(weights: Array, **columns: Array) -> Array:
        return retention_gain(columns["mse"], columns[name].astype(float), weights)

    return of


def _worst(name: str) -> Any:
    def of(weights: Array, **columns: Array) -> Array:
        # The worst are those of the sample as it is, not of each replicate.
        edge = quantile(columns["mse"], 1 - WORST, np.ones((1, len(columns["mse"]))))[0]
        return auroc(columns[name].astype(float), columns["mse"] > edge, weights)

    return of


def _partial(name: str, held: list[str]) -> Any:
    def of(weights: Array, **columns: Array) -> Array:
        controls = np.stack([columns[n].astype(float) for n in held], axis=1)
        return partial_spearman(columns[name].astype(float), columns["mse"], controls, weights)

    return of
