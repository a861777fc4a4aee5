"""Names, dimensions and descriptions of the variables that score stores and aggregated stores share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sluguq.machine import extensions

SLUG_PAPER = (
    "López-Pérez et al. 2025, Bayesian generative models can flag performance loss, bias, and OOD image content"
)
FAIRNESS_PAPER = "López-Pérez et al. 2025, Are generative models fair?, arXiv:2501.11752"


ARTEFACT_LABELS = ("dark_corner", "hair", "gel_border", "gel_bubble", "ruler", "ink", "patches")
"""Labels of known artefacts, artefacts and marks of the camera (Bissoto et al. 2020), without `label_`."""


def described(long_name: str, source: str, units: str = "1") -> dict[str, Any]:
    """The three attributes that every variable carries.

    :param long_name: what it is, for a person.
    :param source: where its values come from: an equation, a paper, a data set.
    :param units: of its values; "1" where they have none.
    """
    return {"long_name": long_name, "units": units, "source": source}


FST_ATTRIBUTES: dict[str, Any] = {
    "long_name": "skin type, 1 being the lightest: Fitzpatrick's, or of the scale that the experiment names",
    "units": "1",
    "source": "label of the data set",
    "comment": "-1: unlabelled",
}


TESTED: dict[str, Any] = described(
    "whether the image is among the seed's test images; where not, scores and maps are NaN and reconstructions 0",
    "splits of the experiment",
)


class Variable(NamedTuple):
    """How a variable is stored."""

    dimensions: tuple[str, ...]
    dtype: str
    attributes: dict[str, Any]


PER_IMAGE: dict[str, Variable] = {
    "mse": Variable(
        ("image",),
        "float32",
        described(
            "mean squared error of the reconstruction, intensities from -1 to 1",
            f"mean over pixels and channels of (x - f(x))^2; {FAIRNESS_PAPER}, section 2.4",
        ),
    ),
    "latent_std": Variable(
        ("image",),
        "float32",
        described(
            "mean standard deviation of the latent variable",
            f"mean over the latent of sigma(x); {FAIRNESS_PAPER}, section 2.4",
        ),
    ),
    "kl": Variable(
        ("image",),
        "float32",
        described(
            "Kullback-Leibler divergence of the latent variable from its prior",
            f"KL(q(z|x) || N(0, I)), summed over the latent; {FAIRNESS_PAPER}, eq. 1",
            "nat",
        ),
    ),
    "slug": Variable(
        ("image",),
        "float32",
        described(
            "SLUG, the epistemic uncertainty of the image",
            f"Tr J (I - U U^T) J^T over the weights; {SLUG_PAPER}, eq. 6",
        ),
    ),
    "slug_sem": Variable(
        ("image",), "float32", described("standard error of SLUG over random probes", "standard error of the estimator")
    ),
    "jacobian_norm": Variable(
        ("image",),
        "float32",
        described("squared Frobenius norm of the Jacobian, SLUG with no eigenvector removed", "Tr J J^T"),
    ),
    "jacobian_norm_sem": Variable(
        ("image",),
        "float32",
        described("standard error of jacobian_norm over random probes", "standard error of the estimator"),
    ),
    "probes": Variable(
        ("image",), "int32", described("random probes spent on the score", "stop rule of the scoring", "count")
    ),
}

extensions.refuse_twice("signal", {*PER_IMAGE, "id", "fst", "group", "pixels"}, extensions.SIGNALS)
PER_IMAGE |= {
    name: Variable(("image",), "float32", described(added["long_name"], added["source"], added["units"]))
    for name, added in extensions.SIGNALS.items()
}

MAPS: dict[str, Variable] = {
    "error_map": Variable(
        ("image", "y", "x"),
        "float32",
        described("squared error of every pixel, summed over channels", "sum over channels of (x - f(x))^2"),
    ),
    "slug_map": Variable(
        ("image", "y", "x"),
        "float32",
        described(
            "SLUG map: epistemic uncertainty of every pixel, summed over channels; sums to slug",
            f"diag J (I - U U^T) J^T summed over channels; {SLUG_PAPER}, section 3.2",
        ),
    ),
    "reconstruction": Variable(
        ("image", "y", "x", "channel"),
        "uint8",
        described("reconstruction of the image", "decoder's mean at the encoder's mean"),
    ),
}

IMAGE_COORDINATES: dict[str, dict[str, Any]] = {
    "id": described("name of the image", "data set"),
    "fst": FST_ATTRIBUTES,
    "group": described("group of the skin type, empty where it is in none", "groups of the experiment"),
    "patient": described("patient shown, empty where unknown", "data set"),
    "lesion": described("lesion shown, empty where unknown", "data set"),
    "duplicate_group": described("images with the same number are duplicates", "pixel and perceptual hashes"),
    "sha256": described("SHA-256 of the original file", "file"),
}


RIVAL = "rival_"
"""Cheaper scores of some of the weights are variables whose names begin so."""

PASSES = "forward_passes"
"""Attribute of a rival: forward passes of the network an image that it took."""


def round_mantissa(values: np.ndarray, bits: int = 10) -> np.ndarray:
    """Round float32 values to `bits` bits of mantissa, so that they compress to about the size of float16.

    Ten bits are float16's precision (relative error at most 2^-11, far below the probes' noise in a map's pixel)
    without its limits of range.

    :param values: float32, of any shape.
    :param bits: of the 23.
    """
    dropped = 23 - bits
    integers = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    half = np.uint32((1 << (dropped - 1)) - 1) + ((integers >> np.uint32(dropped)) & np.uint32(1))
    rounded = ((integers + half) >> np.uint32(dropped)) << np.uint32(dropped)
    return np.where(np.isfinite(values), rounded.view(np.float32), np.asarray(values, dtype=np.float32))
