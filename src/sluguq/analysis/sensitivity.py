"""How sure is the score: what changes in it as one setting changes and all others stay."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sluguq.analysis.estimates import over_seeds
from sluguq.analysis.statistics import Array, log_ratio, mean, spearman
from sluguq.analysis.tables import REPLICATES
from sluguq.stores.store import open_store
from sluguq.stores.tables import read_numbers, write_table

FEWEST = 10
"""A correlation of fewer images than this is left out."""

COLUMNS = ("setting", "value", "reference", "measure", "result", "low", "high", "configuration", "seed", "images")

_Case = tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]
"""What is measured: setting, value, model; its scores; and the experiment's own of that model."""


def read_sensitivity(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The table that :func:`write_sensitivity` wrote: the columns `COLUMNS`.

    :param path: csv.
    :raises TableError: where it is not there, or is no table.
    """
    return read_numbers(path, texts=("setting", "measure", "configuration"))


def write_sensitivity(
    path: str | os.PathLike[str],
    scores: Iterable[tuple[tuple[str, int], str | os.PathLike[str]]],
    varied: Iterable[str | os.PathLike[str]],
    variants: Iterable[tuple[tuple[str, str, str, int], str | os.PathLike[str]]],
    reference: Mapping[str, float],
    replicates: int = REPLICATES,
) -> None:
    """Measure how the scores change with every setting that was varied, and write :func:`sensitivity_table`.

    :param path: csv to write.
    :param scores: (configuration, seed) and score store of every model of the experiment.
    :param varied: tables of `sluguq.stages.score_varied.score_varied`.
    :param variants: (setting, value, configuration, seed) and score store of every model that was trained anew.
    :param reference: the experiment's own value of a setting, where it has one.
    :param replicates: bootstrap replicates behind an interval.
    :raises TableError: where a table of `varied` is not there, or is no table.
    :raises ValueError: where there is nothing to measure.
    """
    own = {(str(name), int(seed)): read_scores(store) for (name, seed), store in scores}
    frames = [read_numbers(table, texts=("setting", "configuration", "id")) for table in varied]
    for (setting, value, name, seed), store in variants:
        frame = read_scores(store)
        frames.append(frame.assign(setting=setting, value=float(value), configuration=str(name), seed=int(seed)))
    table = sensitivity_table(own, pd.concat(frames, ignore_index=True), reference, replicates)
    write_table(path, table, sealed=False)


def read_scores(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The columns id, mse, slug and slug_sem of a score store.

    :param path: of the store.
    """
    store = open_store(path)
    return pd.DataFrame({name: store[name].values for name in ("id", "mse", "slug", "slug_sem")})


def sensitivity_table(
    scores: Mapping[tuple[str, int], pd.DataFrame],
    varied: pd.DataFrame,
    reference: Mapping[str, float],
    replicates: int = REPLICATES,
) -> pd.DataFrame:
    """Four measures of every model's scores under every value of every setting, with 95 % intervals over images.

    Columns: `COLUMNS`; one row per seed, and one with seed -1 for the mean over seeds. reference: whether value is the
    experiment's own. Measures: ``spearman``, the rank correlation of SLUG with the error; ``agreement``, that with the
    experiment's own SLUG of the same images; ``level``, mean SLUG over the mean of the experiment's own;
    ``relative_sem``, the mean over images of the standard error over the score. The setting ``seed`` needs no further
    scores: value is the seed, the reference is the first, ``agreement`` is over the images that both tested.
    Correlations of fewer than ``FEWEST`` images are left out. low, high: as `estimates.over_seeds` makes them;
    of one seed they are of its images alone. images: how many a seed's result rests on, of several seeds the most.

    :param scores: by (configuration, seed), the experiment's own scores, with the columns id, mse, slug, slug_sem.
    :param varied: scores under other settings, with setting, value, configuration and seed besides.
    :param reference: the experiment's own value of a setting, where it has one. It is measured on the same images;
        where it is itself among the varied ones, on those scores, which have other probes where probes vary.
    :param replicates: bootstrap replicates behind an interval.
    :raises ValueError: where there is nothing to measure.
    """
    cases: list[_Case] = []
    for _, part in varied.groupby(["setting", "configuration", "seed"], sort=False):
        setting, configuration, seed = part[["setting", "configuration", "seed"]].iloc[0]
        own = scores[configuration, seed]
        key = {"configuration": configuration, "seed": seed, "setting": setting}
        if setting in reference and reference[setting] not in set(part["value"]):
            shared = own[own["id"].isin(part["id"])]
            cases.append(({**key, "value": reference[setting], "reference": True}, shared, shared))
        for value, frame in part.groupby("value"):
            is_own = setting in reference and value == reference[setting]
            cases.append(({**key, "value": value, "reference": is_own}, frame, own))
    if len({seed for _, seed in scores}) > 1:
        first = min(seed for _, seed in scores)
        for (configuration, seed), frame in scores.items():
            key = {"configuration": configuration, "seed": seed, "setting": "seed"}
            own = scores[configuration, first]
            cases.append(({**key, "value": seed, "reference": seed == first}, frame, own))
    if not cases:
        raise ValueError("nothing was varied: name values under sensitivity in the configuration, or run more seeds")
    rows = [row for together in _by_value(cases) for row in _measures(together, replicates)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["setting", "seed"], kind="stable", ignore_index=True)


def _by_value(cases: list[_Case]) -> list[list[_Case]]:
    """Cases that differ by the seed alone, together."""
    found: dict[tuple[Any, ...], list[_Case]] = {}
    for case in cases:
        found.setdefault((case[0]["setting"], case[0]["configuration"], float(case[0]["value"])), []).append(case)
    return list(found.values())


def _measures(cases: list[_Case], replicates: int) -> list[dict[str, Any]]:
    """All measures of one value of one setting: of every seed, and over seeds."""
    measures: dict[str, tuple[Any, Any, Any]] = {
        "spearman": (spearman, "fisher", _with_error),
        "agreement": (spearman, "fisher", _with_own),
        "level": (_ratio, "log", _beside_own),
        "relative_sem": (mean, "log", _relative_sem),
    }
    codes = {
        name: code
        for code, name in enumerate(pd.unique(pd.concat([c for _, a, b in cases for c in (a["id"], b["id"])])))
    }
    rows = []
    for measure, (statistic, transform, columns_of) in measures.items():
        parts = [(key, *columns_of(frame, own)) for key, frame, own in cases]
        known = [(key, ids, columns) for key, ids, columns in parts if len(ids)]
        # The mean over seeds first, so that it stands before them.
        for together, number in ((known, -1), *(([one], one[0]["seed"]) for one in known)):
            if not together:
                continue
            clusters = [np.array([codes[name] for name in ids]) for _, ids, _ in together]
            estimate = over_seeds(
                statistic, [c for _, _, c in together], clusters, transform=transform, replicates=replicates
            )
            if np.isfinite(estimate.value):
                size = max(len(set(ids)) for _, ids, _ in together)
                found = {"result": estimate.value, "low": estimate.low, "high": estimate.high, "images": size}
                rows.append({**together[0][0], "seed": number, "measure": measure, **found})
    return rows


_Columns = tuple[Sequence[str], dict[str, Any]]


def _with_error(frame: pd.DataFrame, own: pd.DataFrame) -> _Columns:
    if len(frame) < FEWEST:
        return [], {}
    return list(frame["id"]), {"x": frame["slug"].to_numpy(float), "y": frame["mse"].to_numpy(float)}


def _with_own(frame: pd.DataFrame, own: pd.DataFrame) -> _Columns:
    both = frame.merge(own[["id", "slug"]], on="id", suffixes=("", "_own"))
    if len(both) < FEWEST:
        return [], {}
    return list(both["id"]), {"x": both["slug"].to_numpy(float), "y": both["slug_own"].to_numpy(float)}


def _beside_own(frame: pd.DataFrame, own: pd.DataFrame) -> _Columns:
    """Scores and, after them, the experiment's own: of the same images, or of all where not all are the same.

    An image that is in both is drawn in both at once.
    """
    same = own[own["id"].isin(frame["id"])]
    beside = same if len(same) == len(frame) else own
    x = np.concatenate([frame["slug"], beside["slug"]]).astype(float)
    return [*frame["id"], *beside["id"]], {"x": x, "group": np.arange(len(x)) < len(frame)}


def _relative_sem(frame: pd.DataFrame, own: pd.DataFrame) -> _Columns:
    return list(frame["id"]), {"x": (frame["slug_sem"] / frame["slug"]).to_numpy(float)}


def _ratio(x: Array, group: np.ndarray, weights: Array) -> Array:
    return np.exp(log_ratio(x, group, weights))
