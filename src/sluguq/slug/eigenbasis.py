"""Leading eigenpairs of the generalised Gauss-Newton matrix.

By Lanczos with full reorthogonalisation (:mod:`sluguq.slug.recurrence`), which stops as soon as the wanted pairs
are good enough and a search has found nothing missed above them (:mod:`sluguq.slug.leading`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.disk import free_bytes, gigabytes, occupied_bytes
from sluguq.slug.basis_files import write_basis
from sluguq.slug.budget import Budget
from sluguq.slug.checks import check_does_not_vanish, check_key, check_rank, checked
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution, in_plain_modes
from sluguq.slug.fingerprint import difference, fingerprint
from sluguq.slug.ggn import GGN
from sluguq.slug.lanczos_state import Checkpoint, LanczosState
from sluguq.slug.leading import Leading, Solver, Stop
from sluguq.slug.likelihood import measured
from sluguq.slug.network import Apply
from sluguq.slug.probes import energies, energies_of
from sluguq.slug.projection import Projector
from sluguq.slug.recurrence import Recurrence, rounding
from sluguq.slug.room import HALVED, scratch_bytes, subspace_of
from sluguq.slug.rows import PARTIAL, DeviceRows, HostRows, Rows

_SAME = 1e-3  # relative difference of a curvature that is computed twice, far above the rounding of float32
_SPREAD = 16  # times what a network's own rounding makes of one curvature: bfloat16 sums hang on the batch too


class Eigenbasis(NamedTuple):
    """The leading eigenpairs of G and how far they can be trusted.

    :ivar eigenvalues: (k,) float64, descending.
    :ivar vectors: (k, p), orthonormal rows in the order of ``jax.flatten_util.ravel_pytree(params)``;
        a JAX array, a NumPy array or a memory map, as ``storage`` had it.
    :ivar residuals: (k,) ‖G u − λ u‖, by the Lanczos identity.
    :ivar converged: (k,) whether the residual is within the tolerance asked for, or all are within the accuracy.
    :ivar orthogonality: largest entry of ``|U Uᵀ − I|`` (rows as vectors), after rounding to the stored dtype.
    :ivar trace: an unbiased estimate of Tr G, NaN without trace probes.
    :ivar trace_sem: its standard error.
    :ivar products: how many products with G were spent, those of the search for missed eigenvalues among them.
    :ivar passes: how many passes over the images these took.
    :ivar incompleteness: by what share the images' mean SLUG is too large as the pairs have not converged further,
        see :func:`~sluguq.slug.leading.incompleteness`; an upper estimate.
    :ivar complete: whether a search found no eigenvalue missed above the last pair, as copies of a repeated one are.
    :ivar dropped: pairs fewer than asked for, as the others' eigenvalues are rounding: no directions that training
        determines.
    :ivar fingerprint: of the weights that the basis belongs to, see :mod:`sluguq.slug.fingerprint`; empty if unknown.
    """

    eigenvalues: np.ndarray
    vectors: Any
    residuals: np.ndarray
    converged: np.ndarray
    orthogonality: float
    trace: float
    trace_sem: float
    products: int
    passes: int = 0
    incompleteness: float = float("nan")
    complete: bool = True
    dropped: int = 0
    fingerprint: str = ""

    @property
    def estimator(self) -> str:
        """The name of the estimator that scores by it."""
        return "projected"

    def truncate(self, rank: int) -> "Eigenbasis":
        """The leading pairs, without a copy.

        :param rank: how many.
        :raises ValueError: where there are fewer.
        """
        if rank < 1:
            raise ValueError(f"rank {rank} is impossible: keep at least one pair, or pass basis=None for none")
        if rank > len(self.eigenvalues):
            raise ValueError(f"rank {rank} exceeds the {len(self.eigenvalues)} pairs of the eigenbasis")
        names = ("eigenvalues", "vectors", "residuals", "converged")
        return self._replace(**{name: getattr(self, name)[:rank] for name in names})

    def save(self, path: str | Path) -> None:
        """Write the basis as one file, whole or not at all; :func:`~sluguq.slug.saved.load_basis` reads it.

        :param path: of the file, which is in the safetensors format.
        """
        write_basis(path, self.estimator, self)

    @property
    def explained(self) -> float:
        """The share of Tr G that the eigenvalues sum to."""
        return float(self.eigenvalues.sum() / self.trace)


@dataclass(frozen=True)
class Lanczos:
    """How the eigenpairs are found; the defaults suit most.

    :ivar subspace: most vectors before a restart; max(2 · rank + 10, 40) by default, at least rank + 2 unless p is
        smaller.
    :ivar max_products: products with G before giving up on convergence; 8 · rank + 80 by default.
    :ivar accuracy: stop when the images' mean SLUG is within this share of its value for a converged basis, as far as
        residuals tell; None goes on until each pair is within ``tolerance``.
    :ivar trace_probes: forward-mode probes for Tr G; 0 leaves it NaN.
    :ivar dtype: of the stored vectors: the weights' own by default, bfloat16 where that would take more
        than 1 GiB.
    """

    subspace: int | None = None
    max_products: int | None = None
    accuracy: float | None = None
    trace_probes: int = 8
    dtype: Any = None


def _orthogonality(vectors: Any) -> float:
    """Largest entry of |U Uᵀ − I|, by blocks of columns."""
    count, length = vectors.shape
    gram = np.zeros((count, count))
    width = max(1, (1 << 26) // count)
    for start in range(0, length, width):
        block = jnp.asarray(vectors[:, start : start + width])
        block = block.astype(jnp.promote_types(block.dtype, jnp.float32))
        gram += np.asarray(jnp.matmul(block, block.T, precision="highest"), np.float64)
    return float(np.abs(gram - np.eye(count)).max())


def _trace(ggn: GGN, vectors: Any, eigenvalues: np.ndarray, probes: int, key: jax.Array) -> tuple[float, float]:
    """Tr G = Σ λ + Tr (I − UUᵀ) G (I − UUᵀ), the second by forward passes alone."""
    if probes < 2:
        return float("nan"), float("nan")
    totals = energies(ggn, Projector(vectors), probes, key).sum(axis=1)
    return float(eigenvalues.sum() + totals.mean()), float(totals.std(ddof=1) / np.sqrt(probes))


@in_plain_modes
def eigenbasis(
    apply: Apply,
    params: Any,
    images: Any,
    *,
    rank: int = 50,
    batch_size: int = 64,
    key: jax.Array,
    subset: Sequence[int] | np.ndarray | slice | None = None,
    likelihood: str = "gaussian",
    channel_axis: int = -1,
    tolerance: float = 1e-3,
    storage: str | Path | None = None,
    solver: Lanczos | None = None,
    checkpoint: Checkpoint | None = None,
    execution: Execution | None = None,
) -> Eigenbasis:
    """The leading eigenpairs of G = Σᵢ J(xᵢ)ᵀ J(xᵢ) over a data set.

    Cost: at most ``Lanczos.max_products`` passes over the images, each about five forward passes, plus
    ``Lanczos.trace_probes`` probes of two forward passes. Memory: ``Lanczos.subspace`` · p numbers, where
    ``storage`` says.

    :param apply: pure function (params, images) → (n, height, width, channels) or (n, …). A
        ``jax.tree_util.Partial`` may carry further arrays, such as batch statistics.
    :param params: pytree of floating-point arrays, the weights to which the uncertainty belongs.
    :param images: (n, height, width, channels), or (n, …) of any shape and dtype that ``apply`` takes: NumPy, JAX
        (possibly sharded over devices), PyTorch, or array-like with slicing (zarr, xarray), which is streamed; a tuple
        or dict of such for a network of several inputs; a loader of batches that can be iterated over again.
    :param rank: k, the number of eigenpairs.
    :param batch_size: the most images at a time; halved when memory runs out.
    :param key: ``jax.random.key``; the same key gives the same bits.
    :param subset: indices of the images to use, a mask or a slice; all by default.
    :param likelihood: whose Hessian H in the outputs makes G = Σᵢ JᵢᵀHᵢJᵢ: "gaussian" of unit variance, "categorical"
        for logits of a softmax over classes, or "bernoulli" for logits of each output.
    :param channel_axis: of the output, along which the classes of a categorical likelihood lie: -1 for channels last,
        1 for channels first.
    :param tolerance: a pair has converged when ‖G u − λ u‖ ≤ tolerance · λ (or is at rounding level).
    :param storage: "device", "host", or a folder in which the vectors are kept as files; by default the
        device where it has room, else the host where that has.
    :param solver: how the eigenpairs are found, and stored.
    :param checkpoint: how an interrupted run goes on.
    :param execution: where and how it runs.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`, a state of another run, or vectors for which
        neither memory nor the folder's disk has room.
    """
    solver, checkpoint, execution = solver or Lanczos(), checkpoint or Checkpoint(), execution or Execution()
    check_key(key)
    images = examples_of(images, subset)
    apply, params = checked(measured(apply, likelihood, channel_axis), params, images)
    check_rank(rank, params)
    ggn = GGN(apply, params, images, batch_size=batch_size, execution=execution)
    subspace = subspace_of(rank, ggn.size)
    if solver.subspace is not None:
        subspace = min(ggn.size, max(solver.subspace, rank + 2))
    limit = max(rank, 8 * rank + 80 if solver.max_products is None else solver.max_products)
    dtype = _stored_dtype(solver.dtype, rank, ggn)
    _check_state(checkpoint.state, subspace, ggn)
    rows = _rows(storage, subspace, ggn, rank * ggn.size * dtype.itemsize, execution.budget)
    with jax.default_matmul_precision(execution.matmul_precision):
        recurrence = Recurrence(ggn, rows, subspace, jax.random.fold_in(key, 0))
        if checkpoint.state is not None:
            recurrence.resume(checkpoint.state)
            _check_operator(recurrence)
        pairs = Solver(recurrence, rank, Stop(tolerance, solver.accuracy, limit)).run(checkpoint, execution.progress)
        if solver.accuracy is not None and pairs.incompleteness <= solver.accuracy:
            pairs = pairs._replace(converged=np.ones_like(pairs.converged))  # to what was asked for
        determined = _determined(pairs, ggn, rows)
        vectors = rows.combine(determined.coefficients, dtype)
        if checkpoint.on_block is None:  # else what remains is long, and a run that is killed in it goes on from there
            rows.clear()
        values = determined.values
        trace, trace_sem = _trace(ggn, vectors, values, solver.trace_probes, jax.random.fold_in(key, 1))
    vectors = rows.keep(vectors)
    _tell(pairs, determined, rank, recurrence, tolerance)
    return Eigenbasis(
        eigenvalues=values,
        vectors=vectors,
        residuals=determined.residuals,
        converged=determined.converged,
        orthogonality=_orthogonality(vectors),
        trace=trace,
        trace_sem=trace_sem,
        products=recurrence.products,
        passes=recurrence.passes,
        incompleteness=determined.incompleteness,
        complete=determined.complete,
        dropped=rank - len(values),
        fingerprint=fingerprint(params),
    )


def _determined(pairs: Leading, ggn: GGN, rows: Rows) -> Leading:
    """The pairs whose eigenvalues stand above rounding.

    Those near it are looked at by forward passes: ‖J u‖² of a direction that the data leave open is smaller by far
    than what rounding makes of its eigenvalue among much larger ones.
    """
    check_does_not_vanish(float(pairs.values[0]), ggn.dtype)
    share = pairs.values / pairs.values[0]
    inside = share > rounding(ggn.dtype)
    for index in np.flatnonzero(inside & (share < 16 * float(jnp.finfo(ggn.dtype).eps))):
        vector = jnp.asarray(rows.combine(pairs.coefficients[:, [index]], ggn.dtype))
        inside[index] = energies_of(ggn, vector).sum() > 0.5 * pairs.values[index]
    inside[0] = True
    return pairs._replace(
        values=pairs.values[inside],
        coefficients=pairs.coefficients[:, inside],
        residuals=pairs.residuals[inside],
        converged=pairs.converged[inside],
    )


def _tell(pairs: Leading, determined: Leading, rank: int, recurrence: Recurrence, tolerance: float) -> None:
    """Say in words what is not as it was asked for."""
    count = len(determined.values)
    unconverged = int((~determined.converged).sum())
    if count < rank:
        warnings.warn(
            f"the eigenbasis has {count} of the {rank} pairs asked for: the other eigenvalues are rounding, so "
            f"that the data determine no more directions. Lower rank to {count}, or leave it: the scores are right",
            stacklevel=4,
        )
    if unconverged:
        warnings.warn(
            f"{unconverged} of {count} eigenpairs have not converged to {tolerance:g} within "
            f"{recurrence.products} products; scores stay unbiased for the vectors found. Raise max_products or "
            f"tolerance, or lower rank",
            stacklevel=4,
        )
    elif not pairs.complete:
        warnings.warn(
            f"after {recurrence.products} products an eigenvalue above the last of {count} pairs is still missing, as "
            f"eigenvalues are repeated: raise max_products, or lower rank",
            stacklevel=4,
        )


def _check_state(state: LanczosState | None, subspace: int, ggn: GGN) -> None:
    """Refuse what is no state, one that is damaged, or one of another size or of other weights."""
    if state is None:
        return
    if not isinstance(state, LanczosState):
        raise ValueError(f"the state is a {type(state).__name__}: load_state reads what save_state wrote")
    change = difference(state.fingerprint, fingerprint(ggn.params))
    if change is not None:
        raise ValueError(f"the state belongs to other params than these: {change}. Start without the state")
    count, size = state.projected.shape[0], state.vectors.shape[-1]
    whole = state.vectors.ndim == 2 and state.projected.shape == (count, count) and state.lost.shape == (count,)
    if not whole or not 0 <= state.step < len(state.vectors) or not np.isfinite(state.projected).all():
        raise ValueError(
            f"the state is damaged: {state.vectors.shape} of vectors, {state.projected.shape} of the matrix and "
            f"{state.lost.shape} of what was lost do not go together after {state.step} steps. Start without the state"
        )
    if count != subspace or size != ggn.size or state.vectors.dtype != ggn.dtype:
        raise ValueError(
            f"the state belongs to another run: subspace and weights are {count} and "
            f"{size} ({state.vectors.dtype}) there, {subspace} and {ggn.size} ({ggn.dtype}) here"
        )


def _check_operator(recurrence: Recurrence) -> None:
    """Refuse a state that other weights or images led to: one product must give again what the state holds of it."""
    ggn, rows, step = recurrence.ggn, recurrence.rows, recurrence.step
    if not step:
        return
    # All rows at once: the curvature along a single one may be the same by chance.
    mixed = np.zeros(recurrence.subspace)
    mixed[:step] = step**-0.5
    vector = -rows.less(jnp.zeros(ggn.size, ggn.dtype), mixed)
    if not jnp.isfinite(vector).all():
        raise ValueError("the state is damaged: its vectors hold NaN or infinite values. Start without the state")
    before = (recurrence.projected @ mixed)[:step]
    # A network that computes in half precision is no linear map to better than that: a shorter vector tells how good.
    shorter = 0.7
    images = ggn.products(jnp.stack([vector, shorter * vector]))
    computed, again = (rows.dots(image)[:step] for image in images)
    size = np.linalg.norm(before)
    rounded = np.linalg.norm(computed - again / shorter)
    if not np.linalg.norm(before - computed) <= max(_SAME * size, min(_SPREAD * rounded, 0.1 * size)):
        raise ValueError(
            f"the state belongs to another run, of other images or another likelihood: the curvature along its "
            f"vectors is {before.sum() / step**0.5:.6g} there and {computed.sum() / step**0.5:.6g} here. "
            "Start without the state"
        )


def _rows(storage: str | Path | None, subspace: int, ggn: GGN, result: int, budget: Budget) -> Rows:
    """Room for the Lanczos vectors; in a folder, also for a ``result`` of so many bytes."""
    itemsize = ggn.dtype.itemsize
    need = subspace * ggn.size * itemsize
    if storage is None:
        storage = budget.roomy_storage(subspace, ggn.size, itemsize)
        if storage is None:
            raise ValueError(
                f"{subspace} vectors of {ggn.size} weights take {gigabytes(need)}, and three times that to work on, "
                f"of {gigabytes(budget.host)} of memory: pass a folder as storage, or lower rank or subspace"
            )
    if storage == "device":
        return DeviceRows(subspace, ggn.size, ggn.dtype)
    if storage == "host":
        if not budget.host_takes(need):
            raise ValueError(
                f'storage="host" needs {gigabytes(2 * need)}, {subspace} vectors of {ggn.size} weights and a copy, '
                f"of {gigabytes(budget.host)} of memory: pass a folder, or lower rank or subspace"
            )
        return HostRows(subspace, ggn.size, ggn.dtype, block_bytes=budget.block_bytes)
    folder = Path(storage)
    earlier = [*folder.glob("lanczos-*.bin"), folder / PARTIAL]  # taken up, or written over
    need, free = scratch_bytes(subspace, ggn.size, itemsize) + result, free_bytes(folder) + occupied_bytes(earlier)
    if need > free:
        raise ValueError(
            f"storage {folder} has {gigabytes(free)} free, but {subspace} vectors of {ggn.size} weights need up to "
            f"{gigabytes(need)}: free some, choose another folder, or lower rank or subspace"
        )
    return HostRows(subspace, ggn.size, ggn.dtype, folder, budget.block_bytes)


def _stored_dtype(dtype: Any, rank: int, ggn: GGN) -> Any:
    if dtype is not None:
        return jnp.dtype(dtype)
    return jnp.dtype(jnp.bfloat16) if rank * ggn.size * 4 > HALVED else ggn.dtype
