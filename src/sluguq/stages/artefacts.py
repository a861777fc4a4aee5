"""Test images with artefacts drawn on them, whose masks are known exactly."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr

from sluguq.images.artefacts import draw
from sluguq.machine.streams import stream
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import open_store, write_store
from sluguq.stores.variables import IMAGE_COORDINATES, described

_SOURCE = "artefacts drawn by sluguq.images.artefacts on test images of the training data set"


def draw_artefacts(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    seed: int,
    groups: Sequence[str],
    per_group: int,
    kinds: Sequence[str],
) -> None:
    """Write a store like that of prepared images: chosen test images, each bare and with every kind of artefact.

    Variables beside those of prepared images (all but the checksum): ``artefact`` (kind, empty for the bare image),
    ``artefact_mask`` (image, y, x) and ``clean_image`` (id of the bare image).

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param path: store to write.
    :param seed: seed of the choice and of the artefacts.
    :param groups: groups whose test sets are chosen from.
    :param per_group: test images of each group; all where the test set is smaller.
    :param kinds: kinds of artefacts.
    """
    store = open_store(images)
    rng = stream(seed, "artefacts")
    parts = []
    for group in groups:
        members = rows_of_role(store, split, f"test_{group}")
        parts.append(np.sort(rng.choice(members, min(per_group, len(members)), replace=False)))
    rows = np.concatenate(parts)
    clean = read_rows(store["pixels"], rows)
    identity = store["id"].values[rows]
    variants = [
        (name, "", image, np.zeros(image.shape[:2], bool)) if not kind else
        (f"{name}--{kind}-s{seed}", kind, *draw(image, kind, seed=int(stream(seed, f"{kind} {name}").integers(2**31))))
        for name, image in zip(identity, clean, strict=True)
        for kind in ("", *kinds)
    ]  # fmt: skip
    ids, kind_of, pictures, masks = zip(*variants, strict=True)
    # Everything else that is known of an image holds for it with an artefact on it, too.
    repeated = np.repeat(rows, 1 + len(kinds))
    labels = {
        name: (store[name].dims, read_rows(store[name], repeated), store[name].attrs)
        for name in store.variables
        if store[name].dims[:1] == ("image",) and name not in ("pixels", "id", "sha256")
    }
    dataset = xr.Dataset(
        {
            **labels,
            "pixels": (
                ("image", "y", "x", "channel"),
                np.stack(pictures),
                described("intensity", "data set, with artefacts drawn on it"),
            ),
            "artefact_mask": (
                ("image", "y", "x"),
                np.stack(masks).astype("uint8"),
                described("1 where the artefact was drawn", _SOURCE),
            ),
            "artefact": (
                "image",
                np.array(kind_of, object),
                described("kind of the artefact, empty for none", _SOURCE),
            ),
            "clean_image": (
                "image",
                np.repeat(identity, 1 + len(kinds)),
                described("id of the image without artefact", _SOURCE),
            ),
            "id": ("image", np.array(ids, object), described("name of the image", "data set")),
        },
        attrs={"synthetic": int(store.attrs.get("synthetic", 0))},
    ).set_coords([name for name in IMAGE_COORDINATES if name in labels or name == "id"])
    write_store(dataset, path, title="Test images with artefacts drawn on them", source=_SOURCE)
