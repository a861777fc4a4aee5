"""What every estimator of SLUG returns."""

from collections.abc import Hashable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

_SOURCE = "SLUG paper, eq. 6"
_COLUMNS = {
    "slug": "SLUG, Tr J (I - UU') J'",
    "slug_sem": "standard error of slug over random probes",
    "jacobian_norm": "squared Frobenius norm of the Jacobian, Tr J J'",
    "jacobian_norm_sem": "standard error of jacobian_norm over random probes",
    "removed": "share of the squared Jacobian norm that the basis removes",
    "probes": "random probes spent on the image",
    "converged": "whether the relative standard error is within the tolerance asked for",
}


class Scores(NamedTuple):
    """SLUG of n images.

    :ivar slug: (n,) Tr J (I − UUᵀ) Jᵀ, in squared output units; a sketched estimate may be negative.
    :ivar slug_sem: (n,) its standard error, from the spread over probes; it knows nothing of a sketch's bias.
    :ivar maps: (n, height, width) the diagonal of J (I − UUᵀ) Jᵀ summed over channels; each sums to its
        score. None unless asked for, and from a sketch.
    :ivar jacobian_norm: (n,) ‖J‖² = Tr J Jᵀ, no direction removed.
    :ivar jacobian_norm_sem: (n,) its standard error.
    :ivar probes: (n,) how many probes each image saw.
    :ivar converged: (n,) whether the relative standard error is within ``tolerance``, where one was given.
    :ivar directions: how many directions of each image were taken exactly.
    :ivar shared: how many directions of the whole set were taken exactly beside.
    :ivar covariance: (n, b) covariances of an image's score with those of its block, one after the other as they come,
        NaN beyond the block; scores of two blocks are independent. None from a sketch.
    :ivar blocks: (n,) the block of each image, see :mod:`sluguq.slug.blocks`.
    :ivar slu: (n, c) the score of single output coordinates, None unless asked for; may be negative.
    """

    slug: np.ndarray
    slug_sem: np.ndarray
    maps: np.ndarray | None
    jacobian_norm: np.ndarray
    jacobian_norm_sem: np.ndarray
    probes: np.ndarray
    converged: np.ndarray
    directions: int = 0
    slu: np.ndarray | None = None
    shared: int = 0
    covariance: np.ndarray | None = None
    blocks: np.ndarray | None = None

    @property
    def removed(self) -> np.ndarray:
        """(n,) the share of ‖J‖² that the basis removes; 0 where ‖J‖² is 0."""
        norm = np.where(self.jacobian_norm == 0, 1, self.jacobian_norm)
        return np.where(self.jacobian_norm == 0, 0, 1 - self.slug / norm)

    def __repr__(self) -> str:
        first = zip(self.slug[:3], self.slug_sem[:3], strict=True)
        words = ", ".join(f"{value:.4g} ± {sem:.2g}" for value, sem in first)
        more = ", …" if len(self.slug) > 3 else ""
        maps = "none" if self.maps is None else " × ".join(map(str, self.maps.shape[1:]))
        open_ones = int((~self.converged).sum())
        return f"Scores of {len(self.slug)} images: slug {words}{more}; maps {maps}" + (
            f"; {open_ones} not converged" if open_ones else ""
        )

    @classmethod
    def concatenated(cls, parts: "Iterable[Scores]") -> "Scores":
        """Scores of several sets of images as those of one, in their order.

        :raises ValueError: where there are none, or some have maps, or directions, and others not.
        """
        parts = list(parts)
        if not parts:
            raise ValueError("there are no scores to concatenate")
        if len({(part.directions, part.shared) for part in parts}) > 1:
            raise ValueError("scores with and without exact directions do not go together: score all alike")
        fields: dict[str, Any] = {name: getattr(parts[0], name) for name in ("directions", "shared")}
        for name in (name for name in cls._fields if name not in fields):
            values = [getattr(part, name) for part in parts]
            missing = [value is None for value in values]
            if any(missing) and not all(missing):
                raise ValueError(f"some of the scores have {name} and others not: score all alike")
            fields[name] = None if missing[0] else np.concatenate(values)
        return cls(**fields)

    def _columns(self) -> dict[str, np.ndarray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {name: np.asarray(getattr(self, name)) for name in _COLUMNS}

    def to_pandas(self, images: Sequence[Hashable] | None = None) -> Any:
        """A data frame of one row per image, without maps.

        :param images: names of the images, 0 to n - 1 by default.
        :raises ModuleNotFoundError: where pandas is not installed.
        """
        pandas = import_module("pandas")
        index = range(len(self.slug)) if images is None else list(images)
        return pandas.DataFrame(self._columns(), index=pandas.Index(index, name="image"))

    def to_xarray(self, images: Sequence[Hashable] | None = None) -> Any:
        """A data set with the dimension ``image``, and ``y`` and ``x`` of maps; every variable is described.

        :param images: names of the images, 0 to n - 1 by default.
        :raises ModuleNotFoundError: where xarray is not installed.
        """
        xarray = import_module("xarray")
        variables: dict[str, Any] = {
            name: ("image", values, {"long_name": _COLUMNS[name], "units": "1", "source": _SOURCE})
            for name, values in self._columns().items()
        }
        if self.maps is not None:
            axes = ("z", "y", "x")[3 - (self.maps.ndim - 1) :]
            attributes = {"long_name": "SLUG of every pixel, which sums to slug", "units": "1", "source": _SOURCE}
            variables["maps"] = (("image", *axes), self.maps, attributes)
        index = np.arange(len(self.slug)) if images is None else np.asarray(images)
        dataset = xarray.Dataset(variables, coords={"image": index}, attrs={"directions": self.directions})
        dataset["image"].attrs["long_name"] = "image"
        return dataset

    def combined_sem(self, weights: np.ndarray) -> float:
        """The standard error of Σ wᵢ SLUG(xᵢ): of a group's mean, or of a difference of means.

        Images of a block share probes, so that their errors go together: it is more than that of independent errors.

        :param weights: (n,), 1 / (size of the group) for its images and 0 for others gives the mean's.
        :raises ValueError: for scores that know no covariances.
        """
        if self.covariance is None or self.blocks is None:
            raise ValueError("these scores know no covariances between images: only those of `score` do")
        weights, variance = np.asarray(weights, float), 0.0
        for block in np.unique(self.blocks):
            rows = np.flatnonzero(self.blocks == block)
            part = self.covariance[rows, : len(rows)]
            if not np.isfinite(part).all():
                raise ValueError(
                    f"the covariances of block {block} are not all known: its images were scored in several calls; "
                    "score them in one, or with positions that begin at a multiple of the block"
                )
            variance += weights[rows] @ part @ weights[rows]
        return float(np.sqrt(max(variance, 0.0)))
