"""Simulated experiments whose truth is known: stores as `aggregate` leaves them, without pixels.

A pool has 15 times as many light, and 4.2 times as many dark images as one test set holds, two of each patient. The
logarithm of an image's error is the level of its group and configuration plus effects of patient, image, image under a
configuration, seed, seed and group, and a rest. Worlds: *true* (errors as in the SLUG paper, SLUG follows them),
*false* (the opposite of what both papers say), *null* (no effect anywhere) and *blind* (errors as in the paper, SLUG
pure noise).
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import xarray as xr
import yaml

GROUPS = {"light": [1, 2], "dark": [5, 6]}
CONFIGURATIONS = {"A": {"light": 1.0}, "B": {"light": 0.5, "dark": 0.5}, "C": {"dark": 1.0}}
POOL = {"light": 15.0, "dark": 4.2}


class World(NamedTuple):
    """Mean errors by configuration, light and dark; SLUG's exponent, and the spread of its logarithm besides.

    latent: by how many standard deviations the dark group's latent standard deviation is higher. true: the claims that
    hold in it, of those that can be asked without maps.
    """

    errors: dict[str, tuple[float, float]]
    exponent: float
    noise: float
    latent: float
    true: frozenset[str]


_OF_ERROR = frozenset(
    {
        "error_is_low", "gap_under_A", "gap_under_B", "no_mirror", "light_best_under_A", "latent_std_is_blind",
        "unseen_is_worse", "dark_only_worse_for_all",
    }
)  # fmt: skip
_OF_SLUG = frozenset(
    {
        "dark_worse_even_under_C", "slug_ranks_with_error", "slug_linear_with_error", "slug_ranks_within_groups",
        "slug_beats_latent_std", "slug_gap_has_sign_of_error", "slug_gaps_order_as_error", "removal_lowers_error",
    }
)  # fmt: skip
_PAPER = {"A": (0.010, 0.030), "B": (0.012, 0.018), "C": (0.022, 0.024)}

WORLDS = {
    "true": World(_PAPER, 1.0, 0.18, 0.0, _OF_ERROR | _OF_SLUG),
    "false": World({"A": (0.140, 0.100), "B": (0.160, 0.120), "C": (0.090, 0.170)}, -1.0, 0.1, 3.0, frozenset()),
    "null": World(dict.fromkeys(CONFIGURATIONS, (0.02, 0.02)), 0.0, 0.4, 0.0, frozenset({"error_is_low"})),
    "blind": World(_PAPER, 0.0, 0.4, 0.0, _OF_ERROR),
}

ASKED = _OF_ERROR | _OF_SLUG | {"gap_under_C_reversed", "dark_best_under_C", "dark_more_sensitive"}
"""The claims that can be asked of these stores."""

WITHOUT_SLUG = (
    "slug_gap_has_sign_of_error", "slug_gaps_order_as_error", "removal_lowers_error", "slug_beats_latent_std",
    "dark_worse_even_under_C",
)  # fmt: skip
"""Claims that a SLUG of pure noise must be able to refute."""


def simulated(world: World, seeds: int, tested: int, rng: np.random.Generator, shared: float = 0.0) -> xr.Dataset:
    """One experiment: `tested` images a group and seed.

    shared: the share of the seeds' training variance that all seeds have in common, since they train on one pool.
    """
    pools = {name: round(POOL[name] * tested) for name in GROUPS}
    dark = np.repeat([False, True], list(pools.values()))
    count, order = len(dark), list(CONFIGURATIONS)
    inside = np.zeros((seeds, count), bool)
    for s in range(seeds):
        for part in (np.flatnonzero(~dark), np.flatnonzero(dark)):
            inside[s, rng.choice(part, tested, replace=False)] = True
    # Only images that some seed tested are in a store.
    used = inside.any(axis=0)
    dark, inside, patient = dark[used], inside[:, used], (np.arange(count) // 2)[used]
    count = len(dark)

    def of_patients(spread: float) -> np.ndarray:
        return spread * rng.normal(size=int(patient.max()) + 1)[patient]

    shape = (len(order), seeds, count)
    level = np.log([[world.errors[c][int(d)] for d in dark] for c in order])[:, None]
    images = of_patients(0.25) + rng.normal(0, 0.2, count) + rng.normal(0, 0.1, (len(order), 1, count))
    log_error = level + images + _training(rng, shape, dark, shared) + rng.normal(0, 0.1, shape)
    own = of_patients(0.5 * world.noise) + 0.5 * world.noise * rng.normal(size=count)
    noise = own + np.sqrt(0.5) * world.noise * rng.normal(size=shape) + rng.normal(0, 0.02, (*shape[:2], 1))
    latent = 0.5 + 0.05 * (0.7 * of_patients(1.0) + 0.7 * rng.normal(size=shape) + world.latent * dark)
    values = {"mse": np.exp(log_error), "slug": 1e4 * np.exp(world.exponent * log_error + noise), "latent_std": latent}
    return xr.Dataset(
        {
            **{n: (("configuration", "seed", "image"), np.where(inside[None], v, np.nan)) for n, v in values.items()},
            "group": ("image", np.where(dark, "dark", "light").astype(object)),
            "fst": ("image", np.where(dark, 5, 1).astype(np.int8)),
            "patient": ("image", np.array([f"p{p}" for p in patient], object)),
        },
        coords={"configuration": order, "seed": np.arange(seeds), "image": np.arange(count)},
        attrs={
            "role": "training",
            "dataset": "simulated",
            "groups": json.dumps(GROUPS),
            "configuration": yaml.safe_dump({"configurations": CONFIGURATIONS}),
        },
    )


def _training(rng: np.random.Generator, shape: tuple[int, int, int], dark: np.ndarray, shared: float) -> np.ndarray:
    """What a training adds to the logarithm of errors: of the seed, and of the seed and group."""

    def drawn(spread: float) -> np.ndarray:
        own, common = rng.normal(size=shape[:2]), rng.normal(size=(shape[0], 1))
        return spread * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)

    return drawn(0.04)[..., None] + np.where(dark, drawn(0.04)[..., None], drawn(0.04)[..., None])
