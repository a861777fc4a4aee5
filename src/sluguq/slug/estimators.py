"""Estimators of SLUG behind one interface, so that whoever holds a basis need not ask which kind it is.

Each knows how to find its basis, how to score by it, and how to take it apart into plain arrays and put it together
again, as a store needs. Another estimator is a class with these methods and a line in :data:`ESTIMATORS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine import extensions
from sluguq.slug.accuracy import Settled
from sluguq.slug.budget import Budget
from sluguq.slug.eigenbasis import Eigenbasis, Lanczos, eigenbasis
from sluguq.slug.execution import Execution
from sluguq.slug.lanczos_state import Checkpoint
from sluguq.slug.network import Apply
from sluguq.slug.probing import Probing
from sluguq.slug.room import BasisRoom, in_files, room_of_basis, room_of_sketch, subspace_of
from sluguq.slug.score import DEFAULT_ACCURACY, score, settle
from sluguq.slug.scores import Scores
from sluguq.slug.sketch import Sketch
from sluguq.slug.sketched import SketchedBasis, score_sketched, sketched_eigenbasis

_LATER = ("passes", "complete", "dropped", "fingerprint", "incompleteness")  # what stores of earlier versions lack
_SKETCHED_PROBES = 500  # S of the SLUG paper, section 4


@dataclass(frozen=True)
class BasisSettings:
    """What is asked of a basis.

    :ivar rank: k, the number of directions.
    :ivar tolerance: a pair has converged when its residual is below this share of its eigenvalue.
    :ivar batch_size: the most images at a time.
    :ivar dtype: of stored vectors, bfloat16 or float32.
    :ivar sketch_size: rows of a sketch, at most the number of weights.
    :ivar accuracy: share of mean SLUG that incompleteness may make up; None asks each pair's tolerance alone.
    """

    rank: int
    tolerance: float
    batch_size: int
    dtype: str
    sketch_size: int
    accuracy: float | None = None


@dataclass(frozen=True)
class ScoreSettings:
    """What is asked of scores.

    :ivar accuracy: of all images together, see :func:`~sluguq.slug.score.score`; one that knows none leaves it alone.
    :ivar probes: how many, in place of an accuracy; None leaves it to the others, or to the estimator.
    :ivar tolerance: relative standard error that every image is to reach, in place of an accuracy.
    :ivar directions: of each image, taken exactly, beside a number of probes.
    :ivar batch_size: images at a time; None leaves it to the estimator.
    :ivar prior_precision: α of the low-rank Laplace covariance.
    :ivar maps: whether maps are wanted, where the estimator has them.
    """

    accuracy: str | None = None
    probes: int | None = None
    tolerance: float | None = None
    directions: int | None = None
    batch_size: int | None = None
    prior_precision: float = 0.0
    maps: bool = True


class Part(NamedTuple):
    """An array of a basis.

    :ivar dimensions: their names.
    :ivar values: the array, or whatever slices like one.
    :ivar long_name: what it is, in words.
    """

    dimensions: tuple[str, ...]
    values: Any
    long_name: str


class Estimator(Protocol):
    """One way to SLUG.

    :ivar name: as configurations and stores call it.
    :ivar maps: whether its scores come with maps.
    :ivar words: how its scores come about.
    :ivar title: what its basis is.
    :ivar source: where the numbers of its basis come from.
    """

    name: str
    maps: bool
    words: str
    title: str
    source: str

    def in_files(self, settings: BasisSettings, parameters: int) -> bool:
        """Whether its basis is computed in files, and a checkpoint names them."""

    def room(self, settings: BasisSettings, parameters: int) -> BasisRoom:
        """What its basis takes of the disk."""

    def basis(
        self,
        apply: Apply,
        params: Any,
        images: Any,
        settings: BasisSettings,
        *,
        key: jax.Array,
        storage: Path | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Any:
        """The basis of a network; an estimator without states to go on from leaves ``checkpoint`` alone."""

    def score(
        self,
        apply: Apply,
        params: Any,
        basis: Any,
        images: Any,
        settings: ScoreSettings,
        *,
        key: jax.Array,
        positions: np.ndarray | None = None,
        settled: Settled | None = None,
        progress: bool = True,
    ) -> Scores:
        """Scores of images by a basis.

        :param positions: where the images are in the whole set, if they are a part of one.
        :param settled: of the whole set, from :meth:`settled`.
        """

    def settled(
        self, apply: Apply, params: Any, basis: Any, images: Any, settings: ScoreSettings, *, key: jax.Array
    ) -> Settled | None:
        """What has to be known of a whole set of images before a part of it is scored; None where nothing has."""

    def parts(self, basis: Any) -> dict[str, Part]:
        """The arrays of a basis; ``eigenvalues`` and ``residuals``, each (k,), are always among them."""

    def scalars(self, basis: Any) -> dict[str, Any]:
        """What describes a basis as a whole."""

    def restored(self, arrays: Mapping[str, Any], scalars: Mapping[str, Any]) -> Any:
        """The basis of which these are the parts and the scalars."""

    def truncated(self, basis: Any, rank: int) -> Any:
        """The leading ``rank`` directions, without a copy.

        :raises ValueError: where there are fewer, or they cannot be told apart.
        """


class Projected:
    """Stored eigenvectors, and probes in parameter space that are projected off them."""

    name = "projected"
    maps = True
    words = "probes in parameter space, projected off the eigenbasis"
    title = "Leading eigenvectors of the generalised Gauss-Newton matrix"
    source = "Lanczos with full reorthogonalisation, on the generalised Gauss-Newton matrix of the SLUG paper, eq. 1"

    def in_files(self, settings: BasisSettings, parameters: int) -> bool:
        """Large bases are computed in files: memory stays free, and a checkpoint names the vectors."""
        vectors = subspace_of(settings.rank, parameters)
        return in_files(settings.rank, parameters) or Budget().roomy_storage(vectors, parameters, 4) is None

    def room(self, settings: BasisSettings, parameters: int) -> BasisRoom:
        """Lanczos vectors, the result where it is computed in files, and the store."""
        files = self.in_files(settings, parameters)
        return room_of_basis(settings.rank, parameters, dtype=settings.dtype, files=files)

    def basis(
        self,
        apply: Apply,
        params: Any,
        images: Any,
        settings: BasisSettings,
        *,
        key: jax.Array,
        storage: Path | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Eigenbasis:
        """See :func:`~sluguq.slug.eigenbasis.eigenbasis`."""
        return eigenbasis(
            apply,
            params,
            images,
            rank=settings.rank,
            tolerance=settings.tolerance,
            batch_size=settings.batch_size,
            key=key,
            storage=storage,
            solver=Lanczos(dtype=settings.dtype, accuracy=settings.accuracy),
            checkpoint=checkpoint,
        )

    def score(
        self,
        apply: Apply,
        params: Any,
        basis: Eigenbasis | None,
        images: Any,
        settings: ScoreSettings,
        *,
        key: jax.Array,
        positions: np.ndarray | None = None,
        settled: Settled | None = None,
        progress: bool = True,
    ) -> Scores:
        """See :func:`~sluguq.slug.score.score`."""
        probing = Probing(directions=settings.directions, settled=settled, positions=positions)
        return score(
            apply,
            params,
            basis,
            images,
            accuracy=settings.accuracy if settled is None else None,
            probes=settings.probes,
            tolerance=settings.tolerance,
            batch_size=settings.batch_size or 64,
            key=key,
            maps=settings.maps,
            prior_precision=settings.prior_precision,
            probing=probing,
            execution=Execution(progress=progress),
        )

    def settled(
        self,
        apply: Apply,
        params: Any,
        basis: Eigenbasis | None,
        images: Any,
        settings: ScoreSettings,
        *,
        key: jax.Array,
    ) -> Settled | None:
        """Directions and probes for an accuracy or a tolerance, from a pilot."""
        if settings.probes is not None:
            return None
        accuracy = settings.accuracy or settings.tolerance or DEFAULT_ACCURACY
        return settle(
            apply, params, basis, images, accuracy=accuracy, key=key, prior_precision=settings.prior_precision
        )

    def parts(self, basis: Eigenbasis) -> dict[str, Part]:
        """Eigenvalues, residuals, what has converged, vectors."""
        converged = np.asarray(basis.converged).astype("uint8")
        return {
            "eigenvalues": Part(("rank",), basis.eigenvalues, "eigenvalue, descending"),
            "residuals": Part(("rank",), basis.residuals, "residual norm ||G u - lambda u||"),
            "converged": Part(("rank",), converged, "1 where the residual is within the tolerance"),
            "vectors": Part(
                ("rank", "parameter"), basis.vectors, "eigenvectors, in the order of ravel_pytree of the weights"
            ),
        }

    def scalars(self, basis: Eigenbasis) -> dict[str, Any]:
        """Trace, orthogonality, and what was spent."""
        return {
            "orthogonality": float(basis.orthogonality),
            "trace": float(basis.trace),
            "trace_sem": float(basis.trace_sem),
            "products": int(basis.products),
            "unconverged": int((~np.asarray(basis.converged)).sum()),
            "passes": int(basis.passes),
            "complete": int(basis.complete),
            "dropped": int(basis.dropped),
            "fingerprint": basis.fingerprint,
            **({"incompleteness": float(basis.incompleteness)} if np.isfinite(basis.incompleteness) else {}),
        }

    def restored(self, arrays: Mapping[str, Any], scalars: Mapping[str, Any]) -> Eigenbasis:
        """An eigenbasis with the vectors wherever they lie."""
        return Eigenbasis(
            eigenvalues=arrays["eigenvalues"],
            vectors=arrays["vectors"],
            residuals=arrays["residuals"],
            converged=np.asarray(arrays["converged"]).astype(bool),
            **{name: scalars[name] for name in ("orthogonality", "trace", "trace_sem", "products")},
            **{name: scalars[name] for name in _LATER if name in scalars},
        )

    def truncated(self, basis: Eigenbasis, rank: int) -> Eigenbasis:
        """See :meth:`~sluguq.slug.eigenbasis.Eigenbasis.truncate`."""
        return basis.truncate(rank)


class Sketched:
    """The papers' way: a sketched basis, and probes in output space."""

    name = "sketched"
    maps = False
    words = "output-space probes and a sketch"
    title = "Leading directions of the generalised Gauss-Newton matrix, seen through a sketch"
    source = "Lanczos by a three-term recurrence, sketched as it goes; Miani et al. 2024, Sketched Lanczos Uncertainty"

    def in_files(self, settings: BasisSettings, parameters: int) -> bool:
        """Three weight vectors and the sketches are all that there is."""
        return False

    def room(self, settings: BasisSettings, parameters: int) -> BasisRoom:
        """Sketches, signs and rows."""
        return room_of_sketch(settings.rank, parameters, min(settings.sketch_size, parameters))

    def basis(
        self,
        apply: Apply,
        params: Any,
        images: Any,
        settings: BasisSettings,
        *,
        key: jax.Array,
        storage: Path | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> SketchedBasis:
        """See :func:`~sluguq.slug.sketched.sketched_eigenbasis`; it has a tolerance of its own."""
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        return sketched_eigenbasis(
            apply,
            params,
            images,
            rank=settings.rank,
            sketch_size=min(settings.sketch_size, count),
            batch_size=settings.batch_size,
            key=key,
        )

    def score(
        self,
        apply: Apply,
        params: Any,
        basis: SketchedBasis,
        images: Any,
        settings: ScoreSettings,
        *,
        key: jax.Array,
        positions: np.ndarray | None = None,
        settled: Settled | None = None,
        progress: bool = True,
    ) -> Scores:
        """See :func:`~sluguq.slug.sketched.score_sketched`; 500 probes where no number is given."""
        probes, execution = settings.probes or _SKETCHED_PROBES, Execution(progress=progress)
        return score_sketched(apply, params, basis, images, probes=probes, key=key, execution=execution)

    def settled(
        self, apply: Apply, params: Any, basis: SketchedBasis, images: Any, settings: ScoreSettings, *, key: jax.Array
    ) -> Settled | None:
        """Nothing: its number of probes is given."""
        return None

    def parts(self, basis: SketchedBasis) -> dict[str, Part]:
        """Eigenvalues, residuals, sketches and the random transform."""
        sketched = np.asarray(basis.sketched)
        return {
            "eigenvalues": Part(("rank",), basis.eigenvalues, "eigenvalue, descending"),
            "residuals": Part(("rank",), basis.residuals, "residual norm ||G u - lambda u||"),
            "sketched": Part(("rank", "sketch"), sketched, "orthonormal rows spanning the sketched eigenvectors"),
            "signs": Part(("block", "entry"), np.asarray(basis.sketch.signs), "signs of the sketch"),
            "rows": Part(("block", "row"), np.asarray(basis.sketch.rows), "rows kept by the sketch"),
        }

    def scalars(self, basis: SketchedBasis) -> dict[str, Any]:
        """What was left out, and what was spent."""
        counts = {name: int(getattr(basis, name)) for name in ("ghosts", "negative", "unconverged", "products")}
        return {**counts, "fingerprint": basis.fingerprint}

    def restored(self, arrays: Mapping[str, Any], scalars: Mapping[str, Any]) -> SketchedBasis:
        """A sketched basis on the device."""
        return SketchedBasis(
            eigenvalues=arrays["eigenvalues"],
            sketched=jnp.asarray(arrays["sketched"]),
            residuals=arrays["residuals"],
            sketch=Sketch(jnp.asarray(arrays["signs"]), jnp.asarray(arrays["rows"])),
            **{name: scalars[name] for name in ("ghosts", "negative", "unconverged", "products")},
            fingerprint=scalars.get("fingerprint", ""),
        )

    def truncated(self, basis: SketchedBasis, rank: int) -> SketchedBasis:
        """Refused.

        :raises ValueError: always.
        """
        raise ValueError("a sketched basis cannot be cut to another rank; use eigenbasis.method: projected")


ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in (Projected(), Sketched())}
extensions.refuse_twice("estimator", ESTIMATORS, extensions.ESTIMATORS)
ESTIMATORS |= {name: make() for name, make in extensions.ESTIMATORS.items()}


def estimator_of(basis: Any) -> Estimator:
    """The estimator that a basis belongs to; None, no projection, belongs to ``projected``."""
    return ESTIMATORS["projected" if basis is None else basis.estimator]
