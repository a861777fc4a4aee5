"""Pictures that go with a network: what it draws of its own, and a few test images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from sluguq.networks.network import LatentNetwork, Network
from sluguq.networks.sampling import prior_samples
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import write_store
from sluguq.stores.variables import described

_SHOWN = 4


def shown_images(store: xr.Dataset, split: str | os.PathLike[str]) -> np.ndarray:
    """The same few test images for every configuration of a seed: evenly spaced through the test sets.

    :param store: prepared images.
    :param split: the seed's split.
    """
    members = rows_of_role(store, split, "test_*")
    rows = members[np.linspace(0, len(members) - 1, min(_SHOWN, len(members))).round().astype(int)]
    return read_rows(store["pixels"], rows)


def samples_of(network: Network, count: int, seed: int) -> np.ndarray | None:
    """Prior samples; None where none are asked for, or the network has no latent variable to draw.

    :param network: the network.
    :param count: how many.
    :param seed: of the draws.
    """
    if not count or not isinstance(network, LatentNetwork):
        return None
    return prior_samples(network, count, seed=seed)


def write_pictures(
    path: str | os.PathLike[str],
    store: xr.Dataset,
    shown: np.ndarray,
    samples: np.ndarray | None,
    snapshots: Mapping[int, Mapping[str, np.ndarray]],
    *,
    title: str,
    source: str,
    configuration: str,
    device: str,
) -> None:
    """Write the store of a network's pictures.

    :param path: store to write.
    :param store: prepared images that it was trained on.
    :param shown: test images, see :func:`shown_images`.
    :param samples: prior samples, or None.
    :param snapshots: by epoch, ``reconstruction`` of the shown images.
    :param title: of the store.
    :param source: likewise.
    :param configuration: what the network depends on, as YAML.
    :param device: in words.
    """
    pictures = _pictures(shown, samples, snapshots).assign_attrs(synthetic=int(store.attrs.get("synthetic", 0)))
    write_store(pictures, path, title=title, source=source, configuration=configuration, device=device)


def _pictures(
    shown: np.ndarray, samples: np.ndarray | None, snapshots: Mapping[int, Mapping[str, np.ndarray]]
) -> xr.Dataset:
    picture = ("y", "x", "channel")
    variables: dict[str, Any] = {
        "shown": (("shown_image", *picture), shown, described("test images shown during training", "split"))
    }
    if samples is not None:
        variables["samples"] = (
            ("sample", *picture),
            samples,
            described("images drawn from the prior", "decoder's mean at z ~ N(0, I)"),
        )
    if snapshots:
        epochs = sorted(snapshots)
        variables["snapshots"] = (
            ("snapshot", "shown_image", *picture),
            np.stack([snapshots[epoch]["reconstruction"] for epoch in epochs]),
            described("reconstructions during training", "decoder's mean at the encoder's mean"),
        )
        variables["snapshot_epoch"] = (
            "snapshot",
            np.array(epochs),
            described("epoch of the snapshot", "training", "1"),
        )
    return xr.Dataset(variables)
