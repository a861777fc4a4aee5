"""Retention curves, and what is gained by removal, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.retention import FRACTIONS, retention_curve, retention_gain
from sluguq.analysis.signals import signal_tests
from sluguq.analysis.tables import ESTIMATE, REPLICATES, by_seed, estimate_rows, per_image

COLUMNS = ("configuration", "seed", "score", "measure", "removed", *ESTIMATE)


def removal(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """The mean error of what remains as the images with the highest scores are removed.

    Columns: configuration, seed (-1 over seeds), score (`slug`, `latent_std`, and of curves `oracle`, the error
    itself, and `random`), measure, removed, value, low, high, seeds, undefined, images, clusters. Measures: `mse`, the
    curve of a seed at every share `removed`; `gain`, that of a seed, and over seeds with its interval.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    scores = [name for name in ("slug", "latent_std") if name in dataset]
    frame = per_image(dataset, ["mse", *scores])
    pieces = [pd.DataFrame(columns=list(COLUMNS))] if frame.empty else []
    for score in scores:
        measures = {"gain": signal_tests(score)["retention_gain"]}
        rows = estimate_rows(frame, measures, {"seed": -1, "score": score}, replicates=replicates)
        pieces.append(pd.DataFrame(rows))
    for configuration in dict.fromkeys(frame["configuration"]):
        for seed in by_seed(frame, configuration, ("mse", "seed", *scores))[0]:
            pieces += [part.assign(configuration=configuration) for part in _of_one(seed, scores)]
    return pd.concat(pieces, ignore_index=True).reindex(columns=list(COLUMNS))


def _of_one(seed: dict[str, np.ndarray], scores: list[str]) -> list[pd.DataFrame]:
    """Curves and gains of one seed."""
    error, one = seed["mse"], np.ones((1, len(seed["mse"])))
    lines = {score: retention_curve(error, seed[score], one)[0] for score in scores}
    lines["oracle"] = retention_curve(error, error, one)[0]
    lines["random"] = np.full(len(FRACTIONS), error.mean())
    number, removed = int(seed["seed"][0]), (1 - FRACTIONS).round(6)
    curves = [
        pd.DataFrame({"seed": number, "score": score, "measure": "mse", "removed": removed, "value": v})
        for score, v in lines.items()
    ]
    gains = {score: retention_gain(error, seed[score], one) for score in scores}
    return curves + [
        pd.DataFrame({"seed": number, "score": score, "measure": "gain", "value": gain})
        for score, gain in gains.items()
    ]
