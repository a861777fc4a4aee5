"""Leading eigenpairs of the generalised Gauss-Newton matrix, by Lanczos with full reorthogonalisation.

Each new vector is orthogonalised twice against all before it (classical Gram-Schmidt, "twice is
enough"), so no eigenvalue comes back as a ghost. When the subspace is full it is restarted thickly:
the leading Ritz vectors and the last residual are kept (Wu and Simon, SIAM J. Matrix Anal. Appl. 22,
2000). The run stops as soon as the wanted pairs have converged.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.disk import free_bytes, gigabytes, occupied_bytes
from sluguq.machine.progress import Progress
from sluguq.slug.basis_files import write_basis
from sluguq.slug.budget import Budget
from sluguq.slug.checks import check_rank, checked
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN
from sluguq.slug.lanczos_state import LanczosState
from sluguq.slug.likelihood import measured
from sluguq.slug.network import Apply
from sluguq.slug.probes import draw, energies
from sluguq.slug.projection import Projector
from sluguq.slug.room import HALVED, scratch_bytes, subspace_of
from sluguq.slug.rows import DeviceRows, HostRows, Rows


class Eigenbasis(NamedTuple):
    """The leading eigenpairs of G and how far they can be trusted.

    :ivar eigenvalues: (k,) float64, descending.
    :ivar vectors: (k, p), orthonormal rows in the order of ``jax.flatten_util.ravel_pytree(params)``;
        a JAX array, a NumPy array or a memory map, as ``storage`` had it.
    :ivar residuals: (k,) ‖G u − λ u‖, by the Lanczos identity.
    :ivar converged: (k,) whether the residual is within the tolerance asked for.
    :ivar orthogonality: largest entry of ``|U Uᵀ − I|`` (rows as vectors), after rounding to the stored dtype.
    :ivar trace: an unbiased estimate of Tr G, NaN without trace probes.
    :ivar trace_sem: its standard error.
    :ivar products: how many products with G were spent.
    """

    eigenvalues: np.ndarray
    vectors: Any
    residuals: np.ndarray
    converged: np.ndarray
    orthogonality: float
    trace: float
    trace_sem: float
    products: int

    @property
    def estimator(self) -> str:
        """The name of the estimator that scores by it."""
        return "projected"

    def truncate(self, rank: int) -> "Eigenbasis":
        """The leading ``rank`` pairs, without a copy.

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

    :ivar subspace: most vectors before a restart; 2 · rank + 10 by default, at least rank + 2 unless p is
        smaller.
    :ivar max_products: products with G before giving up on convergence; 4 · rank + 40 by default.
    :ivar trace_probes: forward-mode probes for Tr G; 0 leaves it NaN.
    :ivar dtype: of the stored vectors: the weights' own by default, bfloat16 where that would take more
        than 1 GiB.
    """

    subspace: int | None = None
    max_products: int | None = None
    trace_probes: int = 8
    dtype: Any = None


@dataclass(frozen=True)
class Checkpoint:
    """How an interrupted run goes on.

    :ivar state: a state handed to ``on_block`` by a run with the same arguments, to go on from there.
    :ivar on_block: called with a :class:`LanczosState` after every ``block`` products and every restart;
        :func:`~sluguq.slug.lanczos_state.save_state` writes it to a file. Such states stay good after the end, until
        the result is safe: where ``storage`` is a folder, ``lanczos-*.bin`` in it are then the caller's to remove.
    :ivar block: products between two states.
    """

    state: LanczosState | None = None
    on_block: Callable[[LanczosState], None] | None = None
    block: int = 10


class _Recurrence:
    """The recurrence itself: rows, the projected matrix, and where it stands."""

    def __init__(self, ggn: GGN, rows: Rows, subspace: int, key: jax.Array) -> None:
        self.ggn, self.rows, self.subspace, self.key = ggn, rows, subspace, key
        self.projected = np.zeros((subspace, subspace))
        self.step = self.products = 0
        self.beta = 0.0  # coupling of the next vector to the subspace
        self.next = self._random()

    def _random(self) -> jax.Array:
        vector = draw(self.key, self.products, 1, self.ggn.size, self.ggn.dtype)[0]
        if self.step:
            vector, _ = self._orthogonalised(vector)
        return vector / jnp.linalg.norm(vector)

    def _orthogonalised(self, vector: jax.Array) -> tuple[jax.Array, np.ndarray]:
        """The part of ``vector`` outside the rows, and its coefficients on them."""
        coefficients = self.rows.dots(vector)
        vector = self.rows.less(vector, coefficients)
        correction = self.rows.dots(vector)
        return self.rows.less(vector, correction), coefficients + correction

    def resume(self, state: LanczosState) -> None:
        self.rows.restore(state.vectors)
        self.next = jnp.asarray(state.vectors[state.step])
        self.projected = np.array(state.projected)
        self.step, self.products = int(state.step), int(state.products)

    def state(self) -> LanczosState:
        self.rows.write(self.step, self.next)  # where the next step would put it anyway
        return LanczosState(self.rows.view(self.step + 1), self.projected.copy(), self.step, self.products)

    def advance(self) -> None:
        """One product with G: the subspace grows by one."""
        j = self.step
        self.rows.write(j, self.next)
        image = self.ggn.product(self.next)
        self.step, self.products = j + 1, self.products + 1
        rest, coefficients = self._orthogonalised(image)
        column = coefficients[: j + 1]
        self.projected[: j + 1, j] = self.projected[j, : j + 1] = column
        self.beta = float(jnp.linalg.norm(rest))
        smallest = 4 * float(jnp.finfo(self.ggn.dtype).eps) * np.abs(self.projected).max()
        if self.step == self.ggn.size:
            self.beta = 0.0
        elif self.beta <= smallest:  # an invariant subspace: go on in a direction not seen yet
            self.beta, self.next = 0.0, self._random()
        else:
            self.next = rest / self.beta
        if self.step < self.subspace:
            self.projected[j, self.step] = self.projected[self.step, j] = self.beta

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values (descending), coefficients (j, j) in columns, residual norms."""
        values, coefficients = np.linalg.eigh(self.projected[: self.step, : self.step])
        values, coefficients = values[::-1], coefficients[:, ::-1]
        return values, coefficients, self.beta * np.abs(coefficients[-1])

    def restart(self, kept: int) -> None:
        values, coefficients, _ = self.ritz()
        self.rows.rotate(coefficients[:, :kept])
        coupling = self.beta * coefficients[-1, :kept]
        self.projected = np.zeros_like(self.projected)
        np.fill_diagonal(self.projected[:kept, :kept], values[:kept])
        self.projected[:kept, kept] = self.projected[kept, :kept] = coupling
        self.step = kept


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
        for logits of a softmax over the last axis, or "bernoulli" for logits of each output.
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
    images = examples_of(images, subset)
    apply, params = checked(measured(apply, likelihood), params, images)
    check_rank(rank, params)
    ggn = GGN(apply, params, images, batch_size=batch_size, execution=execution)
    subspace = subspace_of(rank, ggn.size)
    if solver.subspace is not None:
        subspace = min(ggn.size, max(solver.subspace, rank + 2))
    limit = max(rank, 4 * rank + 40 if solver.max_products is None else solver.max_products)
    stored = _stored_dtype(solver.dtype, rank, ggn)
    _check_state(checkpoint.state, subspace, ggn)
    rows = _rows(storage, subspace, ggn, rank * ggn.size * stored.itemsize, execution.budget)
    with jax.default_matmul_precision(execution.matmul_precision):
        recurrence = _Recurrence(ggn, rows, subspace, jax.random.fold_in(key, 0))
        if checkpoint.state is not None:
            recurrence.resume(checkpoint.state)
        values, coefficients, residuals, converged = _run(
            recurrence, rank, limit, tolerance, checkpoint, execution.progress
        )
        vectors = rows.combine(coefficients, stored)
        if checkpoint.on_block is None:  # else what remains is long, and a run that is killed in it goes on from there
            rows.clear()
        trace, trace_sem = _trace(ggn, vectors, values, solver.trace_probes, jax.random.fold_in(key, 1))
    if not converged.all():
        warnings.warn(
            f"{int((~converged).sum())} of {rank} eigenpairs have not converged to {tolerance:g} within "
            f"{recurrence.products} products; scores stay unbiased for the vectors found. Raise max_products or "
            f"tolerance, or lower rank",
            stacklevel=2,
        )
    return Eigenbasis(
        values, vectors, residuals, converged, _orthogonality(vectors), trace, trace_sem, recurrence.products
    )


def _check_state(state: LanczosState | None, subspace: int, ggn: GGN) -> None:
    if state is not None and (
        state.projected.shape != (subspace, subspace)
        or state.vectors.shape != (state.step + 1, ggn.size)
        or state.vectors.dtype != ggn.dtype
    ):
        raise ValueError(
            f"the state belongs to another run: subspace and weights are {state.projected.shape[0]} and "
            f"{state.vectors.shape[1]} ({state.vectors.dtype}) there, {subspace} and {ggn.size} ({ggn.dtype}) here"
        )


def _rows(storage: str | Path | None, subspace: int, ggn: GGN, result: int, budget: Budget) -> Rows:
    """Room for the Lanczos vectors; in a folder, also for a ``result`` of so many bytes."""
    itemsize = ggn.dtype.itemsize
    needed = subspace * ggn.size * itemsize
    if storage is None:
        storage = budget.roomy_storage(subspace, ggn.size, itemsize)
        if storage is None:
            raise ValueError(
                f"{subspace} vectors of {ggn.size} weights take {gigabytes(needed)}, and three times that to work on, "
                f"of {gigabytes(budget.host)} of memory: pass a folder as storage, or lower rank or subspace"
            )
    if storage == "device":
        return DeviceRows(subspace, ggn.size, ggn.dtype)
    if storage == "host":
        if not budget.host_takes(needed):
            raise ValueError(
                f'storage="host" needs {gigabytes(2 * needed)}, {subspace} vectors of {ggn.size} weights and a copy, '
                f"of {gigabytes(budget.host)} of memory: pass a folder, or lower rank or subspace"
            )
        return HostRows(subspace, ggn.size, ggn.dtype, block_bytes=budget.block_bytes)
    folder = Path(storage)
    earlier = [*folder.glob("lanczos-*.bin"), folder / "vectors.bin"]  # taken up, or written over
    needed, free = scratch_bytes(subspace, ggn.size, itemsize) + result, free_bytes(folder) + occupied_bytes(earlier)
    if needed > free:
        raise ValueError(
            f"storage {folder} has {gigabytes(free)} free, but {subspace} vectors of {ggn.size} weights need up to "
            f"{gigabytes(needed)}: free some, choose another folder, or lower rank or subspace"
        )
    return HostRows(subspace, ggn.size, ggn.dtype, folder, budget.block_bytes)


def _stored_dtype(dtype: Any, rank: int, ggn: GGN) -> Any:
    if dtype is not None:
        return jnp.dtype(dtype)
    return jnp.dtype(jnp.bfloat16) if rank * ggn.size * 4 > HALVED else ggn.dtype


def _run(
    lanczos: _Recurrence, rank: int, limit: int, tolerance: float, checkpoint: Checkpoint, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Advance and restart until the leading pairs have converged or the limit is reached."""
    floor = 16 * float(jnp.finfo(lanczos.ggn.dtype).eps)
    with Progress(total=limit, initial=lanczos.products, desc="eigenbasis", unit="product", shown=progress) as bar:
        while True:
            restarted = False
            lanczos.advance()
            bar.update()
            if lanczos.step >= rank:
                values, coefficients, residuals = lanczos.ritz()
                converged = residuals <= np.maximum(tolerance * values, floor * values[0])
                if converged[:rank].all() or lanczos.products >= limit or lanczos.step == lanczos.ggn.size:
                    return values[:rank], coefficients[:, :rank], residuals[:rank], converged[:rank]
                restarted = lanczos.step == lanczos.subspace
                if restarted:
                    # A third of the spare room stays with the Ritz vectors after the wanted ones.
                    lanczos.restart(rank + (lanczos.subspace - rank) // 3)
            # The files of a state go with the second restart from then, so that every restart asks for a new one.
            if checkpoint.on_block is not None and (restarted or lanczos.products % checkpoint.block == 0):
                checkpoint.on_block(lanczos.state())
