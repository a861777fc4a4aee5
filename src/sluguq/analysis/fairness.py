"""Fairness beyond means: gaps with intervals and effect sizes, worst groups, quantiles, who is flagged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import groups_of, labels_of
from sluguq.analysis.estimates import over_seeds
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
from sluguq.analysis.tables import ESTIMATE, by_seed, estimate_fields, per_image

VARIABLES = ("mse", "latent_std", "slug")
QUANTILES = (0.5, 0.9, 0.99)
FEWEST = 10
"""Intersections with fewer images than this in all are not listed."""


def gaps(dataset: xr.Dataset, replicates: int = 500) -> pd.DataFrame:
    """Every group against the lightest, by variable and configuration.

    Columns: variable, configuration, group, reference, measure, value, low, high, seeds, images, clusters.
    Measures: `difference` of means, `log_ratio` of means, `cliffs_delta`, `standardised` difference.
    """
    frame = per_image(dataset, [v for v in VARIABLES if v in dataset])
    names = [g for g in groups_of(dataset) if (frame["group"] == g).any()]
    rows: list[dict[str, Any]] = []
    measures: dict[str, tuple[Any, Any]] = {
        "difference": (difference, "identity"),
        "log_ratio": (log_ratio, "identity"),
        "cliffs_delta": (cliffs_delta, "fisher"),
        "standardised": (standardised_difference, "identity"),
    }
    for variable in (v for v in VARIABLES if v in frame):
        for configuration in dict.fromkeys(frame["configuration"]):
            for group in names[1:]:
                pair = frame["group"].isin([names[0], group])
                seeds, clusters = by_seed(frame, configuration, (variable, "group"), pair)
                columns = [{"x": s[variable].astype(float), "group": s["group"] == group} for s in seeds]
                for measure, (statistic, transform) in measures.items():
                    estimate = over_seeds(statistic, columns, clusters, transform=transform, replicates=replicates)
                    rows.append(
                        {
                            "variable": variable,
                            "configuration": configuration,
                            "group": group,
                            "reference": names[0],
                            "measure": measure,
                            **estimate_fields(estimate),
                        }
                    )
    return pd.DataFrame(rows, columns=["variable", "configuration", "group", "reference", "measure", *ESTIMATE])


def levels(dataset: xr.Dataset, replicates: int = 500) -> pd.DataFrame:
    """Mean and quantiles of every variable by configuration and group, and which group is worst.

    Columns: variable, configuration, group, measure (`mean`, `q50`, `q90`, `q99`), value, low, high, seeds,
    images, clusters, worst (whether this group has the largest value of its configuration). None of the variables
    is ever negative; intervals are symmetric on a logarithmic scale, so they are positive too.
    """
    frame = per_image(dataset, [v for v in VARIABLES if v in dataset])
    names = [g for g in groups_of(dataset) if (frame["group"] == g).any()]
    measures: dict[str, Any] = {"mean": mean}
    for q in QUANTILES:
        measures[f"q{100 * q:.0f}"] = _quantile(q)
    rows: list[dict[str, Any]] = []
    for variable in (v for v in VARIABLES if v in frame):
        for configuration in dict.fromkeys(frame["configuration"]):
            for group in names:
                seeds, clusters = by_seed(frame, configuration, (variable,), frame["group"] == group)
                columns = [{"x": s[variable].astype(float)} for s in seeds]
                for measure, statistic in measures.items():
                    if columns:
                        estimate = over_seeds(statistic, columns, clusters, transform="log", replicates=replicates)
                        rows.append(
                            {
                                "variable": variable,
                                "configuration": configuration,
                                "group": group,
                                "measure": measure,
                                **estimate_fields(estimate),
                            }
                        )
    table = pd.DataFrame(rows, columns=["variable", "configuration", "group", "measure", *ESTIMATE])
    largest = table.groupby(["variable", "configuration", "measure"])["value"].transform("max")
    return table.assign(worst=table["value"] == largest)


def _quantile(q: float) -> Any:
    def of(x: Array, weights: Array) -> Array:
        return quantile(x, q, weights)

    return of


def flagging(dataset: xr.Dataset, share: float = 0.1, replicates: int = 500) -> pd.DataFrame:
    """Whose images are flagged when the highest `share` of SLUG is, and which of the worst errors are caught.

    Columns: configuration, group, measure, value, low, high, seeds, images, clusters. Measures: `flagged`,
    the share of the group's images that is flagged (`share` for each group if flags fell evenly); `worst`,
    the share of the group's images among the worst `share` of errors; `caught`, the share of the group's
    worst errors that is flagged. All thresholds are over the test images of all groups of one seed.
    """
    frame = per_image(dataset, ["mse", "slug"])
    names = [g for g in groups_of(dataset) if (frame["group"] == g).any()]
    rows: list[dict[str, Any]] = []
    for configuration in dict.fromkeys(frame["configuration"]):
        seeds, clusters = by_seed(frame, configuration, ("mse", "slug", "group"), frame["group"].isin(names))
        for group in names:
            columns = [
                {"error": s["mse"].astype(float), "score": s["slug"].astype(float), "group": s["group"] == group}
                for s in seeds
            ]
            for measure, statistic in (("flagged", _flagged), ("worst", _worst), ("caught", caught_share)):

                def of(weights: Array, statistic: Any = statistic, **columns: Any) -> Array:
                    return statistic(weights=weights, share=share, **columns)

                estimate = over_seeds(of, columns, clusters, transform="logit", replicates=replicates)
                bounded = estimate._replace(low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))
                rows.append(
                    {"configuration": configuration, "group": group, "measure": measure, **estimate_fields(bounded)}
                )
    return pd.DataFrame(rows)


def _flagged(error: Array, score: Array, group: np.ndarray, weights: Array, share: float) -> Array:
    return flagged_share(score, group, weights, share)


def _worst(error: Array, score: Array, group: np.ndarray, weights: Array, share: float) -> Array:
    return flagged_share(error, group, weights, share)


def intersections(dataset: xr.Dataset, replicates: int = 300) -> pd.DataFrame:
    """Mean error and SLUG of every group crossed with every value of every label (condition, body site).

    Columns: label, level, group, configuration, variable, value, low, high, seeds, images, clusters. Labels
    with more than 30 values and crossings with fewer than `FEWEST` images in all are left out.
    """
    frame = per_image(dataset, ["mse", "slug", *labels_of(dataset)])
    names = [g for g in groups_of(dataset) if (frame["group"] == g).any()]
    rows: list[dict[str, Any]] = []
    for label in labels_of(dataset):
        known = frame[label].notna() & ~frame[label].astype(str).isin(["", "nan"])
        levels_of = sorted(frame.loc[known, label].astype(str).unique())
        if not 1 < len(levels_of) <= 30:
            continue
        for level in levels_of:
            for group in names:
                chosen = (frame[label].astype(str) == level) & (frame["group"] == group)
                if frame.loc[chosen, "image"].nunique() < FEWEST:
                    continue
                for configuration in dict.fromkeys(frame["configuration"]):
                    for variable in ("mse", "slug"):
                        seeds, clusters = by_seed(frame, configuration, (variable,), chosen)
                        columns = [{"x": s[variable].astype(float)} for s in seeds]
                        if columns:
                            estimate = over_seeds(mean, columns, clusters, transform="log", replicates=replicates)
                            rows.append(
                                {
                                    "label": label.removeprefix("label_"),
                                    "level": level,
                                    "group": group,
                                    "configuration": configuration,
                                    "variable": variable,
                                    **estimate_fields(estimate),
                                }
                            )
    return pd.DataFrame(rows, columns=["label", "level", "group", "configuration", "variable", *ESTIMATE])


def gaps_within(dataset: xr.Dataset, replicates: int = 300) -> pd.DataFrame:
    """The gap between groups among images of one condition, or body site: is it the skin, or what is photographed?

    A level of a label counts where `FEWEST` different images of either group have it. Columns: label, level, group,
    reference, configuration, variable (`mse`, `slug`), measure, value, low, high, seeds, images, clusters, smallest
    (different images of the smaller group, in all seeds). value: logarithm of the ratio of means, group over the
    lightest group. Measures: `within`, in one level; and, over all levels that count (level empty), `all`, the plain
    gap of their images, and `adjusted`, the mean of the levels' gaps, each with the weight of nm/(n + m) images
    (Mantel and Haenszel, Journal of the National Cancer Institute 22, 1959).
    """
    labels = labels_of(dataset)
    frame = per_image(dataset, ["mse", "slug", *labels])
    names = [g for g in groups_of(dataset) if (frame["group"] == g).any()]
    rows: list[dict[str, Any]] = []
    for label, group in ((label, group) for label in labels for group in names[1:]):
        level = frame[label].astype(str).where(frame[label].notna(), "")
        pair = frame["group"].isin([names[0], group]) & ~level.isin(["", "nan"])
        count = frame[pair].groupby([level[pair], "group"])["image"].nunique().unstack(fill_value=0)
        smaller = count.reindex(columns=[names[0], group], fill_value=0).min(axis=1)
        smaller = smaller[smaller >= FEWEST].sort_values(ascending=False)
        if smaller.empty or level[pair].nunique() < 2:
            continue
        counted = frame.assign(level=level)[pair & level.isin(smaller.index)]
        key = {"label": label.removeprefix("label_"), "group": group, "reference": names[0]}
        for configuration in dict.fromkeys(frame["configuration"]):
            for variable in ("mse", "slug"):
                own = {**key, "configuration": configuration, "variable": variable}
                cases = [("", "all", counted), ("", "adjusted", counted)]
                cases += [(name, "within", counted[counted["level"] == name]) for name in smaller.index]
                for name, measure, part in cases:
                    seeds, clusters = by_seed(part, configuration, (variable, "group", "level"))
                    columns = [
                        {"x": s[variable].astype(float), "group": s["group"] == group, "level": s["level"]}
                        for s in seeds
                    ]
                    if not columns:
                        continue
                    statistic = _adjusted if measure == "adjusted" else _plain
                    estimate = over_seeds(statistic, columns, clusters, replicates=replicates)
                    size = int(smaller[name] if name else smaller.sum())
                    found = {**estimate_fields(estimate), "smallest": size}
                    rows.append({**own, "level": name, "measure": measure, **found})
    order = ["label", "level", "group", "reference", "configuration", "variable", "measure", *ESTIMATE, "smallest"]
    return pd.DataFrame(rows, columns=order)


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
