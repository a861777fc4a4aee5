"""Tidy tables from aggregated stores: one row per image and model, and what is counted from them.

An aggregated store has the dimensions configuration, seed, image; an image that was not in a seed's test set
is NaN there. The functions take an opened `xarray.Dataset` and read only the variables that they need, so
maps stay on disk.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import blocks_of, clusters_of, groups_of, labels_of
from sluguq.analysis.estimates import Estimate, Statistic, Transform, over_seeds
from sluguq.analysis.given import takes_results
from sluguq.analysis.statistics import Array
from sluguq.machine import extensions
from sluguq.stores.variables import RIVAL

SIGNALS = {
    "slug": "SLUG",
    "jacobian_norm": "‖J‖², no projection",
    "ensemble_variance": "ensemble variance over seeds",
    "latent_std": "latent standard deviation",
    "kl": "KL divergence",
    "total_variation": "total variation",
    "compressed_size": "compressed size",
}
"""Signals that may rank with the error, the dearest first, by their names for people."""
SIGNALS |= {name: added["long_name"] for name, added in extensions.SIGNALS.items()}


def signals_in(names: Iterable[object]) -> list[str]:
    """Those of these names that are signals, the dearest first: SLUG, its rivals of some weights, then the others.

    :param names: of variables, or of columns.
    """
    there = list(map(str, names))
    rivals = [name for name in there if name.startswith(RIVAL)]
    first, *others = SIGNALS
    return [name for name in (first, *rivals, *others) if name in there]


def signal_label(name: str) -> str:
    """A signal's name for people; that of the error is among them.

    :param name: of the variable.
    """
    if name.startswith(RIVAL):
        return f"SLUG, {name.removeprefix(RIVAL).replace('_', ' ')} alone"
    return COLUMN_LABELS.get(name, name)


COLUMN_LABELS = {"mse": "mean squared error", **SIGNALS}


REPLICATES = 1000
"""Bootstrap replicates behind every interval, where an experiment's configuration says nothing else."""

ESTIMATE = ("value", "low", "high", "seeds", "undefined", "images", "clusters")
"""The columns of a table that an estimate fills; `undefined` counts the seeds whose value is not known."""

NUMBERS = frozenset(
    {
        *ESTIMATE, "seed", "fst", "mse", "slug", "mse_clean", "slug_clean", "with_artefact", "without", "auroc",
        "average_precision", "passes", "prevalence", "removed", "carrying", "smallest", "n", "result", "tenth",
    }
)  # fmt: skip
"""Columns of numbers; of all others a configuration may be called 1, and a label's level NA."""

CLAIM_NUMBERS = frozenset(
    {"estimate", "low", "high", "images", "distinct_images", "patients", "units", "seeds", "p", "p_adjusted"}
)
"""Columns of numbers in the table of claims."""

FLAGS = ("worst", "known_artefact")
"""Columns that say yes or no."""


def estimate_fields(estimate: Estimate) -> dict[str, float]:
    """An estimate as the columns `ESTIMATE`.

    :param estimate: the estimate.
    """
    return {name: getattr(estimate, name) for name in ESTIMATE}


@takes_results
def per_image(dataset: xr.Dataset, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One row an image and model: configuration, seed, id, image, group, fst, cluster, and numbers.

    Rows without an error (image not in that seed's test set) are left out. `cluster` is the integer of the patient (see
    `clusters_of`); `block` that of the seed's training images, where seeds are trained on blocks of the pool.

    :param dataset: an opened aggregated store.
    :param columns: variables to take, by default mse and every signal and label that the dataset has; those without
        configuration and seed are repeated.
    """
    if columns is None:
        columns = ["mse", *signals_in(dataset.data_vars), *labels_of(dataset)]
    mse = dataset["mse"].transpose("configuration", "seed", "image").values
    c, s, i = np.nonzero(np.isfinite(mse))
    frame: dict[str, Any] = {
        "configuration": dataset["configuration"].values.astype(str)[c],
        "seed": dataset["seed"].values[s],
        "id": dataset["id"].values.astype(str)[i] if "id" in dataset.variables else i.astype(str),
        "image": i,
        "group": _strings(dataset, "group")[i],
        "fst": dataset["fst"].values[i] if "fst" in dataset else np.full(len(i), -1),
        "cluster": clusters_of(dataset)[i],
    }
    for name in columns:
        variable = dataset[name]
        if variable.dims == ("image",):
            frame[name] = variable.values[i]
        elif "seed" in variable.dims:
            frame[name] = variable.transpose("configuration", "seed", "image").values[c, s, i]
        else:
            frame[name] = variable.transpose("configuration", "image").values[c, i]
    return with_blocks(pd.DataFrame(frame), dataset)


def with_blocks(frame: pd.DataFrame, dataset: xr.Dataset) -> pd.DataFrame:
    """A table with a column seed, and the block of the pool that its seed was trained on, where there are blocks.

    :param frame: the table.
    :param dataset: an opened aggregated store.
    """
    blocks = blocks_of(dataset)
    if blocks is None:
        return frame
    of_seed = dict(zip(dataset["seed"].values.tolist(), blocks.tolist(), strict=True))
    return frame.assign(block=[of_seed[seed] for seed in frame["seed"].tolist()])


def _strings(dataset: xr.Dataset, name: str) -> np.ndarray:
    if name not in dataset:
        return np.full(dataset.sizes["image"], "", dtype=object)
    return dataset[name].values.astype(str).astype(object)


def by_seed(
    frame: pd.DataFrame, configuration: str, columns: Sequence[str], where: pd.Series | None = None
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    """Arrays and clusters of every seed, as `sluguq.analysis.estimates.over_seeds` takes them.

    Only rows with all columns finite count; a seed without such a row is left out.

    :param frame: from `per_image`.
    :param configuration: name of the configuration.
    :param columns: of numbers, or of groups.
    :param where: which rows count, with the index of `frame`; None for all.
    :returns: for every seed its arrays by column, and its clusters.
    """
    chosen = frame[frame["configuration"] == configuration]
    if where is not None:
        chosen = chosen[where.loc[chosen.index]]
    chosen = chosen.dropna(subset=[c for c in columns if chosen[c].dtype.kind == "f"])
    seeds, clusters = [], []
    for _, part in chosen.groupby("seed", sort=True):
        seeds.append({name: part[name].to_numpy() for name in columns})
        clusters.append(part["cluster"].to_numpy())
    return seeds, clusters


class Measure(NamedTuple):
    """A statistic of columns of a table with one row per image and model.

    statistic: called with an array an argument. columns: the table's column for each argument. transform, most: the
    range of its value. pooled: of the images of all seeds as one, since it is of one ensemble; no seeds are drawn.
    among: which images (images,) a share is of, where not of all; called like the statistic without weights.
    """

    statistic: Statistic
    columns: Mapping[str, str]
    transform: Transform = "identity"
    most: float = np.inf
    pooled: bool = False
    among: Callable[..., np.ndarray] | None = None


def estimate_rows(
    frame: pd.DataFrame,
    measures: Mapping[str, Measure],
    key: Mapping[str, object],
    *,
    name: str = "measure",
    replicates: int = REPLICATES,
) -> list[dict[str, Any]]:
    """One row per configuration and measure: `key`, configuration, the measure's name, and its estimate over seeds.

    A seed that the frame has under another configuration and not under this one counts as undefined. Nothing where a
    configuration has no row with all columns.

    :param frame: from `per_image`, rows that the measures are of.
    :param measures: by name.
    :param key: columns that are the same in every row.
    :param name: the column for the measure's name.
    :param replicates: of the bootstrap behind every interval.
    """
    expected = frame["seed"].nunique()
    rows = []
    for configuration in dict.fromkeys(frame["configuration"]):
        for measure, (statistic, columns, transform, most, pooled, among) in measures.items():
            wanted = [*columns.values(), *(["block"] if "block" in frame else [])]
            seeds, clusters = by_seed(frame, configuration, tuple(dict.fromkeys(wanted)))
            if not seeds:
                continue
            blocks = [int(s["block"][0]) for s in seeds] if "block" in frame and not pooled else None
            lost, largest = expected - len(seeds), max(map(len, clusters))
            given = [{argument: _numeric(s[column]) for argument, column in columns.items()} for s in seeds]
            units = None
            if among is not None:
                units = len(set(np.concatenate([c[among(**g)] for g, c in zip(given, clusters, strict=True)])))
            if pooled:
                given, clusters, statistic = as_one(given, clusters, statistic)
            estimate = over_seeds(
                statistic,
                given,
                clusters,
                transform=transform,
                replicates=replicates,
                most=most,
                units=units,
                blocks=blocks,
            )._replace(images=largest)
            estimate = estimate._replace(undefined=estimate.undefined + lost)
            rows.append({**key, "configuration": configuration, name: measure, **estimate_fields(estimate)})
    return rows


def _numeric(values: np.ndarray) -> np.ndarray:
    return values.astype(float) if values.dtype.kind in "iuf" else values


def as_one(
    seeds: list[dict[str, np.ndarray]], clusters: list[np.ndarray], statistic: Statistic
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray], Statistic]:
    """What an ensemble is tested by: it is one for all seeds, so its images are drawn, and no seeds.

    :param seeds: from `by_seed`.
    :param clusters: from `by_seed`.
    :param statistic: of one seed.
    :returns: one entry in place of the seeds', its clusters, and the statistic that averages `statistic` over their
        parts of it.
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


def grouped(frame: pd.DataFrame, dataset: xr.Dataset) -> list[str]:
    """The groups that have rows, from the lightest to the darkest.

    :param frame: with a column group.
    :param dataset: an opened aggregated store.
    """
    return [group for group in groups_of(dataset) if (frame["group"] == group).any()]


def against_lightest(frame: pd.DataFrame, groups: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every group but the first, with the rows of both and a column `inside`, true in the group.

    :param frame: with a column group.
    :param groups: from `grouped`.
    """
    for group in groups[1:]:
        pair = frame[frame["group"].isin([groups[0], group])]
        yield group, pair.assign(inside=pair["group"] == group)


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table as it was written: names stay text, also such that look like numbers or like nothing.

    :param path: csv.
    """
    header = pd.read_csv(path, nrows=0).columns
    texts = {name: str for name in header if name not in NUMBERS and name not in FLAGS}
    nothing = {name: [""] for name in header if name in NUMBERS}
    flags = {name: bool for name in header if name in FLAGS}
    return pd.read_csv(path, dtype={**texts, **flags}, keep_default_na=False, na_values=nothing)


def read_claims(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The table of claims as it was judged: words stay text, also a version in digits alone; what is empty is missing.

    :param path: csv.
    :raises FileNotFoundError: where the claims have not been judged.
    """
    header = pd.read_csv(path, nrows=0).columns
    texts = {name: str for name in header if name not in CLAIM_NUMBERS}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
