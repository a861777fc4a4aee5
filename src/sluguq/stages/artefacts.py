"""Test images with foreign objects drawn on them, whose masks are known exactly."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr

from sluguq.artefacts import draw
from sluguq.selection import read_rows, rows_of_role
from sluguq.stages.seeds import stream
from sluguq.store import FST_ATTRIBUTES, described, open_store, write_store

_SOURCE = "objects drawn by sluguq.artefacts on test images of the training data set"


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
    """Write a store like that of prepared images: chosen test images, each bare and with every kind of object.

    Variables beside those of prepared images: `artefact` (kind, empty for the bare image), `artefact_mask`
    (image, y, x) and `clean_image` (id of the bare image).

    Args:
        images: Prepared images of the training data set.
        split: The seed's split.
        path: Store to write.
        seed: Seed of the choice and of the objects.
        groups: Groups whose test sets are chosen from.
        per_group: Test images of each group; all where the test set is smaller.
        kinds: Kinds of objects.
    """
    store = open_store(images)
    rng = stream(seed, "artefacts")
    chosen = []
    for group in groups:
        tested = rows_of_role(store, split, f"test_{group}")
        chosen.append(np.sort(rng.choice(tested, min(per_group, len(tested)), replace=False)))
    rows = np.concatenate(chosen)
    clean = read_rows(store["pixels"], rows)
    identity = store["id"].values[rows]
    pixels, masks, ids, kind_of, origin, fst = [], [], [], [], [], []
    for number, (image, name) in enumerate(zip(clean, identity, strict=True)):
        drawn = [("", image, np.zeros(image.shape[:2], bool))]
        drawn += [
            (kind, *draw(image, kind, seed=int(stream(seed, f"{kind}-{number}").integers(2**31)))) for kind in kinds
        ]
        for kind, picture, mask in drawn:
            pixels.append(picture)
            masks.append(mask)
            ids.append(f"{name}--{kind}-s{seed}" if kind else str(name))
            kind_of.append(kind)
            origin.append(str(name))
            fst.append(int(store["fst"].values[rows[number]]))
    dataset = xr.Dataset(
        {
            "pixels": (
                ("image", "y", "x", "channel"),
                np.stack(pixels),
                described("intensity", "data set, with objects drawn on it", "1"),
            ),
            "artefact_mask": (
                ("image", "y", "x"),
                np.stack(masks).astype("uint8"),
                described("1 where the object was drawn", _SOURCE),
            ),
            "artefact": ("image", np.array(kind_of, object), described("kind of the object, empty for none", _SOURCE)),
            "clean_image": ("image", np.array(origin, object), described("id of the image without object", _SOURCE)),
        },
        coords={
            "id": ("image", np.array(ids, object), described("name of the image", "data set")),
            "fst": ("image", np.array(fst, "int8"), FST_ATTRIBUTES),
        },
        attrs={"synthetic": int(store.attrs.get("synthetic", 0))},
    )
    write_store(dataset, path, title="Test images with foreign objects drawn on them", source=_SOURCE)
