"""How sure is the score: what changes in it as one setting changes and all others stay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sluguq.statistics import spearman
from sluguq.store import open_store

FEWEST = 10
"""A correlation of fewer images than this is left out."""

COLUMNS = ("setting", "value", "reference", "measure", "result", "configuration", "seed", "images")


def read_scores(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The columns id, mse, slug and slug_sem of a score store."""
    store = open_store(path)
    return pd.DataFrame({name: store[name].values for name in ("id", "mse", "slug", "slug_sem")})


def sensitivity_table(
    scores: Mapping[tuple[str, int], pd.DataFrame], varied: pd.DataFrame, reference: Mapping[str, float]
) -> pd.DataFrame:
    """Four measures of every model's scores under every value of every setting.

    Measures: ``spearman``, the rank correlation of SLUG with the error; ``agreement``, that with the experiment's own
    SLUG of the same images; ``level``, mean SLUG over the mean of the experiment's own; ``relative_sem``, the mean
    over images of the standard error over the score. The setting ``seed`` needs no further scores: value is the seed,
    the reference is the first, ``agreement`` is over the images that both tested. Correlations of fewer than
    ``FEWEST`` images are left out. The column images: how many a result rests on.

    :param scores: by (configuration, seed), the experiment's own scores, with the columns id, mse, slug, slug_sem.
    :param varied: scores under other settings, with setting, value, configuration and seed besides.
    :param reference: the experiment's own value of a setting, where it has one; that value's measures are of the same
        images.
    :raises ValueError: where there is nothing to measure.
    """
    rows: list[dict[str, Any]] = []
    for _, part in varied.groupby(["setting", "configuration", "seed"], sort=False):
        setting, configuration, seed = part[["setting", "configuration", "seed"]].iloc[0]
        own = scores[configuration, seed]
        key = {"configuration": configuration, "seed": seed, "setting": setting}
        if setting in reference and reference[setting] not in set(part["value"]):
            shared = own[own["id"].isin(part["id"])]
            rows += _measures(shared, shared, {**key, "value": reference[setting], "reference": True})
        for value, frame in part.groupby("value"):
            rows += _measures(frame, own, {**key, "value": value, "reference": False})
    if len({seed for _, seed in scores}) > 1:
        first = min(seed for _, seed in scores)
        for (configuration, seed), frame in scores.items():
            key = {"configuration": configuration, "seed": seed, "setting": "seed"}
            rows += _measures(frame, scores[configuration, first], {**key, "value": seed, "reference": seed == first})
    if not rows:
        raise ValueError("nothing was varied: name values under sensitivity in the configuration, or run more seeds")
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(COLUMNS[:1]), kind="stable", ignore_index=True)


def _measures(frame: pd.DataFrame, own: pd.DataFrame, key: Mapping[str, Any]) -> list[dict[str, Any]]:
    both = frame.merge(own[["id", "slug"]], on="id", suffixes=("", "_own"))
    rank = _spearman(frame["slug"], frame["mse"])
    results = {
        "spearman": (rank, len(frame)),
        "agreement": (_spearman(both["slug"], both["slug_own"]), len(both)),
        "level": (frame["slug"].mean() / own.loc[_alike(own, frame), "slug"].mean(), len(frame)),
        "relative_sem": ((frame["slug_sem"] / frame["slug"]).mean(), len(frame)),
    }
    return [
        {**key, "measure": measure, "result": float(result), "images": images}
        for measure, (result, images) in results.items()
        if np.isfinite(result)
    ]


def _alike(own: pd.DataFrame, frame: pd.DataFrame) -> pd.Series:
    """The experiment's own images that the level is compared with: the same ones, or all where none is the same."""
    same = own["id"].isin(frame["id"])
    return same if same.sum() == len(frame) else pd.Series(True, index=own.index)


def _spearman(x: pd.Series, y: pd.Series) -> float:
    if len(x) < FEWEST:
        return np.nan
    return float(spearman(x.to_numpy(float), y.to_numpy(float), weights=np.ones((1, len(x))))[0])
