"""Many long vectors: on the device, in host memory, or in a folder.

Lanczos needs four things of its basis Q ∈ R^{j×p}: append a row, Q v, v − Qᵀc, and SᵀQ. Host memory and the
folder give them without a second copy of Q, and the folder needs only a block of columns in memory.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.disk import reserve
from sluguq.slug.budget import Budget


def column_blocks(rows: int, columns: int, itemsize: int, block_bytes: int) -> Iterator[slice]:
    """Slices of columns such that a (rows, columns) block takes about ``block_bytes``.

    :param rows: of the block.
    :param columns: of the whole array.
    :param itemsize: bytes of a number.
    :param block_bytes: how large a block may be.
    """
    width = max(1, block_bytes // max(1, rows * itemsize))
    for start in range(0, columns, width):
        yield slice(start, min(columns, start + width))


PARTIAL = "vectors.partial.bin"
"""File of a result until it is whole."""

KEPT = "vectors-*.bin"
"""Files of whole results, numbered."""


class Rows(Protocol):
    """Room for ``capacity`` rows of length p; rows not yet written count as zero."""

    def restore(self, rows: np.ndarray) -> None:
        """The first rows are these, of an earlier run's :meth:`view`."""

    def write(self, index: int, row: jax.Array) -> None:
        """Row ``index`` becomes ``row``."""

    def dots(self, vector: jax.Array) -> np.ndarray:
        """Q v, (capacity,), float64."""

    def less(self, vector: jax.Array, coefficients: np.ndarray) -> jax.Array:
        """v − Qᵀ c."""

    def rotate(self, matrix: np.ndarray) -> None:
        """Q[:l] becomes Sᵀ Q[:j] for S of shape (j, l), and the rows after it count as zero."""

    def combine(self, matrix: np.ndarray, dtype: Any) -> Any:
        """Sᵀ Q[:j], (l, p), in ``dtype``, as the store keeps arrays."""

    def keep(self, combined: Any) -> Any:
        """What :meth:`combine` gave, in a file of its own where it is in one, which no later basis writes over."""

    def view(self, count: int) -> np.ndarray:
        """The first ``count`` rows as a NumPy array: a copy, or a read-only map of the file."""

    def clear(self) -> None:
        """No row is needed any more."""


@partial(jax.jit, donate_argnames="buffer")
def _write(buffer, index, row):
    return buffer.at[index].set(row)


@jax.jit
def _dots(buffer, vector):
    return jnp.matmul(buffer, vector, precision="highest")


@jax.jit
def _less(buffer, vector, coefficients):
    return vector - jnp.matmul(coefficients, buffer, precision="highest")


@partial(jax.jit, static_argnames="dtype")
def _combine(buffer, matrix, dtype):
    return jnp.matmul(matrix.T, buffer, precision="highest").astype(dtype)


class DeviceRows:
    """Rows in the device's memory."""

    def __init__(self, capacity: int, length: int, dtype: Any) -> None:
        self.buffer = jnp.zeros((capacity, length), dtype)

    def restore(self, rows: np.ndarray) -> None:
        for index, row in enumerate(rows):
            self.write(index, jnp.asarray(row))

    def write(self, index: int, row: jax.Array) -> None:
        self.buffer = _write(self.buffer, index, row)

    def dots(self, vector: jax.Array) -> np.ndarray:
        return np.asarray(_dots(self.buffer, vector), np.float64)

    def less(self, vector: jax.Array, coefficients: np.ndarray) -> jax.Array:
        return _less(self.buffer, vector, jnp.asarray(coefficients, vector.dtype))

    def rotate(self, matrix: np.ndarray) -> None:
        whole = np.zeros((len(self.buffer), len(self.buffer)))
        whole[: matrix.shape[0], : matrix.shape[1]] = matrix
        self.buffer = self.combine(whole, self.buffer.dtype)

    def combine(self, matrix: np.ndarray, dtype: Any) -> jax.Array:
        whole = np.zeros((len(self.buffer), matrix.shape[1]))
        whole[: matrix.shape[0]] = matrix
        return _combine(self.buffer, jnp.asarray(whole, self.buffer.dtype), jnp.dtype(dtype))

    def keep(self, combined: Any) -> Any:
        return combined

    def view(self, count: int) -> np.ndarray:
        return np.asarray(self.buffer[:count])  # the slice is a copy already

    def clear(self) -> None:
        self.buffer = self.buffer[:0]


class HostRows:
    """Rows in host memory, or, with ``folder``, in a file there that is mapped into memory.

    Every rotation writes a new file; the one before stays until the next rotation, so that a
    :class:`~sluguq.slug.lanczos_state.LanczosState` handed out in between stays true. A run that goes on from
    such a state takes its file up as it is: rows are only ever added to it.
    """

    def __init__(
        self,
        capacity: int,
        length: int,
        dtype: Any,
        folder: Path | None = None,
        block_bytes: int = Budget.block_bytes,
    ) -> None:
        self.shape, self.dtype, self.folder = (capacity, length), np.dtype(dtype), folder
        self.block_bytes = block_bytes
        self.written = 0
        self.generation = 1 + max((int(path.stem.split("-")[1]) for path in self._files()), default=0)
        self.buffer = np.zeros((0, length), dtype)

    def _files(self) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob("lanczos-*.bin"))

    def _current(self) -> str:
        return f"lanczos-{self.generation}.bin"

    def _room(self, name: str, shape: tuple[int, int], dtype: np.dtype, mode: Any = "w+") -> np.ndarray:
        if self.folder is None:
            return np.zeros(shape, dtype)
        self.folder.mkdir(parents=True, exist_ok=True)
        if mode == "w+":
            reserve(self.folder / name, math.prod(shape) * dtype.itemsize)
        return np.memmap(self.folder / name, dtype, mode="r+", shape=shape)

    def _forget_others(self) -> None:
        for path in self._files():
            if path.name != self._current():
                path.unlink()

    def restore(self, rows: np.ndarray) -> None:
        file = getattr(rows, "filename", None)
        if self.folder is None or file is None or Path(file).parent.resolve() != self.folder.resolve():
            for index, row in enumerate(rows):
                self.write(index, row)
            return
        self.generation = int(Path(file).stem.split("-")[1])
        self._forget_others()
        self.buffer = self._room(self._current(), self.shape, self.dtype, "r+")
        self.written = len(rows)

    def write(self, index: int, row: Any) -> None:
        if not len(self.buffer):
            self._forget_others()  # of a run that nobody goes on with
            self.buffer = self._room(self._current(), self.shape, self.dtype)
        self.buffer[index] = np.asarray(row)
        self.written = max(self.written, index + 1)

    def _blocks(self) -> Iterator[slice]:
        return column_blocks(*self.shape, self.dtype.itemsize, self.block_bytes)

    def dots(self, vector: jax.Array) -> np.ndarray:
        host = np.asarray(vector)
        total = np.zeros(self.shape[0])
        for block in self._blocks():
            total[: self.written] += self.buffer[: self.written, block] @ host[block]
        return total

    def less(self, vector: jax.Array, coefficients: np.ndarray) -> jax.Array:
        host = np.array(vector)
        scaled = coefficients[: self.written].astype(self.dtype)
        for block in self._blocks():
            host[block] -= scaled @ self.buffer[: self.written, block]
        return jnp.asarray(host)

    def rotate(self, matrix: np.ndarray) -> None:
        rotated = self.buffer
        if self.folder is not None:
            self._forget_others()
            self.generation += 1
            rotated = self._room(self._current(), self.shape, self.dtype)
        j, count = matrix.shape
        for block in self._blocks():
            rotated[:count, block] = matrix.T.astype(self.dtype) @ self.buffer[:j, block]
        self.buffer, self.written = rotated, count

    def combine(self, matrix: np.ndarray, dtype: Any) -> np.ndarray:
        j, count = matrix.shape
        result = self._room(PARTIAL, (count, self.shape[1]), np.dtype(dtype))
        for block in column_blocks(j, self.shape[1], self.dtype.itemsize, self.block_bytes):
            result[:, block] = (matrix.T.astype(self.dtype) @ self.buffer[:j, block]).astype(dtype)
        return result

    def keep(self, combined: Any) -> np.ndarray:
        if self.folder is None:
            return combined
        combined.flush()
        number = 1 + max((int(path.stem.split("-")[1]) for path in self.folder.glob(KEPT)), default=0)
        path = self.folder / KEPT.replace("*", str(number))
        (self.folder / PARTIAL).rename(path)
        return np.memmap(path, combined.dtype, mode="r+", shape=combined.shape)

    def view(self, count: int) -> np.ndarray:
        if self.folder is None:
            return self.buffer[:count].copy()
        self.buffer.flush()  # type: ignore[attr-defined]
        view = self.buffer[:count]
        view.flags.writeable = False
        return view

    def clear(self) -> None:
        self.buffer, self.written = np.zeros((0, self.shape[1]), self.dtype), 0
        for path in self._files():
            path.unlink()
