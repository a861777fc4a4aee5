"""Who is in a synthetic photograph: skin type, patient, base colour, body site and condition.

Everything here is drawn from streams of a counter-based generator that are keyed by (seed, skin type,
index), so one image's answer never depends on another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sluguq.images.skin_colour import ita_of_lab
from sluguq.machine.streams import drawing_stream

CONDITIONS: tuple[str, ...] = (
    "naevus",
    "macule",
    "keratosis",
    "plaque",
    "erythema",
    "nodule",
    "hypopigmentation",
)
SITES: tuple[str, ...] = ("trunk", "arm", "leg", "face", "hand")


class SkinType(NamedTuple):
    """Colour of one skin type: angle (mean and spread over patients, degrees) and mean a*, b*."""

    ita: float
    ita_spread: float
    redness: float
    yellowness: float


# One Fitzpatrick type for each class of the individual typology angle (limits: `skin_colour.ITA_CLASSES`).
# The two scales measure different things and agree only on average; this is the usual correspondence. Means
# lie in the middle of each class, redness and yellowness within the volume of measured skin colours
# (Del Bino and Bernerd, Br. J. Dermatol. 169(s3):33-40, 2013); L* follows from ITA and b*.
SKIN_TYPES: dict[int, SkinType] = {
    1: SkinType(61.0, 2.6, 8.0, 12.0),
    2: SkinType(48.0, 3.0, 9.5, 15.0),
    3: SkinType(34.5, 2.9, 10.5, 17.5),
    4: SkinType(19.0, 4.0, 12.0, 19.0),
    5: SkinType(-10.0, 8.0, 13.0, 18.5),
    6: SkinType(-49.0, 6.5, 11.0, 13.5),
}

# Patients come in blocks of four images, so that an image's patient follows from its index alone.
_BLOCK = 4
_BLOCK_PATIENTS = ((1, 1, 1, 1), (1, 1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 2), (1, 3))

# Streams of one image or patient; a new purpose gets a new number, so that old draws stay as they were.
PATIENT, BLOCK, SUBJECT, SKIN, LESION, HAIR, LIGHT, CAMERA = range(8)


class Patient(NamedTuple):
    """What all images of one patient share."""

    name: str
    lab: tuple[float, float, float]  # CIELAB of the unlit, unblemished skin
    ita: float  # degrees
    age: float  # years
    hairiness: float  # 0 (none to be seen) .. 1
    hair: tuple[float, float, float]  # linear-light RGB


@dataclass(frozen=True)
class PhantomRecord:
    """One synthetic image, before it is drawn."""

    id: str
    fst: int
    index: int
    patient: str
    condition: str
    site: str


def stream(seed: int, fst: int, index: int, purpose: int) -> np.random.Generator:
    """Random generator of one purpose of one image, keyed by all four numbers.

    :param seed: of the data set.
    :param fst: skin type.
    :param index: number of the image.
    :param purpose: what the numbers are for.
    """
    return drawing_stream(seed, fst, index, purpose)


def check_key(fst: int, seed: int, index: int) -> None:
    """Raise ValueError unless `fst` is a skin type 1..6 and `seed` and `index` are not negative."""
    if fst not in SKIN_TYPES:
        raise ValueError(f"fst must be a Fitzpatrick skin type from 1 to 6, not {fst!r}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    if index < 0:
        raise ValueError(f"index must be 0 or more, not {index}")


def record(fst: int, *, seed: int, index: int) -> PhantomRecord:
    """The record of image `index` of one skin type. Raises ValueError as `check_key`."""
    check_key(fst, seed, index)
    rng = stream(seed, fst, index, SUBJECT)
    condition = CONDITIONS[rng.integers(len(CONDITIONS))]
    site = SITES[rng.integers(len(SITES))]
    first = _first_of_patient(fst, seed, index)
    return PhantomRecord(
        id=f"phantom-s{seed}-fst{fst}-{index:06d}",
        fst=fst,
        index=index,
        patient=_patient_name(fst, seed, first),
        condition=condition,
        site=site,
    )


def phantom_records(counts: Mapping[int, int], seed: int) -> Iterator[PhantomRecord]:
    """Records of `counts[fst]` images of each skin type, by type and index.

    Some patients have two or three images; a count that ends within a patient gives that patient fewer.
    Raises ValueError for a skin type outside 1..6, a negative count or a negative seed.
    """
    for fst, count in counts.items():
        check_key(fst, seed, 0)
        if count < 0:
            raise ValueError(f"the number of images of FST {fst} must be 0 or more, not {count}")
    return (record(fst, seed=seed, index=index) for fst in sorted(counts) for index in range(counts[fst]))


def patient_of(fst: int, *, seed: int, index: int) -> Patient:
    """The patient in image `index` of one skin type. Raises ValueError as `check_key`."""
    check_key(fst, seed, index)
    first = _first_of_patient(fst, seed, index)
    rng = stream(seed, fst, first, PATIENT)
    kind = SKIN_TYPES[fst]
    # Cut at 2.5 spreads: no patient of one type has the colour of a distant one.
    ita = kind.ita + kind.ita_spread * float(np.clip(rng.standard_normal(), -2.5, 2.5))
    redness = kind.redness + 1.2 * float(np.clip(rng.standard_normal(), -2.5, 2.5))
    yellowness = kind.yellowness + 1.2 * float(np.clip(rng.standard_normal(), -2.5, 2.5))
    lab = (50.0 + yellowness * float(np.tan(np.radians(ita))), redness, yellowness)
    age = float(rng.uniform(18.0, 85.0))
    hairiness = float(rng.beta(1.2, 2.0))
    return Patient(
        name=_patient_name(fst, seed, first),
        lab=lab,
        ita=float(ita_of_lab(lab)),
        age=age,
        hairiness=hairiness,
        hair=_hair_colour(rng, fst, age),
    )


def _hair_colour(rng: np.random.Generator, fst: int, age: float) -> tuple[float, float, float]:
    """Linear-light RGB: blond to brown on types 1 and 2, brown to black on the others; grey with age."""
    blond, brown, black = (np.array(c) for c in ((0.34, 0.23, 0.11), (0.085, 0.047, 0.024), (0.018,) * 3))
    mix = float(rng.uniform())
    pigmented = brown + (blond - brown) * mix if fst <= 2 else black + (brown - black) * mix * (6 - fst) / 3
    grey = 0.45 if rng.uniform() < (age - 45.0) / 80.0 else 0.0
    red, green, blue = pigmented + grey * (np.array((0.55, 0.54, 0.52)) - pigmented)
    return float(red), float(green), float(blue)


def _first_of_patient(fst: int, seed: int, index: int) -> int:
    """Index of the first image of the patient that image `index` shows."""
    block = index - index % _BLOCK
    sizes = _BLOCK_PATIENTS[stream(seed, fst, block, BLOCK).integers(len(_BLOCK_PATIENTS))]
    starts = block + np.cumsum((0, *sizes[:-1]))
    return int(starts[starts <= index][-1])


def _patient_name(fst: int, seed: int, first: int) -> str:
    return f"phantom-s{seed}-fst{fst}-patient-{first:06d}"
