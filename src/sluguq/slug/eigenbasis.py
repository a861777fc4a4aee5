"""Leading eigenpairs of the generalised Gauss-Newton matrix, by Lanczos with full reorthogonalisation.

Each new vector is orthogonalised twice against all before it (classical Gram-Schmidt, "twice is
enough"), so no eigenvalue comes back as a ghost. When the subspace is full it is restarted thickly:
the leading Ritz vectors and the last residual are kept (Wu and Simon, SIAM J. Matrix Anal. Appl. 22,
2000). The run stops as soon as the wanted pairs have converged.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.disk import free_bytes, gigabytes, occupied_bytes
from sluguq.machine.memory import host_memory_bytes
from sluguq.machine.progress import Progress
from sluguq.slug.batches import chosen
from sluguq.slug.checks import check_rank, checked
from sluguq.slug.ggn import GGN
from sluguq.slug.lanczos_state import LanczosState
from sluguq.slug.network import Apply
from sluguq.slug.placement import memory_bytes
from sluguq.slug.probes import draw, energies
from sluguq.slug.room import scratch_bytes, subspace_of
from sluguq.slug.rows import DeviceRows, HostRows, Rows

_LARGE = 1 << 30  # bytes of float32 vectors above which bfloat16 is stored unless asked otherwise


class Eigenbasis(NamedTuple):
    """The leading eigenpairs of G and how far they can be trusted.

    :ivar eigenvalues: (k,) float64, descending.
    :ivar vectors: (k, p), orthonormal rows in the order of ``jax.flatten_util.ravel_pytree(params)``;
        a JAX array, a NumPy array or a memory map, as ``storage`` had it.
    :ivar residuals: (k,) ‖G u − λ u‖, by the Lanczos identity.
    :ivar converged: (k,) whether the residual is within the tolerance asked for.
    :ivar orthogonality: largest entry of |U Uᵀ − I| (rows as vectors), after rounding to the stored dtype.
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
    def explained(self) -> float:
        """The share of Tr G that the eigenvalues sum to."""
        return float(self.eigenvalues.sum() / self.trace)


class _Lanczos:
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
    totals = energies(ggn, vectors, probes, key).sum(axis=1)
    return float(eigenvalues.sum() + totals.mean()), float(totals.std(ddof=1) / np.sqrt(probes))


def eigenbasis(
    apply: Apply,
    params: Any,
    images: Any,
    *,
    rank: int = 50,
    batch_size: int = 64,
    key: jax.Array,
    subset: Sequence[int] | np.ndarray | None = None,
    tolerance: float = 1e-3,
    subspace: int | None = None,
    max_products: int | None = None,
    trace_probes: int = 8,
    storage: str | Path | None = None,
    dtype: Any = None,
    state: LanczosState | None = None,
    on_block: Callable[[LanczosState], None] | None = None,
    block: int = 10,
    devices: Sequence[jax.Device] | None = None,
    matmul_precision: str = "highest",
    progress: bool = True,
) -> Eigenbasis:
    """The leading eigenpairs of G = Σᵢ J(xᵢ)ᵀ J(xᵢ) over a data set.

    Cost: at most ``max_products`` passes over the images, each about five forward passes, plus
    ``trace_probes`` probes of two forward passes. Memory: ``subspace`` · p numbers, where ``storage`` says.

    :param apply: pure function (params, images) → (n, height, width, channels). A
        ``jax.tree_util.Partial`` may carry further arrays, such as batch statistics.
    :param params: pytree of floating-point arrays, the weights to which the uncertainty belongs.
    :param images: (n, height, width, channels), any dtype that ``apply`` takes; NumPy, JAX (possibly
        sharded over devices), or array-like with slicing, which is streamed.
    :param rank: k, the number of eigenpairs.
    :param batch_size: the most images at a time; halved when memory runs out.
    :param key: ``jax.random.key``; the same key gives the same bits.
    :param subset: indices of the images to use, all by default.
    :param tolerance: a pair has converged when ‖G u − λ u‖ ≤ tolerance · λ (or is at rounding level).
    :param subspace: most vectors before a restart; 2 · rank + 10 by default, at least rank + 2 unless p is
        smaller.
    :param max_products: products with G before giving up on convergence; 4 · rank + 40 by default.
    :param trace_probes: forward-mode probes for Tr G; 0 leaves it NaN.
    :param storage: "device", "host", or a folder in which the vectors are kept as files; by default the
        device where it has room, else the host where that has.
    :param dtype: of the stored vectors: the weights' own by default, bfloat16 where that would take more
        than 1 GiB.
    :param state: a state handed to ``on_block`` by a run with the same arguments, to go on from there.
    :param on_block: called with a :class:`LanczosState` after every ``block`` products and every restart;
        :func:`~sluguq.slug.lanczos_state.save_state` writes it to a file. Such states stay good after the end, until
        the result is safe: where ``storage`` is a folder, ``lanczos-*.bin`` in it are then the caller's to remove.
    :param devices: devices that share each batch; by default those the images are sharded over.
    :param matmul_precision: of the products, see ``jax.default_matmul_precision``: Lanczos needs a symmetric
        operator, and TensorFloat-32 is not quite one.
    :param progress: show a progress bar on a terminal, and a line a minute where there is none.
    :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`, a state of another run, or vectors for which
        neither memory nor the folder's disk has room.
    """
    images = chosen(images, subset)
    apply, params = checked(apply, params, images)
    check_rank(rank, params)
    ggn = GGN(apply, params, images, batch_size=batch_size, devices=devices)
    subspace = subspace_of(rank, ggn.size) if subspace is None else min(ggn.size, max(subspace, rank + 2))
    limit = max(rank, 4 * rank + 40 if max_products is None else max_products)
    stored = _stored_dtype(dtype, rank, ggn)
    if state is not None and (
        state.projected.shape != (subspace, subspace)
        or state.vectors.shape != (state.step + 1, ggn.size)
        or state.vectors.dtype != ggn.dtype
    ):
        raise ValueError(
            f"the state belongs to another run: subspace and weights are {state.projected.shape[0]} and "
            f"{state.vectors.shape[1]} ({state.vectors.dtype}) there, {subspace} and {ggn.size} ({ggn.dtype}) here"
        )
    rows = _rows(storage, subspace, ggn, rank * ggn.size * stored.itemsize)
    with jax.default_matmul_precision(matmul_precision):
        lanczos = _Lanczos(ggn, rows, subspace, jax.random.fold_in(key, 0))
        if state is not None:
            lanczos.resume(state)
        values, coefficients, residuals, converged = _run(lanczos, rank, limit, tolerance, block, on_block, progress)
        vectors = rows.combine(coefficients, stored)
        if on_block is None:  # else what remains is long, and a run that is killed in it goes on from its last state
            rows.clear()
        trace, trace_sem = _trace(ggn, vectors, values, trace_probes, jax.random.fold_in(key, 1))
    if not converged.all():
        warnings.warn(
            f"{int((~converged).sum())} of {rank} eigenpairs have not converged to {tolerance:g} within "
            f"{lanczos.products} products; scores stay unbiased for the vectors found. Raise max_products or "
            f"tolerance, or lower rank",
            stacklevel=2,
        )
    return Eigenbasis(
        values, vectors, residuals, converged, _orthogonality(vectors), trace, trace_sem, lanczos.products
    )


def roomy_storage(subspace: int, parameters: int, itemsize: int) -> str | None:
    """The first of "device" and "host" that has room for Lanczos vectors and the work on them; None if neither has.

    On the device a restart takes the vectors twice and XLA may transpose a copy; on the host a state is a copy. Both
    leave as much again to the network, its images and all else.
    """
    room = subspace * parameters * itemsize
    if 4 * room <= memory_bytes():
        return "device"
    return "host" if 3 * room <= host_memory_bytes() else None


def _rows(storage: str | Path | None, subspace: int, ggn: GGN, result: int) -> Rows:
    """Room for the Lanczos vectors; in a folder, also for a ``result`` of so many bytes."""
    itemsize = ggn.dtype.itemsize
    needed = subspace * ggn.size * itemsize
    if storage is None:
        storage = roomy_storage(subspace, ggn.size, itemsize)
        if storage is None:
            raise ValueError(
                f"{subspace} vectors of {ggn.size} weights take {gigabytes(needed)}, and three times that to work on, "
                f"of {gigabytes(host_memory_bytes())} of memory: pass a folder as storage, or lower rank or subspace"
            )
    if storage == "device":
        return DeviceRows(subspace, ggn.size, ggn.dtype)
    if storage == "host":
        if 2 * needed > host_memory_bytes():
            raise ValueError(
                f'storage="host" needs {gigabytes(2 * needed)}, {subspace} vectors of {ggn.size} weights and a copy, '
                f"of {gigabytes(host_memory_bytes())} of memory: pass a folder, or lower rank or subspace"
            )
        return HostRows(subspace, ggn.size, ggn.dtype)
    folder = Path(storage)
    earlier = [*folder.glob("lanczos-*.bin"), folder / "vectors.bin"]  # taken up, or written over
    needed, free = scratch_bytes(subspace, ggn.size, itemsize) + result, free_bytes(folder) + occupied_bytes(earlier)
    if needed > free:
        raise ValueError(
            f"storage {folder} has {gigabytes(free)} free, but {subspace} vectors of {ggn.size} weights need up to "
            f"{gigabytes(needed)}: free some, choose another folder, or lower rank or subspace"
        )
    return HostRows(subspace, ggn.size, ggn.dtype, folder)


def _stored_dtype(dtype: Any, rank: int, ggn: GGN) -> Any:
    if dtype is not None:
        return jnp.dtype(dtype)
    return jnp.dtype(jnp.bfloat16) if rank * ggn.size * 4 > _LARGE else ggn.dtype


def _run(
    lanczos: _Lanczos,
    rank: int,
    limit: int,
    tolerance: float,
    block: int,
    on_block: Callable[[LanczosState], None] | None,
    progress: bool,
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
            if on_block is not None and (restarted or lanczos.products % block == 0):
                on_block(lanczos.state())
