"""What the scalar signals know besides the size of the error: gaps between groups, who is flagged, labels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import label_values
from sluguq.analysis.estimates import over_seeds
from sluguq.analysis.fairness import SHARE, flag_measures
from sluguq.analysis.given import takes_results
from sluguq.analysis.labelled_images import ordered_flags
from sluguq.analysis.signals import ENSEMBLE, comparable_signals
from sluguq.analysis.statistics import Array, auroc, cliffs_delta
from sluguq.analysis.tables import (
    ESTIMATE,
    REPLICATES,
    Measure,
    against_lightest,
    as_one,
    estimate_fields,
    estimate_rows,
    grouped,
    per_image,
)

_SIGNALS = ("configuration", "signal", "group", "reference", "test", *ESTIMATE)


@takes_results
def signals_by_group(dataset: xr.Dataset, share: float = SHARE, replicates: int = REPLICATES) -> pd.DataFrame:
    """Does each signal see the groups as the error does? The error itself (`mse`) and every comparable signal.

    Columns: configuration, signal, group, reference, test, value, low, high, seeds, undefined, images, clusters. Tests,
    by configuration: `cliffs_delta` of each group against the lightest, the `reference`; of every group `flagged`, the
    share of its images among the highest `share` of the signal, and `caught`, the share of its errors among the worst
    `share` of all that are flagged. Over configurations (configuration empty): `same_sign`, the share of configurations
    in which the gap has the sign that it has in the error; `same_order`, the share of pairs of configurations that the
    gaps of the signal order as those of the error do, ties counted half. An ensemble is one for all seeds (see
    `sluguq.analysis.signals.compare_signals`). No rows where fewer than two groups have scores.

    :param dataset: an opened aggregated store.
    :param share: of the images that is flagged, 0 to 1.
    :param replicates: of the bootstrap behind every interval.
    """
    signals = ["mse", *comparable_signals(dataset)]
    frame = per_image(dataset, signals)
    names = grouped(frame, dataset)
    if len(names) < 2:
        return pd.DataFrame(columns=list(_SIGNALS))
    frame = frame[frame["group"].isin(names)]
    rows: list[dict[str, Any]] = []
    for signal, group in itertools.product(signals, names):
        measures = flag_measures(signal, share, signal == ENSEMBLE)
        key = {"signal": signal, "group": group, "reference": ""}
        rows += estimate_rows(
            frame.assign(inside=frame["group"] == group), measures, key, name="test", replicates=replicates
        )
    for signal, (group, pair) in itertools.product(signals, list(against_lightest(frame, names))):
        key = {"signal": signal, "group": group, "reference": names[0]}
        delta = Measure(cliffs_delta, {"x": signal, "group": "inside"}, "delta", pooled=signal == ENSEMBLE)
        rows += estimate_rows(pair, {"cliffs_delta": delta}, key, name="test", replicates=replicates)
        rows += [{**key, "configuration": "", **row} for row in _over_configurations(pair, signal, replicates)]
    return pd.DataFrame(rows, columns=list(_SIGNALS))


def _over_configurations(pair: pd.DataFrame, signal: str, replicates: int) -> list[dict[str, Any]]:
    """`same_sign` and `same_order` of a signal over the images that all configurations scored."""
    seeds, clusters = _all_configurations(pair, signal)
    rows = []
    for test, statistic in (("same_sign", _same_sign), ("same_order", _same_order)):
        if not seeds or (test == "same_order" and seeds[0]["x"].shape[1] < 2):
            continue
        given, own, of = as_one(seeds, clusters, statistic) if signal == ENSEMBLE else (seeds, clusters, statistic)
        estimate = over_seeds(of, given, own, transform="share", replicates=replicates)
        lost = pair["seed"].nunique() - len(seeds)
        counted = estimate._replace(images=max(map(len, clusters)), undefined=estimate.undefined + lost)
        rows.append({"test": test, **estimate_fields(counted)})
    return rows


def _all_configurations(frame: pd.DataFrame, signal: str) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Of every seed the images that all configurations scored: x and y (images, configurations), group, clusters."""
    seeds, clusters = [], []
    names = list(dict.fromkeys(frame["configuration"]))
    for _, part in frame.groupby("seed", sort=True):
        tables = {
            n: part.pivot(index="image", columns="configuration", values=n).reindex(columns=names).astype(float)
            for n in dict.fromkeys(("mse", signal))
        }
        whole = np.isfinite(np.hstack([t.to_numpy() for t in tables.values()])).all(axis=1)
        if not whole.any():
            continue
        about = part.drop_duplicates("image").set_index("image").loc[tables["mse"].index[whole]]
        x, y = tables[signal].to_numpy()[whole], tables["mse"].to_numpy()[whole]
        seeds.append({"x": x, "y": y, "group": about["inside"].to_numpy(bool)})
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


@takes_results
def labels_by_signal(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """How well each signal of a whole image, and the error, tell images that carry a yes-or-no label from the rest.

    Columns: configuration, label, known_artefact (whether the label is of a known artefact; those come first), signal,
    value (AUROC), low, high, seeds, undefined, images, clusters, carrying (images with the label).

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    artefacts, others = ordered_flags(dataset)
    signals = ["mse", *comparable_signals(dataset)]
    frame = per_image(dataset, signals)
    measures = {
        signal: Measure(auroc, {"x": signal, "group": "carried"}, "share", pooled=signal == ENSEMBLE)
        for signal in signals
    }
    rows: list[dict[str, Any]] = []
    for label in (*artefacts, *others):
        carried = label_values(dataset, label)[frame["image"]]
        known = frame.assign(carried=carried == 1)[np.isfinite(carried)]
        key = {"label": label.removeprefix("label_"), "known_artefact": label in artefacts}
        key["carrying"] = int((label_values(dataset, label) == 1).sum())
        rows += estimate_rows(known, measures, key, name="signal", replicates=replicates)
    return pd.DataFrame(rows, columns=["configuration", "label", "known_artefact", "signal", *ESTIMATE, "carrying"])
