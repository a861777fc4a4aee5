"""Is SLUG worth its cost? The same tests for cheaper signals, and what SLUG knows that they do not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.estimates import Estimate, over_seeds
from sluguq.analysis.retention import retention_gain
from sluguq.analysis.statistics import Array, auroc, partial_spearman, quantile, spearman
from sluguq.analysis.tables import SIGNALS, by_seed, estimate_fields, per_image

WORST = 0.1
"""The worst errors are this share of a seed's test images."""

FEWEST = 20
"""A signal that fewer images of a seed have than this is not compared: an ensemble, where test sets share little."""

REPLICATES = 100
"""Bootstrap replicates behind every interval here."""

ENSEMBLE = "ensemble_variance"


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


def compare_signals(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """How well each signal tells where the error is large, by configuration.

    Columns: configuration, signal, among, test, value, low, high, seeds, images, clusters. Tests: `spearman`, the
    rank correlation with MSE; `retention_gain` (see `sluguq.analysis.retention`); `auroc_worst`, the probability that
    an image among the worst tenth of errors has a higher signal than another; `partial`, SLUG's rank
    correlation with MSE with this signal's rank held constant (for SLUG itself: with all others but the
    ensemble's held constant); `partial_reverse`, this signal's with SLUG's rank held constant. Only
    `comparable_signals` are compared.

    among: the images, `all` that have the signal. An ensemble exists only for images that several seeds tested,
    which may be others, and more of one group, than the rest: so SLUG has rows among those images as well
    (`ensemble_variance`). And it is one ensemble for all seeds of a configuration: its tests are means over the
    seeds' errors, its intervals are of the images alone, and `seeds` is 1.
    """
    names = comparable_signals(dataset)
    frame = per_image(dataset, ["mse", *names])
    rows: list[dict[str, Any]] = []
    for configuration in dict.fromkeys(frame["configuration"]):
        for name in names:
            tests = _tests(name)
            if name != "slug" and "slug" in names:
                tests["partial"] = (_partial("slug", [name]), ["slug", name], "fisher")
                tests["partial_reverse"] = (_partial(name, ["slug"]), ["slug", name], "fisher")
            elif len(names) > 1:
                # An ensemble would leave out the images that only one seed tested.
                others = [n for n in names if n not in ("slug", ENSEMBLE)]
                tests["partial"] = (_partial("slug", others), ["slug", *others], "fisher")
            rows += _rows(frame, configuration, name, "all", tests, replicates)
        if {"slug", ENSEMBLE} <= set(names):
            there = frame[np.isfinite(frame[ENSEMBLE])]
            rows += _rows(there, configuration, "slug", ENSEMBLE, _tests("slug"), replicates)
    return pd.DataFrame(rows)


def gain_estimate(
    seeds: list[dict[str, np.ndarray]], clusters: list[np.ndarray], name: str, replicates: int = REPLICATES
) -> Estimate:
    """The retention gain of a signal, with its interval; seeds and clusters as `tables.by_seed` gives them."""
    return over_seeds(_gain(name), seeds, clusters, transform="fisher", replicates=replicates)


def ensemble_as_one(
    seeds: list[dict[str, np.ndarray]], clusters: list[np.ndarray], statistic: Any
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray], Any]:
    """What an ensemble is tested by: it is one for all seeds, so its images are drawn, and no seeds.

    Returns one entry in place of the seeds', and the statistic that averages `statistic` over their parts of it.
    """
    places = np.cumsum([0, *map(len, clusters)])
    joined = {name: np.concatenate([s[name] for s in seeds]) for name in seeds[0]}

    def of(weights: Array, **columns: np.ndarray) -> Array:
        parts = [
            statistic(weights=weights[:, a:b], **{n: c[a:b] for n, c in columns.items()})
            for a, b in itertools.pairwise(places)
        ]
        return np.mean(parts, axis=0)

    return [joined], [np.concatenate(clusters)], of


def _rows(
    frame: pd.DataFrame,
    configuration: str,
    name: str,
    among: str,
    tests: dict[str, tuple[Any, list[str], Any]],
    replicates: int,
) -> list[dict[str, Any]]:
    rows = []
    for test, (statistic, columns, transform) in tests.items():
        seeds, clusters = by_seed(frame, configuration, ("mse", *columns))
        if not seeds:
            continue
        if name == ENSEMBLE:
            most = max(map(len, clusters))
            seeds, clusters, statistic = ensemble_as_one(seeds, clusters, statistic)
        estimate = over_seeds(statistic, seeds, clusters, transform=transform, replicates=replicates)
        if name == ENSEMBLE:
            estimate = estimate._replace(images=most)
        key = {"configuration": configuration, "signal": name, "among": among, "test": test}
        rows.append({**key, **estimate_fields(estimate)})
    return rows


def _tests(name: str) -> dict[str, tuple[Any, list[str], Any]]:
    """The tests of one signal by itself: statistic, columns, transform."""
    return {
        "spearman": (_columns(spearman, name), [name], "fisher"),
        "retention_gain": (_gain(name), [name], "fisher"),
        "auroc_worst": (_worst(name), [name], "logit"),
    }


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
