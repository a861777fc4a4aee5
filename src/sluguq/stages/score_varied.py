"""Scores of one trained model under other ranks, probes and prior precisions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.networks.weights import load_network
from sluguq.slug.estimators import estimator_of
from sluguq.stages.basis_store import read_basis_store
from sluguq.stages.keys import ModelId
from sluguq.stages.score import score_images
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import open_store
from sluguq.stores.tables import read_split, write_table

COLUMNS = ("setting", "value", "configuration", "seed", "id", "mse", "slug", "slug_sem")


def score_varied(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    basis: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    model_id: ModelId,
    settings: Mapping[str, Any],
    varied: Mapping[str, Sequence[float]],
    per_group: int,
) -> None:
    """Score some test images under every value of every setting, one at a time; a csv with the columns ``COLUMNS``.

    Under another rank or prior precision the images see the probes of the model's own scores, so that a difference
    is the setting's. Each number of probes draws its own, independent of them: how well two such scores agree is how
    sure one is.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param weights: weights of the model.
    :param basis: its eigenbasis, cut to every rank.
    :param path: csv to write.
    :param model_id: which model.
    :param settings: the section ``score`` of the configuration.
    :param varied: values of ``rank``, ``probes`` and ``prior_precision``.
    :param per_group: test images of every group, evenly spaced through its test set.
    :raises ValueError: where rank or prior precision are to vary, but the basis is a sketch.
    """
    store = open_store(images)
    rows = some_tested(store, split, per_group)
    positions = np.searchsorted(np.unique(rows_of_role(store, split, "test_*")), rows)
    pixels, ids = read_rows(store["pixels"], rows), store["id"].values[rows]
    network, vectors = load_network(Path(weights)), read_basis_store(basis)
    frames = []
    for setting, values in varied.items():
        for value in values:
            cut_basis = vectors
            own = {**settings, "maps": False}
            key = model_id.key("probes")
            if setting == "rank":
                cut_basis = cut(vectors, int(value))
            elif setting == "probes":
                own |= {"probes": int(value), "tolerance": None, "accuracy": None}
                key = model_id.key(f"{int(value)} probes")
            else:
                own[setting] = value
            scores = score_images(network, cut_basis, pixels, key=key, positions=positions, **own)
            print(f"{setting} {value:g}: mean SLUG {scores['slug'].mean():.4g}")
            fixed = {"setting": setting, "value": value, **model_id._asdict()}
            frames.append(pd.DataFrame({**fixed, "id": ids, **{name: scores[name] for name in COLUMNS[-3:]}}))
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    write_table(path, table, sealed=False)


def cut(basis: Any, rank: int) -> Any:
    """The leading ``rank`` pairs of a basis without a copy; None, no projection, for rank 0.

    :param basis: of any estimator.
    :param rank: how many pairs stay.
    :raises ValueError: where the basis cannot be cut, or has fewer pairs.
    """
    return None if rank == 0 else estimator_of(basis).truncated(basis, rank)


def some_tested(store: xr.Dataset, split: str | os.PathLike[str], per_group: int) -> np.ndarray:
    """Rows of at most `per_group` test images of every group, evenly spaced through its test set, rising.

    :param store: prepared images.
    :param split: the seed's split.
    :param per_group: at most.
    """
    roles = read_split(split)["role"]
    parts = []
    for role in sorted(role for role in roles.unique() if role.startswith("test_")):
        members = rows_of_role(store, split, role)
        parts.append(members[np.linspace(0, len(members) - 1, min(per_group, len(members))).round().astype(int)])
    return np.unique(np.concatenate(parts))
