"""What the scalar signals know besides the size of the error: gaps between groups, who is flagged, labels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import groups_of, label_values
from sluguq.analysis.estimates import Estimate, over_seeds
from sluguq.analysis.labelled_images import ordered_flags
from sluguq.analysis.retention import caught_share, flagged_share
from sluguq.analysis.signals import ENSEMBLE, REPLICATES, comparable_signals, ensemble_as_one
from sluguq.analysis.statistics import Array, auroc, cliffs_delta
from sluguq.analysis.tables import ESTIMATE, by_seed, estimate_fields, per_image

_SIGNALS = ("configuration", "signal", "group", "reference", "test", *ESTIMATE)


def signals_by_group(dataset: xr.Dataset, share: float = 0.1, replicates: int = REPLICATES) -> pd.DataFrame:
    """Does each signal see the groups as the error does? The error itself (`mse`) and every comparable signal.

    Columns: configuration, signal, group, reference, test, value, low, high, seeds, images, clusters. Tests, by
    configuration: `cliffs_delta` of each group against the lightest, the `reference`; of every group `flagged`, the
    share of its images among the highest `share` of the signal, and `caught`, the share of its errors among the worst
    `share` of all that are flagged. Over configurations (configuration empty): `same_sign`, the share of configurations
    in which the gap has the sign that it has in the error; `same_order`, the share of pairs of configurations that the
    gaps of the signal order as those of the error do, ties counted half. An ensemble is one for all seeds (see
    `sluguq.analysis.signals.compare_signals`). No rows where fewer than two groups have scores.
    """
    signals = ["mse", *comparable_signals(dataset)]
    frame = per_image(dataset, signals)
    names = [g for g in groups_of(dataset) if (frame["group"] == g).any()]
    if len(names) < 2:
        return pd.DataFrame(columns=list(_SIGNALS))
    frame = frame[frame["group"].isin(names)]
    rows: list[dict[str, Any]] = []
    for signal in signals:
        columns = tuple(dict.fromkeys(("mse", signal, "group")))
        for configuration in dict.fromkeys(frame["configuration"]):
            seeds, clusters = by_seed(frame, configuration, columns)
            for group in names:
                tests: dict[str, tuple[Any, Any]] = {
                    "flagged": (_flagged(signal, group, share), "logit"),
                    "caught": (_caught(signal, group, share), "logit"),
                }
                if group != names[0]:
                    tests["cliffs_delta"] = (_gap(signal, group, names[0]), "fisher")
                for test, (statistic, transform) in tests.items():
                    estimate = _estimate(statistic, seeds, clusters, transform, signal == ENSEMBLE, replicates)
                    key = {"configuration": configuration, "signal": signal, "group": group, "test": test}
                    key["reference"] = names[0] if test == "cliffs_delta" else ""
                    rows.append({**key, **estimate_fields(estimate)})
        for group in names[1:]:
            seeds, clusters = _all_configurations(frame[frame["group"].isin([names[0], group])], signal, group)
            for test, statistic in (("same_sign", _same_sign), ("same_order", _same_order)):
                if not seeds or (test == "same_order" and seeds[0]["x"].shape[1] < 2):
                    continue
                estimate = _estimate(statistic, seeds, clusters, "logit", signal == ENSEMBLE, replicates)
                key = {"configuration": "", "signal": signal, "group": group, "reference": names[0], "test": test}
                rows.append({**key, **estimate_fields(estimate)})
    return pd.DataFrame(rows, columns=list(_SIGNALS))


def _estimate(statistic: Any, seeds: Any, clusters: Any, transform: Any, one: bool, replicates: int) -> Estimate:
    most = max(map(len, clusters))
    if one:
        seeds, clusters, statistic = ensemble_as_one(seeds, clusters, statistic)
    estimate = over_seeds(statistic, seeds, clusters, transform=transform, replicates=replicates)
    if transform == "logit":
        estimate = estimate._replace(low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))
    return estimate._replace(images=most)


def _flagged(signal: str, group: str, share: float) -> Any:
    def of(weights: Array, **columns: Any) -> Array:
        return flagged_share(columns[signal].astype(float), columns["group"] == group, weights, share)

    return of


def _caught(signal: str, group: str, share: float) -> Any:
    def of(weights: Array, **columns: Any) -> Array:
        inside = columns["group"] == group
        return caught_share(columns[signal].astype(float), columns["mse"], inside, weights, share)

    return of


def _gap(signal: str, group: str, reference: str) -> Any:
    def of(weights: Array, **columns: Any) -> Array:
        pair = np.isin(columns["group"], (group, reference))
        return cliffs_delta(columns[signal][pair].astype(float), columns["group"][pair] == group, weights[:, pair])

    return of


def _all_configurations(frame: pd.DataFrame, signal: str, group: str) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Of every seed the images that all configurations scored: x and y (images, configurations), group, clusters."""
    seeds, clusters = [], []
    for _, part in frame.groupby("seed", sort=True):
        tables = {
            n: part.pivot(index="image", columns="configuration", values=n).astype(float) for n in ("mse", signal)
        }
        whole = np.isfinite(np.hstack([t.to_numpy() for t in tables.values()])).all(axis=1)
        if not whole.any():
            continue
        about = part.drop_duplicates("image").set_index("image").loc[tables["mse"].index[whole]]
        x, y = tables[signal].to_numpy()[whole], tables["mse"].to_numpy()[whole]
        seeds.append({"x": x, "y": y, "group": about["group"].to_numpy() == group})
        clusters.append(about["cluster"].to_numpy())
    return seeds, clusters


def _gaps(x: Array, group: np.ndarray, weights: Array) -> Array:
    """Cliff's delta of every configuration, (replicates, configurations)."""
    return np.stack([cliffs_delta(column, group, weights) for column in x.T], axis=1)


def _same_sign(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
    return (np.sign(_gaps(x, group, weights)) == np.sign(_gaps(y, group, weights))).mean(axis=1)


def _same_order(x: Array, y: Array, group: np.ndarray, weights: Array) -> Array:
    of_signal, of_error = _gaps(x, group, weights), _gaps(y, group, weights)
    alike = [
        (1 + np.sign(of_signal[:, i] - of_signal[:, j]) * np.sign(of_error[:, i] - of_error[:, j])) / 2
        for i, j in itertools.combinations(range(x.shape[1]), 2)
    ]
    return np.mean(alike, axis=0)


def labels_by_signal(dataset: xr.Dataset, replicates: int = 80) -> pd.DataFrame:
    """How well each signal of a whole image, and the error, tell images that carry a yes-or-no label from the rest.

    Columns: configuration, label, artefact (whether the label is of a known artefact; those come first), signal, value
    (AUROC), low, high, seeds, images, clusters, carrying (images with the label).
    """
    artefacts, others = ordered_flags(dataset)
    signals = ["mse", *comparable_signals(dataset)]
    frame = per_image(dataset, signals)
    rows: list[dict[str, Any]] = []
    for label in (*artefacts, *others):
        carried = label_values(dataset, label)
        known = frame.assign(carried=carried[frame["image"]])
        for configuration in dict.fromkeys(frame["configuration"]):
            for signal in signals:
                seeds, clusters = by_seed(known, configuration, (signal, "carried"))
                if not seeds:
                    continue
                columns = [{"x": s[signal].astype(float), "group": s["carried"] == 1} for s in seeds]
                estimate = _estimate(auroc, columns, clusters, "logit", signal == ENSEMBLE, replicates)
                key = {"configuration": configuration, "label": label.removeprefix("label_")}
                key |= {"artefact": label in artefacts, "signal": signal}
                rows.append({**key, **estimate_fields(estimate), "carrying": int((carried == 1).sum())})
    return pd.DataFrame(rows, columns=["configuration", "label", "artefact", "signal", *ESTIMATE, "carrying"])
