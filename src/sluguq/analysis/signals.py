"""Is SLUG worth its cost? The same tests for cheaper signals, and what SLUG knows that they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.fairness import flag_measures
from sluguq.analysis.given import takes_results
from sluguq.analysis.retention import retention_gain
from sluguq.analysis.statistics import Array, auroc, partial_spearman, quantile, spearman
from sluguq.analysis.tables import ESTIMATE, REPLICATES, Measure, estimate_rows, per_image, signals_in
from sluguq.stores.variables import PASSES, RIVAL

WORST = 0.1
"""The worst errors are this share of a seed's test images."""

FEWEST = 20
"""A signal that fewer images of a seed have than this is not compared: an ensemble, where test sets share little."""

ENSEMBLE = "ensemble_variance"


def comparable_signals(dataset: xr.Dataset) -> list[str]:
    """The signals that at least `FEWEST` test images of every model have, the dearest first.

    :param dataset: an opened aggregated store.
    """
    tested = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values)
    known = []
    for name in signals_in(dataset.data_vars):
        values = dataset[name]
        missing = [d for d in ("configuration", "seed") if d not in values.dims]
        finite = np.isfinite(values.expand_dims(missing).transpose("configuration", "seed", "image").values)
        scored = (finite & tested).sum(axis=2)[tested.any(axis=2)]
        if len(scored) and scored.min() >= min(FEWEST, tested.sum(axis=2).max()):
            known.append(name)
    return known


@takes_results
def compare_signals(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """How well each signal tells where the error is large, by configuration.

    Columns: configuration, signal, among, test, value, low, high, seeds, undefined, images, clusters, passes. Tests:
    `spearman`, the rank correlation with MSE; `retention_gain` (see `sluguq.analysis.retention`); `auroc_worst`, the
    probability that an image among the worst tenth of errors has a higher signal than another; `caught`, the share of
    the worst tenth of errors among the tenth of images with the highest signal; `partial`, SLUG's rank
    correlation with MSE with this signal's rank held constant (for SLUG itself: with all others but the
    ensemble's held constant); `partial_reverse`, this signal's with SLUG's rank held constant. Only
    `comparable_signals` are compared.

    among: the images, `all` that have the signal. An ensemble exists only for images that several seeds tested,
    which may be others, and more of one group, than the rest: so SLUG has rows among those images as well
    (`ensemble_variance`). And it is one ensemble for all seeds of a configuration: its tests are means over the
    seeds' errors, its intervals are of the images alone, and `seeds` is 1.

    passes: forward passes of the network that the signal of an image takes (`passes_of`).

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    names = comparable_signals(dataset)
    frame = per_image(dataset, ["mse", *names]).assign(inside=True)
    rows: list[dict[str, Any]] = []
    for name in names:
        tests = signal_tests(name)
        if name != "slug" and "slug" in names:
            tests["partial"] = _partial("slug", [name])
            tests["partial_reverse"] = _partial(name, ["slug"])
        elif len(names) > 1:
            # An ensemble would leave out the images that only one seed tested.
            tests["partial"] = _partial("slug", [n for n in names if n not in ("slug", ENSEMBLE)])
        if name == ENSEMBLE:
            tests = {test: measure._replace(pooled=True) for test, measure in tests.items()}
        rows += estimate_rows(frame, tests, {"signal": name, "among": "all"}, name="test", replicates=replicates)
    if {"slug", ENSEMBLE} <= set(names):
        there = frame[np.isfinite(frame[ENSEMBLE])]
        key = {"signal": "slug", "among": ENSEMBLE}
        rows += estimate_rows(there, signal_tests("slug"), key, name="test", replicates=replicates)
    table = pd.DataFrame(rows, columns=["configuration", "signal", "among", "test", *ESTIMATE])
    return table.assign(passes=[passes_of(dataset, name) for name in table["signal"]])


def passes_of(dataset: xr.Dataset, signal: str) -> float:
    """Forward passes of the network that a signal of an image takes; NaN where nobody counted them.

    Those of SLUG and its rivals were counted by `sluguq.stages.rivals`, their eigenbases included. What needs the
    encoder alone counts as one, the ensemble as many as there are networks behind an image's variance on average.

    :param dataset: an opened aggregated store.
    :param signal: its name.
    """
    if signal.startswith(RIVAL):
        return float(dataset[signal].attrs.get(PASSES, np.nan))
    if signal == "slug":
        counted = [dataset[name].attrs.get(f"{PASSES}_of_slug") for name in dataset if str(name).startswith(RIVAL)]
        return float(next((value for value in counted if value is not None), np.nan))
    known = {"latent_std": 1.0, "kl": 1.0, "total_variation": 0.0, "compressed_size": 0.0}
    return _members(dataset) if signal == ENSEMBLE else known.get(signal, np.nan)


def _members(dataset: xr.Dataset) -> float:
    """Networks behind an image's ensemble variance, on average: the seeds that tested it, not all seeds."""
    networks = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values).sum(axis=1)
    has_variance = np.isfinite(dataset[ENSEMBLE].transpose("configuration", "image").values)
    return float(networks[has_variance].mean()) if has_variance.any() else float("nan")


def signal_tests(name: str) -> dict[str, Measure]:
    """The tests of one signal by itself.

    :param name: of the signal.
    """
    return {
        "spearman": Measure(spearman, {"x": name, "y": "mse"}, "fisher"),
        "retention_gain": Measure(_gain, {"error": "mse", "score": name}, "gain"),
        "auroc_worst": Measure(_worst, {"x": name, "error": "mse"}, "share"),
        "caught": flag_measures(name)["caught"],
    }


def _gain(error: Array, score: Array, weights: Array) -> Array:
    return retention_gain(error, score, weights)


def _worst(x: Array, error: Array, weights: Array) -> Array:
    # The worst are those of the sample as it is, not of each replicate.
    edge = quantile(error, 1 - WORST, np.ones((1, len(error))))[0]
    return auroc(x, error > edge, weights)


def _partial(name: str, held: list[str]) -> Measure:
    def partial(x: Array, y: Array, weights: Array, **controls: Array) -> Array:
        return partial_spearman(x, y, np.stack(list(controls.values()), axis=1), weights)

    columns = {"x": name, "y": "mse", **{f"held{i}": column for i, column in enumerate(held)}}
    return Measure(partial, columns, "fisher")
