"""Fairness beyond means: gaps with intervals and effect sizes, worst groups, quantiles, who is flagged."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import labels_of
from sluguq.analysis.annotations import OTHER_TYPES
from sluguq.analysis.given import takes_results
from sluguq.analysis.retention import caught_share, flagged_share
from sluguq.analysis.statistics import (
    Array,
    cliffs_delta,
    difference,
    log_ratio,
    mean,
    quantile,
    standardised_difference,
)
from sluguq.analysis.tables import (
    ESTIMATE,
    REPLICATES,
    Measure,
    against_lightest,
    estimate_rows,
    grouped,
    per_image,
)
from sluguq.datasets.nothing import is_nothing

VARIABLES = ("mse", "latent_std", "slug")
LARGEST = {"mse": 4.0}
"""The largest value that a variable can have: intensities run from -1 to 1."""
QUANTILES = (0.5, 0.9, 0.99)
TOGETHER = "all together"
"""In place of a label: all labels at once that are adjusted for."""

FEWEST = 10
"""Intersections with fewer images than this in all are not listed."""


@takes_results
def gaps(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Every group against the lightest, by variable and configuration.

    Columns: variable, configuration, group, reference, measure, value, low, high, seeds, undefined, images, clusters.
    Measures: `difference` of means, `log_ratio` of means, `cliffs_delta`, `standardised` difference.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, [v for v in VARIABLES if v in dataset])
    names = grouped(frame, dataset)
    rows: list[dict[str, Any]] = []
    for variable, (group, pair) in itertools.product(_known(frame), list(against_lightest(frame, names))):
        columns = {"x": variable, "group": "inside"}
        measures = {
            "difference": Measure(difference, columns),
            "log_ratio": Measure(log_ratio, columns),
            "cliffs_delta": Measure(cliffs_delta, columns, "delta"),
            "standardised": Measure(standardised_difference, columns),
        }
        key = {"variable": variable, "group": group, "reference": names[0]}
        rows += estimate_rows(pair, measures, key, replicates=replicates)
    return pd.DataFrame(rows, columns=["variable", "configuration", "group", "reference", "measure", *ESTIMATE])


@takes_results
def levels(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Mean and quantiles of every variable by configuration and group, and which group is worst.

    Columns: variable, configuration, group, measure (`mean`, `q50`, `q90`, `q99`), value, low, high, seeds, undefined,
    images, clusters, worst (whether this group has the largest value of its configuration). None of the variables
    is ever negative; intervals are symmetric on a logarithmic scale, so they are positive too, and end at the largest
    value that can be.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, [v for v in VARIABLES if v in dataset])
    rows: list[dict[str, Any]] = []
    for variable, group in itertools.product(_known(frame), grouped(frame, dataset)):
        measures = _levels(variable)
        key = {"variable": variable, "group": group}
        rows += estimate_rows(frame[frame["group"] == group], measures, key, replicates=replicates)
    table = pd.DataFrame(rows, columns=["variable", "configuration", "group", "measure", *ESTIMATE])
    largest = table.groupby(["variable", "configuration", "measure"])["value"].transform("max")
    return table.assign(worst=table["value"] == largest)


def skin_types(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Mean of every variable by configuration and skin type (-1: not known).

    Columns: variable, configuration, fst, measure (`mean`), value, low, high, seeds, undefined, images, clusters.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, [v for v in VARIABLES if v in dataset])
    types = sorted(set(frame["fst"]), key=lambda t: (t < 1, t))
    rows: list[dict[str, Any]] = []
    for variable, fst in itertools.product(_known(frame), types):
        measures = {"mean": _levels(variable)["mean"]}
        key = {"variable": variable, "fst": fst}
        rows += estimate_rows(frame[frame["fst"] == fst], measures, key, replicates=replicates)
    return pd.DataFrame(rows, columns=["variable", "configuration", "fst", "measure", *ESTIMATE])


def _known(frame: pd.DataFrame) -> list[str]:
    return [variable for variable in VARIABLES if variable in frame]


def _levels(variable: str) -> dict[str, Measure]:
    """The mean and quantiles of a variable."""
    most = LARGEST.get(variable, np.inf)
    statistics = {"mean": mean, **{f"q{100 * q:.0f}": _quantile(q) for q in QUANTILES}}
    return {name: Measure(statistic, {"x": variable}, "log", most) for name, statistic in statistics.items()}


def _quantile(q: float) -> Any:
    def of(x: Array, weights: Array) -> Array:
        return quantile(x, q, weights)

    return of


SHARE = 0.1
"""The share of images that is flagged, and of errors that counts as worst."""


@takes_results
def flagging(dataset: xr.Dataset, share: float = SHARE, replicates: int = REPLICATES) -> pd.DataFrame:
    """Whose images are flagged when the highest `share` of SLUG is, and which of the worst errors are caught.

    Columns: configuration, group, measure, value, low, high, seeds, undefined, images, clusters. Measures: `flagged`,
    the share of the group's images that is flagged (`share` for each group if flags fell evenly); `worst`,
    the share of the group's images among the worst `share` of errors; `caught`, the share of the group's
    worst errors that is flagged. All thresholds are over the test images of all groups of one seed.

    :param dataset: an opened aggregated store.
    :param share: of the images, 0 to 1.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, ["mse", "slug"])
    names = grouped(frame, dataset)
    frame = frame[frame["group"].isin(names)]
    rows: list[dict[str, Any]] = []
    for group in names:
        measures = {**flag_measures("slug", share), "worst": _flagged_by("mse", share)}
        rows += estimate_rows(
            frame.assign(inside=frame["group"] == group), measures, {"group": group}, replicates=replicates
        )
    return pd.DataFrame(rows, columns=["configuration", "group", "measure", *ESTIMATE])


def flag_measures(signal: str, share: float = SHARE, pooled: bool = False) -> dict[str, Measure]:
    """`flagged` and `caught` of a signal; the frame has a column `inside`, true in the group.

    :param signal: column that the images are flagged by.
    :param share: of the images, 0 to 1.
    :param pooled: whether the images of all seeds are one, see `sluguq.analysis.tables.Measure`.
    """

    def caught(score: Array, error: Array, group: np.ndarray, weights: Array) -> Array:
        return caught_share(score, error, group, weights, share)

    def worst(score: Array, error: Array, group: np.ndarray) -> np.ndarray:
        return group & (error > quantile(error, 1 - share, np.ones((1, len(error))))[0])

    columns = {"score": signal, "error": "mse", "group": "inside"}
    return {
        "flagged": _flagged_by(signal, share)._replace(pooled=pooled),
        "caught": Measure(caught, columns, "share", pooled=pooled, among=worst),
    }


def _flagged_by(signal: str, share: float) -> Measure:
    def flagged(score: Array, group: np.ndarray, weights: Array) -> Array:
        return flagged_share(score, group, weights, share)

    def inside(score: Array, group: np.ndarray) -> np.ndarray:
        return group

    return Measure(flagged, {"score": signal, "group": "inside"}, "share", among=inside)


@takes_results
def intersections(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Mean error and SLUG of every group crossed with every value of every label (condition, body site).

    Columns: label, level, group, configuration, variable, value, low, high, seeds, undefined, images, clusters. Labels
    with more than 30 values and crossings with fewer than `FEWEST` images in all are left out.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, ["mse", "slug", *labels_of(dataset)])
    measures = {variable: _levels(variable)["mean"] for variable in ("mse", "slug")}
    rows: list[dict[str, Any]] = []
    for label in labels_of(dataset):
        labelled = frame[~frame[label].map(is_nothing)]
        level = labelled[label].astype(str)
        if not 1 < level.nunique() <= 30:
            continue
        for name, group in itertools.product(sorted(level.unique()), grouped(frame, dataset)):
            part = labelled[(level == name) & (labelled["group"] == group)]
            if part["image"].nunique() >= FEWEST:
                key = {"label": label.removeprefix("label_"), "level": name, "group": group}
                rows += estimate_rows(part, measures, key, name="variable", replicates=replicates)
    return pd.DataFrame(rows, columns=["label", "level", "group", "configuration", "variable", *ESTIMATE])


@takes_results
def gaps_within(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """The gap between groups among images of one condition, or body site: is it the skin, or what is photographed?

    A level of a label counts where `FEWEST` different images of either group have it. Columns: label, level, group,
    reference, configuration, variable (`mse`, `slug`), measure, value, low, high, seeds, undefined, images, clusters,
    smallest (different images of the smaller group, in all seeds). value: logarithm of the ratio of means, group over
    the lightest group. Measures: `within`, in one level; and, over all levels that count (level empty), `all`, the
    plain gap of their images, and `adjusted`, the mean of the levels' gaps, each with the weight of nm/(n + m) images
    (Mantel and Haenszel, Journal of the National Cancer Institute 22, 1959). The label `TOGETHER` has the levels of all
    labels at once that have two or more levels that count: its adjusted gap is adjusted for all of them.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    labels = labels_of(dataset)
    frame = per_image(dataset, ["mse", "slug", *labels])
    names = grouped(frame, dataset)
    rows: list[dict[str, Any]] = []
    for group, pair in against_lightest(frame, names):
        levels = {label.removeprefix("label_"): _joined_levels(pair, [label]) for label in labels}
        smaller = {label: _smaller_groups(pair, level, names[0], group) for label, level in levels.items()}
        # What one annotation of the skin says of the other is no confounder.
        several = [f"label_{label}" for label in levels if len(smaller[label]) > 1 and f"label_{label}" != OTHER_TYPES]
        if len(several) > 1:
            levels[TOGETHER] = _joined_levels(pair, several)
            smaller[TOGETHER] = _smaller_groups(pair, levels[TOGETHER], names[0], group)
        for label, level in levels.items():
            sizes = smaller[label]
            if sizes.empty or level.nunique() < 2:
                continue
            counted = pair.assign(level=level)[level.isin(sizes.index)]
            cases = [("", measure, counted, sizes.sum()) for measure in ("all", "adjusted")]
            cases += [(str(n), "within", counted[counted["level"] == n], size) for n, size in sizes.items()]
            for name, measure, part, size in cases:
                statistic = _adjusted if measure == "adjusted" else _plain
                measures = {
                    variable: Measure(statistic, {"x": variable, "group": "inside", "level": "level"})
                    for variable in ("mse", "slug")
                }
                key = {"label": label, "level": name, "group": group, "reference": names[0]}
                found = {**key, "measure": measure, "smallest": int(size)}
                rows += estimate_rows(part, measures, found, name="variable", replicates=replicates)
    order = ["label", "level", "group", "reference", "configuration", "variable", "measure", *ESTIMATE, "smallest"]
    return pd.DataFrame(rows, columns=order)


def _joined_levels(frame: pd.DataFrame, labels: Sequence[str]) -> pd.Series:
    """The level of every row, of several labels all of theirs in one; missing where a label says nothing."""
    known = ~np.any([frame[label].map(is_nothing).to_numpy(bool) for label in labels], axis=0)
    return pd.Series(
        [" / ".join(map(str, row)) for row in zip(*(frame[label] for label in labels), strict=True)],
        index=frame.index,
        dtype=object,
    ).where(known)


def _smaller_groups(frame: pd.DataFrame, level: pd.Series, reference: str, group: str) -> pd.Series:
    """Different images of the smaller group in every level that counts, the most first."""
    count = frame.assign(level=level).groupby(["level", "group"])["image"].nunique().unstack(fill_value=0)
    smaller = count.reindex(columns=[reference, group], fill_value=0).min(axis=1)
    return smaller[smaller >= FEWEST].sort_values(ascending=False)


def _plain(x: Array, group: np.ndarray, level: np.ndarray, weights: Array) -> Array:
    if group.all() or not group.any():
        return np.full(len(weights), np.nan)
    return log_ratio(x, group, weights)


def _adjusted(x: Array, group: np.ndarray, level: np.ndarray, weights: Array) -> Array:
    total, size = np.zeros(len(weights)), np.zeros(len(weights))
    for name in np.unique(level):
        here = level == name
        n, m = (weights[:, here & part].sum(axis=1) for part in (group, ~group))
        # A replicate that drew one of the groups only says nothing of this level.
        both = (n > 0) & (m > 0)
        if both.any():
            share = n[both] * m[both] / (n[both] + m[both])
            total[both] += share * log_ratio(x[here], group[here], weights[both][:, here])
            size[both] += share
    return np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)
