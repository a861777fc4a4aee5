"""Small datasets of the shape of the aggregated stores, with effects that are known because they are put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from sluguq.analysis.making import make_table
from sluguq.figures import FIGURES
from sluguq.figures.drawing import draw
from sluguq.stores.store import write_store
from sluguq.stores.variables import described

GROUPS = {"light": [1, 2], "dark": [5, 6]}
CONFIGURATIONS = {"A": {"light": 1.0}, "B": {"light": 0.5, "dark": 0.5}, "C": {"dark": 1.0}}
# Mean error by configuration and group, as the papers describe it.
ERRORS = {
    "A": {"light": 0.010, "dark": 0.030},
    "B": {"light": 0.012, "dark": 0.018},
    "C": {"light": 0.022, "dark": 0.024},
}


def aggregated(
    *,
    errors: dict[str, dict[str, float]] = ERRORS,
    groups: dict[str, list[int]] = GROUPS,
    configurations: dict[str, dict[str, float]] = CONFIGURATIONS,
    seeds: int = 3,
    tested: int = 20,
    pool: int = 40,
    size: int = 16,
    exponent: float = 1.0,
    noise: float = 0.2,
    latent_gap: float = 0.0,
    role: str = "training",
    synthetic: int = 1,
    patients: bool = True,
    maps: bool = True,
    unlabelled: int = 0,
    key: int = 0,
) -> xr.Dataset:
    """An aggregated store: `tested` of `pool` images of every group in each seed's test set.

    errors: mean squared error by configuration and group. exponent, noise: SLUG is the error to the power
    `exponent` times a log-normal factor of this spread. latent_gap: shift of the latent standard deviation
    of the last group, in its own standard deviations. An external set (`role="external"`) has every image
    in every seed.
    """
    rng = np.random.default_rng(key)
    names = list(groups)
    group = np.concatenate([np.repeat(names, pool), np.repeat("", unlabelled)])
    fst = np.concatenate([np.resize(groups[g], pool) for g in names] + [np.full(unlabelled, -1)]).astype(np.int8)
    count = len(group)
    shape = (len(configurations), seeds, count)
    inside = np.zeros(shape[1:], bool)
    for seed in range(seeds):
        for name in names:
            chosen = np.flatnonzero(group == name)
            inside[seed, chosen if role == "external" else rng.choice(chosen, tested, replace=False)] = True
        inside[seed, group == ""] = role == "external"
    difficulty = rng.normal(0, 0.3, count)
    level = np.array([[errors[c].get(g, 0.02) for g in group] for c in configurations])
    drift = rng.normal(0, 0.02, (*shape[:2], 1))
    mse = level[:, None] * np.exp(difficulty + drift + rng.normal(0, 0.05, shape))
    slug = 1e5 * mse**exponent * np.exp(rng.normal(0, noise, shape))
    latent = 0.5 + 0.05 * (rng.normal(size=shape) + latent_gap * (group == names[-1]))

    def seen(values: np.ndarray) -> np.ndarray:
        return np.where(inside[None], values, np.nan)

    per_model = ("configuration", "seed", "image")
    pixels = _pixels(rng, fst, size)
    variables: dict[str, tuple] = {
        "mse": (per_model, seen(mse)),
        "latent_std": (per_model, seen(latent)),
        "kl": (per_model, seen(100 + 10 * difficulty + rng.normal(0, 5, shape))),
        "slug": (per_model, seen(slug)),
        "slug_sem": (per_model, seen(0.05 * slug)),
        "jacobian_norm": (per_model, seen(4 * slug * np.exp(rng.normal(0, 0.4, shape)))),
        "jacobian_norm_sem": (per_model, seen(0.1 * slug)),
        "fst": ("image", fst),
        "group": ("image", group.astype(object)),
        "patient": (
            "image",
            np.array([f"patient{i // 2}" if patients else "" for i in range(count)], dtype=object),
        ),
        "duplicate_group": ("image", np.full(count, "", dtype=object)),
        "sha256": ("image", np.array([f"{i:064x}" for i in range(count)], dtype=object)),
        "total_variation": ("image", np.exp(difficulty + rng.normal(0, 0.3, count))),
        "compressed_size": ("image", (1000 * np.exp(difficulty)).astype(np.int64)),
        "label_site": ("image", rng.choice(["arm", "face", ""], count).astype(object)),
        "label_ruler": ("image", rng.choice([0.0, 1.0, np.nan], count)),
        "pixels": (("image", "y", "x", "channel"), pixels),
    }
    if maps:
        reconstruction = np.clip(pixels[None, None] + rng.normal(0, 8, (*shape, size, size, 3)), 0, 255)
        difference = (reconstruction / 127.5 - pixels / 127.5) ** 2
        grain = np.exp(rng.normal(0, 0.5, (*shape, size, size)))
        per_pixel = (*per_model, "y", "x")
        variables |= {
            "error_map": (per_pixel, seen(difference.sum(-1).transpose(3, 4, 0, 1, 2)).transpose(2, 3, 4, 0, 1)),
            "slug_map": (
                per_pixel,
                seen((grain / grain.sum((-2, -1), keepdims=True) * slug[..., None, None]).transpose(3, 4, 0, 1, 2))
                .transpose(2, 3, 4, 0, 1)
                .astype(np.float32),
            ),
            "reconstruction": ((*per_pixel, "channel"), reconstruction.astype(np.uint8)),
        }
        several = inside.sum(axis=0) > 1
        variance = np.where(several, rng.gamma(4, 0.001, (shape[0], count)), np.nan)
        variables["ensemble_variance"] = (("configuration", "image"), variance)
    return xr.Dataset(
        variables,
        coords={
            "configuration": np.array(list(configurations), dtype=object),
            "seed": np.arange(seeds),
            "image": np.arange(count),
            "id": ("image", np.array([f"image-{i:04d}" for i in range(count)], dtype=object)),
        },
        attrs={
            "experiment": "stand-in",
            "dataset": "phantom" if role == "training" else "elsewhere",
            "role": role,
            "synthetic": synthetic,
            "groups": json.dumps(groups),
            "title": "a stand-in",
            "source": "simulated",
            "configuration": yaml.safe_dump(
                {"experiment": "stand-in", "groups": groups, "configurations": configurations}, sort_keys=False
            ),
        },
    )


def saved(stores: dict[str, xr.Dataset], folder: Path) -> dict[str, Path]:
    """Stores written as ``<name>.zarr`` into a folder, as the workflow would; their paths by name."""
    paths = {name: folder / f"{name}.zarr" for name in stores}
    for name, store in stores.items():
        for variable in store.variables.values():
            variable.attrs = described("what it is", "test")
        write_store(store, paths[name], title="a store", source="test", configuration=store.attrs["configuration"])
    return paths


def with_artefacts(
    *,
    kinds: tuple[str, ...] = ("ruler", "ink", "patch"),
    configurations: tuple[str, ...] = ("A", "B", "C"),
    seeds: int = 3,
    images: int = 12,
    size: int = 16,
    slug_signal: float = 2.0,
    error_signal: float = 0.0,
    key: int = 0,
) -> xr.Dataset:
    """Images with a drawn artefact: the SLUG map is `slug_signal` and the error map `error_signal` standard
    deviations higher inside the artefact than outside, on a logarithmic scale."""
    rng = np.random.default_rng(key)
    group = np.repeat(list(GROUPS), images // 2)
    clean = [f"image-{i:04d}" for i in range(images)]
    all_kinds = ("", *kinds)
    count = images * len(all_kinds)
    mask = np.zeros((count, size, size), np.uint8)
    for i in range(images, count):
        top, left = rng.integers(0, size - 5, 2)
        mask[i, top : top + 4, left : left + 5] = 1
    lesion = np.zeros_like(mask)
    lesion[:, size // 2 - 2 : size // 2 + 2, size // 2 - 2 : size // 2 + 2] = 1
    shape = (len(configurations), seeds, count)
    drift = rng.normal(0, 0.2, (*shape, 1, 1))

    def grid(signal: float) -> np.ndarray:
        field = rng.normal(size=(*shape, size, size)) + signal * mask + 0.3 * signal * lesion * (1 - mask)
        return np.exp(field + drift).astype(np.float32)

    fst = np.tile([GROUPS[g][0] for g in group], len(all_kinds)).astype(np.int8)
    pixels = _pixels(rng, fst, size)
    pixels[mask > 0] = 255
    slug_map, error_map = grid(slug_signal), grid(error_signal) / 1000
    per_pixel = ("configuration", "seed", "image", "y", "x")
    return xr.Dataset(
        {
            "mse": (per_pixel[:3], error_map.mean((-2, -1)) / 3),
            "latent_std": (per_pixel[:3], rng.normal(0.5, 0.05, shape)),
            "slug": (per_pixel[:3], slug_map.sum((-2, -1))),
            "slug_map": (per_pixel, slug_map),
            "error_map": (per_pixel, error_map),
            "reconstruction": ((*per_pixel, "channel"), np.broadcast_to(pixels, (*shape[:2], *pixels.shape)).copy()),
            "pixels": (("image", "y", "x", "channel"), pixels),
            "artefact_mask": (("image", "y", "x"), mask),
            "lesion_mask": (("image", "y", "x"), lesion),
            "artefact": ("image", np.repeat(all_kinds, images).astype(object)),
            "clean_image": ("image", np.array(clean * len(all_kinds), dtype=object)),
            "group": ("image", np.tile(group, len(all_kinds)).astype(object)),
            "fst": ("image", fst),
            "patient": (
                "image",
                np.array([f"patient{i // 2}" for i in range(images)] * len(all_kinds), dtype=object),
            ),
            "duplicate_group": ("image", np.full(count, "", dtype=object)),
        },
        coords={
            "configuration": np.array(configurations, dtype=object),
            "seed": np.arange(seeds),
            "image": np.arange(count),
            "id": ("image", np.array([f"{c}--{k}" if k else c for k in all_kinds for c in clean], dtype=object)),
        },
        attrs={
            "experiment": "stand-in",
            "dataset": "artefacts",
            "role": "artefacts",
            "synthetic": 1,
            "groups": json.dumps(GROUPS),
            "configuration": yaml.safe_dump({"groups": GROUPS, "configurations": CONFIGURATIONS}),
        },
    )


def models(*, seeds: int = 3, epochs: int = 10, rank: int = 8, size: int = 16, key: int = 0) -> xr.Dataset:
    """A store of trained models: loss terms, eigenvalues, residuals, samples from the prior and snapshots of training.

    The error of the snapshots falls from the first to the last by construction. Light skin lies about 50 degrees (ITA),
    dark skin about -30; half of the training images of B are of each, and its samples lie between.
    """
    rng = np.random.default_rng(key)
    shape = (len(CONFIGURATIONS), seeds, epochs)
    decay = np.exp(-np.arange(epochs) / 3)
    terms = {
        name: (("configuration", "seed", "epoch"), scale * (0.1 + decay) * np.exp(rng.normal(0, 0.1, shape)))
        for name, scale in {"loss": 3.0, "mse": 1.0, "kl": 0.5, "perceptual": 1.5}.items()
    }
    spectrum = 1e4 * np.exp(-np.arange(rank)) * np.exp(rng.normal(0, 0.1, (*shape[:2], 1)))
    picture = ("y", "x", "channel")
    # Three images, the same for every configuration, whose reconstructions come out of a grey.
    shown = np.broadcast_to(_pixels(rng, np.array([1, 3, 6]), size), (len(CONFIGURATIONS), seeds, 3, size, size, 3))
    kept = np.array([1, 3, epochs])
    share = (kept / epochs)[:, None, None, None, None]
    snapshots = np.rint(share * shown[:, :, None] + (1 - share) * 128).astype(np.uint8)
    dark = np.stack([np.arange(12) < 12 * mix.get("dark", 0.0) for mix in CONFIGURATIONS.values()])[:, None]
    training_ita = rng.normal(np.where(dark, -30, 50), 8, (len(CONFIGURATIONS), seeds, 12))
    centre = np.array([50, 10, -30])[:, None, None]
    return xr.Dataset(
        {
            **terms,
            "shown": (("configuration", "seed", "shown_image", *picture), shown),
            "snapshots": (("configuration", "seed", "snapshot", "shown_image", *picture), snapshots),
            "snapshot_epoch": (
                ("configuration", "seed", "snapshot"),
                np.broadcast_to(kept, (len(CONFIGURATIONS), seeds, len(kept))),
            ),
            "eigenvalues": (("configuration", "seed", "rank"), spectrum),
            "residuals": (("configuration", "seed", "rank"), 1e-4 * spectrum),
            "training_ita": (("configuration", "seed", "training_image"), training_ita),
            "training_fst": (
                ("configuration", "seed", "training_image"),
                np.broadcast_to(np.where(dark, 5, 2), training_ita.shape).astype(np.int8),
            ),
            "sample_ita": (
                ("configuration", "seed", "sample"),
                rng.normal(centre, 8, (len(CONFIGURATIONS), seeds, 4)),
            ),
            "samples": (
                ("configuration", "seed", "sample", "y", "x", "channel"),
                _pixels(rng, np.full(len(CONFIGURATIONS) * seeds * 4, 3), size).reshape(3, seeds, 4, size, size, 3),
            ),
        },
        coords={
            "configuration": np.array(list(CONFIGURATIONS), dtype=object),
            "seed": np.arange(seeds),
            "epoch": np.arange(1, epochs + 1),
        },
        attrs={"experiment": "stand-in", "synthetic": 1, "groups": json.dumps(GROUPS)},
    )


def tables(name: str, store: xr.Dataset | None, replicates: int = 60) -> dict[str, pd.DataFrame]:
    """The tables that a figure is drawn from, of a stand-in."""
    if store is None:
        return {}
    return {table: make_table(table, store, replicates) for table in FIGURES[name].tables}


def draw_of(name: str, store: xr.Dataset | None = None, *, models: xr.Dataset | None = None, **given: Any) -> Any:
    """`sluguq.figures.drawing.draw` with the tables of the stand-in."""
    own = models if FIGURES[name].needs == "models" else store
    return draw(name, store, models=models, tables=tables(name, own), **given)


def _pixels(rng: np.random.Generator, fst: np.ndarray, size: int) -> np.ndarray:
    """Flat skin with a darker disc, uint8 (images, size, size, 3)."""
    light = np.array([240, 210, 190]) - 28 * (np.abs(fst.astype(int))[:, None] - 1)
    y, x = np.mgrid[:size, :size] - size / 2
    disc = (y**2 + x**2 < (size / 5) ** 2)[None, ..., None]
    image = light[:, None, None] * np.where(disc, 0.6, 1.0) + rng.normal(0, 4, (len(fst), size, size, 1))
    return np.clip(image, 0, 255).astype(np.uint8)
