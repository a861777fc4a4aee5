"""Whose skin does a model paint? The skin tone of prior samples against that of the training images.

Both are angles (ITA) of a picture's median colour, as the store of models keeps them. The training images are the
whole of what a model learnt from, so they are taken as fixed; intervals are over seeds and samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sluguq.analysis.aggregated import groups_of
from sluguq.analysis.estimates import Transform, over_seeds
from sluguq.analysis.statistics import mean
from sluguq.analysis.tables import ESTIMATE, REPLICATES, estimate_fields
from sluguq.images.skin_colour import ITA_CLASSES, ita_class
from sluguq.machine.streams import plain_stream

Array = NDArray[np.float64]

SAMPLES = "prior samples"
TRAINING = "training images"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


_TRANSFORMS: dict[str, Transform] = {"wasserstein": "log", "share": "share", "share_difference": "delta"}


def tone_comparison(models: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Prior samples against training images, by configuration: what differs, with 95 % intervals.

    Columns configuration, measure, group, value, low, high, seeds, images (samples of a seed), clusters. `group` is
    empty where all training images are meant. Measures:

    - `mean_difference`, degrees: mean of the samples less that of the training images (of the group). Above 0 the
      samples are lighter. (A mean, since a mix of groups has two peaks, between which a median jumps.)
    - `wasserstein`, degrees: area between the two distribution functions, the mean distance by which the one would
      have to be moved to become the other. `wasserstein_chance`: its mean for as many training images drawn at
      random in place of the samples, which is what sampling alone gives.
    - `share`: share of samples nearest in tone to this group, `share_training` that of the training images, and
      `share_difference` the first less the second. Nearest to which group's median, over the training images of all
      configurations of the seed; left out where fewer than two groups were trained on.

    :param models: the opened store of models.
    :param replicates: of the bootstrap behind every interval.
    :raises ValueError: where the store has no tones.
    """
    for name in ("sample_ita", "training_ita", "training_fst"):
        if name not in models:
            raise ValueError(f"the store of models has no {name}")
    rows: list[dict[str, Any]] = []
    groups = groups_of(models)
    worlds = [_seed(models.isel(seed=place), groups) for place in range(models.sizes["seed"])]
    for configuration in models["configuration"].values.astype(str):
        seeds = [world[configuration] for world in worlds]
        for group, measure, statistic, columns in _questions(seeds, list(groups)):
            clusters = _apart([len(seed["samples"]) for seed in seeds])
            transform = _TRANSFORMS.get(measure, "identity")
            fields = estimate_fields(
                over_seeds(statistic, columns, clusters, transform=transform, replicates=replicates)
            )
            rows.append({"configuration": configuration, "measure": measure, "group": group, **fields})
    return pd.DataFrame(rows, columns=["configuration", "measure", "group", *ESTIMATE])


def tone_quantiles(models: xr.Dataset) -> pd.DataFrame:
    """Distribution of the angle by configuration and seed: of samples, training images and each group of these.

    Columns configuration, seed, of, group, n, then `ita_05`, ... `ita_95` in degrees, and the share in each class of
    skin colour, `very light` to `dark` (`sluguq.images.skin_colour.ITA_CLASSES`).

    :param models: the opened store of models.
    """
    rows = []
    for place, seed in enumerate(models["seed"].values):
        for configuration, world in _seed(models.isel(seed=place), groups_of(models)).items():
            parts = [(SAMPLES, "", world["samples"]), (TRAINING, "", world["training"])]
            parts += [(TRAINING, group, values) for group, values in world["by_group"].items()]
            for of, group, values in parts:
                found = [ita_class(value) for value in values]
                rows.append(
                    {
                        "configuration": configuration,
                        "seed": seed,
                        "of": of,
                        "group": group,
                        "n": len(values),
                        **{f"ita_{100 * q:02.0f}": float(np.quantile(values, q)) for q in QUANTILES},
                        **{name: found.count(name) / len(found) for name, _ in ITA_CLASSES},
                    }
                )
    return pd.DataFrame(rows)


def tones(models: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """`tone_comparison` and, seed by seed, `tone_quantiles` in the same columns.

    Columns: configuration, seed (-1 over seeds), of, group, measure, value, low, high, seeds, undefined, images,
    clusters, n (samples or images of the row). No rows where the store has no samples.

    :param models: the opened store of models.
    :param replicates: of the bootstrap behind every interval.
    """
    columns = ["configuration", "seed", "of", "group", "measure", *ESTIMATE, "n"]
    if "sample_ita" not in models or not models.sizes.get("sample"):
        return pd.DataFrame(columns=columns)
    compared = tone_comparison(models, replicates)
    over = compared.assign(seed=-1, of=SAMPLES, n=compared["images"])
    single = tone_quantiles(models).melt(["configuration", "seed", "of", "group", "n"], var_name="measure")
    return pd.concat([over, single], ignore_index=True).reindex(columns=columns)


def _seed(models: xr.Dataset, groups: Mapping[str, list[int]]) -> dict[str, dict[str, Any]]:
    """Of one seed, by configuration: angles of samples and training images, and which group each is nearest to."""
    names = models["configuration"].values.astype(str)
    training = models["training_ita"].transpose("configuration", "training_image").values
    types = models["training_fst"].transpose("configuration", "training_image").values
    drawn = models["sample_ita"].transpose("configuration", "sample").values
    present = {g: np.isin(types, groups[g]) & np.isfinite(training) for g in groups}
    centres = {g: float(np.median(training[chosen])) for g, chosen in present.items() if chosen.any()}
    out = {}
    for c, name in enumerate(names):
        kept = training[c][np.isfinite(training[c])]
        out[name] = {
            "samples": drawn[c],
            "training": kept,
            "by_group": {g: training[c][present[g][c]] for g in groups if present[g][c].any()},
            "nearest": {g: (_nearest(drawn[c], centres, g), _nearest(kept, centres, g)) for g in centres},
        }
    return out


def _nearest(values: Array, centres: Mapping[str, float], group: str) -> Array:
    """1 where a value is nearer to the group's centre than to any other's, else 0."""
    names = list(centres)
    distance = np.abs(values[:, None] - np.array([centres[name] for name in names]))
    return (distance.argmin(axis=1) == names.index(group)).astype(np.float64)


def _questions(seeds: list[dict[str, Any]], groups: list[str]) -> list[tuple]:
    """(group, measure, statistic, columns by seed) of one configuration."""
    asked: list[tuple] = []
    references = {"": [seed["training"] for seed in seeds]}
    references |= {g: [seed["by_group"][g] for seed in seeds] for g in groups if all(g in s["by_group"] for s in seeds)}
    for group, known in references.items():
        columns = [{"x": s["samples"], "reference": reference} for s, reference in zip(seeds, known, strict=True)]
        asked.append((group, "mean_difference", _mean_difference, columns))
        asked.append((group, "wasserstein", wasserstein, columns))
    asked.append(("", "wasserstein_chance", _constant, [{"x": _chance(seed)} for seed in seeds]))
    for group in groups:
        if not all(group in seed["nearest"] and len(seed["nearest"]) > 1 for seed in seeds):
            continue
        both = [seed["nearest"][group] for seed in seeds]
        asked.append((group, "share", mean, [{"x": samples} for samples, _ in both]))
        asked.append((group, "share_training", _constant, [{"x": trained} for _, trained in both]))
        columns = [{"x": samples, "reference": trained} for samples, trained in both]
        asked.append((group, "share_difference", _mean_difference, columns))
    return asked


def _chance(seed: Mapping[str, Any], draws: int = 200) -> Array:
    """Distances to the training images of as many of them, drawn at random with replacement, as there are samples."""
    known = seed["training"]
    uniform = np.full(len(known), 1 / len(known))
    counts = plain_stream().multinomial(len(seed["samples"]), uniform, size=draws)
    return wasserstein(known, known, counts.astype(np.float64))


def _apart(counts: list[int]) -> list[NDArray[np.int64]]:
    """Every sample a cluster of its own: seeds draw different ones."""
    ends = np.cumsum(counts)
    return [np.arange(end - count, end) for count, end in zip(counts, ends, strict=True)]


def _mean_difference(x: Array, reference: Array, weights: Array) -> Array:
    return mean(x, weights) - reference.mean()


def _constant(x: Array, weights: Array) -> Array:
    return np.full(len(weights), x.mean())


def wasserstein(x: Array, reference: Array, weights: Array) -> Array:
    """Area between the distribution functions of x, drawn `weights` (replicates, n) times, and of the reference.

    :param x: (n,).
    :param reference: (m,).
    :param weights: how often each of x is drawn, (replicates, n).
    """
    points = np.concatenate([x, reference])
    order = np.argsort(points, kind="stable")
    gaps = np.diff(points[order])
    drawn = np.concatenate([weights, np.zeros((len(weights), len(reference)))], axis=1)[:, order].cumsum(axis=1)
    known = np.concatenate([np.zeros(len(x)), np.ones(len(reference))])[order].cumsum() / len(reference)
    total = np.where(drawn[:, -1:] > 0, drawn[:, -1:], np.nan)
    return (np.abs(drawn / total - known)[:, :-1] * gaps).sum(axis=1)
