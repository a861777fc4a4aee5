"""The block Lanczos recurrence: rows, the projected matrix, and where it stands.

Each new vector is orthogonalised twice against all before it (classical Gram-Schmidt, "twice is
enough"), so no eigenvalue comes back as a ghost. When the subspace is full it is restarted thickly:
the leading Ritz vectors and the last residuals are kept (Wu and Simon, SIAM J. Matrix Anal. Appl. 22,
2000). A block holds one vector as long as that does, since depth brings more than width for the same
products; it is widened by random vectors where eigenvalues turn out to be repeated.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.fingerprint import fingerprint
from sluguq.slug.ggn import GGN
from sluguq.slug.lanczos_state import LanczosState
from sluguq.slug.norms import norm
from sluguq.slug.probes import draw
from sluguq.slug.rows import Rows

GROWTH = 3
"""How many times wider a block becomes that has missed copies: three colours are seen at once."""


def rounding(dtype: Any) -> float:
    """The share of the largest eigenvalue below which one is rounding, and no direction that the data determine.

    A product Jᵀ(Jv) is exact to a share of ‖Jv‖, so that zeros come out at about eps² of the largest eigenvalue, and at
    eps of float64, in which the small matrix is decomposed. A hundredth of eps is far above both, in float32.
    """
    return max(0.01 * float(jnp.finfo(dtype).eps), 16 * float(np.finfo(np.float64).eps))


class Recurrence:
    """A basis Q of a Krylov space, row by row, with G Q = Q T + N C.

    :param ggn: the matrix.
    :param rows: room for Q.
    :param subspace: the most rows.
    :param key: of random vectors.
    :ivar projected: (subspace, subspace) T.
    :ivar step: how many rows have been multiplied by G.
    :ivar next: (b, p) N, the next block, orthonormal and orthogonal to the rows; none where all is seen.
    :ivar coupling: (b, c) C, from the last c rows to the next block.
    :ivar lost: (subspace,) norms of what G took each row to and was given up.
    :ivar products: vectors multiplied by G.
    :ivar passes: passes over the images.
    """

    def __init__(self, ggn: GGN, rows: Rows, subspace: int, key: jax.Array) -> None:
        self.ggn, self.rows, self.subspace, self.key = ggn, rows, subspace, key
        self.projected = np.zeros((subspace, subspace))
        self.lost = np.zeros(subspace)
        self.step = self.products = self.passes = 0
        start = draw(key, 0, 1, ggn.size, ggn.dtype)
        self._fingerprint = fingerprint(ggn.params)
        self.next = start / jnp.linalg.norm(start)
        self.coupling = np.zeros((1, 0))

    @property
    def scale(self) -> float:
        """The largest entry of T: G's norm, as far as it is known."""
        return float(np.abs(self.projected).max())

    def resume(self, state: LanczosState) -> None:
        """Go on from a state."""
        self.rows.restore(state.vectors)
        self.next = jnp.asarray(state.vectors[state.step :])
        self.projected, self.lost = np.array(state.projected), np.array(state.lost)
        self.step, self.products, self.passes = int(state.step), int(state.products), int(state.passes)

    def state(self) -> LanczosState:
        """All that is needed to go on."""
        self._write_next()  # where the next step would put it anyway
        vectors = self.rows.view(self.step + len(self.next))
        return LanczosState(
            vectors,
            self.projected.copy(),
            self.step,
            self.products,
            self.passes,
            self.lost.copy(),
            fingerprint=self._fingerprint,
        )

    def _write_next(self) -> None:
        for index, vector in enumerate(self.next):
            self.rows.write(self.step + index, vector)

    def orthogonalised(self, vector: jax.Array) -> tuple[jax.Array, np.ndarray]:
        """The part of ``vector`` outside the rows, and its coefficients on them."""
        coefficients = self.rows.dots(vector)
        vector = self.rows.less(vector, coefficients)
        correction = self.rows.dots(vector)
        return self.rows.less(vector, correction), coefficients + correction

    def advance(self) -> None:
        """One pass over the images: the next block joins the rows, and G takes it to the block after it."""
        self._write_next()
        start = self.step
        images = self.ggn.products(self.next)
        self.step, self.passes = start + len(images), self.passes + 1
        self.products += len(images)
        rests = []
        for column, image in enumerate(images, start):
            rest, coefficients = self.orthogonalised(image)
            rests.append(rest)
            self.projected[: self.step, column] = self.projected[column, : self.step] = coefficients[: self.step]
        self._set_next(rests if self.step < self.ggn.size else [])

    def _set_next(self, rests: list[jax.Array]) -> None:
        """The next block from what G took the last one to outside the rows; what is rounding is left out."""
        eps = float(jnp.finfo(self.ggn.dtype).eps)
        units: list[jax.Array] = []
        coupling = np.zeros((len(rests), len(rests)))
        for index, vector in enumerate(rests):
            rest, parts = _outside(vector, units)
            coupling[: len(units), index] = parts
            length = norm(rest)
            if length <= rounding(self.ggn.dtype) * self.scale:
                continue
            unit: jax.Array | None = rest / length
            if length < eps**0.5 * self.scale:
                unit = self._clean(rest / length, units)
            if unit is not None:
                coupling[len(units), index] = length
                units.append(unit)
        room = max(0, self.ggn.size - self.step)
        units = units[:room]
        self.next = jnp.stack(units) if units else jnp.zeros((0, self.ggn.size), self.ggn.dtype)
        self.coupling = coupling[: len(units)]
        self._couple()

    def _clean(self, unit: jax.Array, block: list[jax.Array]) -> jax.Array | None:
        """A unit vector that was nearly rounding, orthogonal to everything again; None where that leaves too little."""
        rest, _ = _outside(self.orthogonalised(unit)[0], block)
        length = norm(rest)
        return rest / length if length > 0.5 else None

    def _couple(self) -> None:
        """The coupling's place in T, where there is room for the next block at all."""
        stop, count = self.step + len(self.next), self.coupling.shape[1]
        if stop <= self.subspace:
            self.projected[self.step : stop, self.step - count : self.step] = self.coupling
            self.projected[self.step - count : self.step, self.step : stop] = self.coupling.T

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values (descending), coefficients (j, j) in columns, residual norms."""
        values, coefficients = np.linalg.eigh(self.projected[: self.step, : self.step])
        values, coefficients = values[::-1], coefficients[:, ::-1]
        coupled = self.coupling @ coefficients[self.step - self.coupling.shape[1] :]
        unknown = self.lost[: self.step] ** 2 @ coefficients**2
        return values, coefficients, np.sqrt((coupled**2).sum(axis=0) + unknown)

    def restart(self, kept: int) -> None:
        """Rows become the leading ``kept`` Ritz vectors; the next block stays."""
        values, coefficients, _ = self.ritz()
        leading = coefficients[:, :kept]
        self.rows.rotate(leading)
        self.coupling = self.coupling @ leading[self.step - self.coupling.shape[1] :]
        errors = np.sqrt(self.lost[: self.step] ** 2 @ leading**2)
        self.projected, self.lost = np.zeros_like(self.projected), np.zeros_like(self.lost)
        np.fill_diagonal(self.projected[:kept, :kept], values[:kept])
        self.lost[:kept] = errors
        self.step = kept
        self._couple()

    def random(self, count: int) -> jax.Array:
        """(count, p) normal vectors, less what lies in the rows."""
        normals = draw(jax.random.fold_in(self.key, 1 + self.products), 0, count, self.ggn.size, self.ggn.dtype)
        return jnp.stack([self.orthogonalised(vector)[0] for vector in normals])

    def widen(self, width: int) -> None:
        """Random vectors make the next block ``width`` wide, or take its place where it is as wide already.

        What the rows' images lose by that is remembered in their residuals.
        """
        if width <= len(self.next):
            count = self.coupling.shape[1]
            part = slice(self.step - count, self.step)
            self.lost[part] = np.sqrt(self.lost[part] ** 2 + (self.coupling**2).sum(axis=0))
            self.coupling, self.next = np.zeros((0, count)), self.next[:0]
        coupling = self.coupling
        fresh = list(self.random(width - len(self.next)))
        block: list[jax.Array] = list(self.next)
        for vector in fresh:
            rest, _ = _outside(vector / jnp.linalg.norm(vector), block)
            block.append(rest / jnp.linalg.norm(rest))
        self.next = jnp.stack(block)
        self.coupling = np.zeros((width, coupling.shape[1]))
        self.coupling[: len(coupling)] = coupling
        self._couple()


def _outside(vector: jax.Array, block: list[jax.Array]) -> tuple[jax.Array, np.ndarray]:
    """The part of a vector outside an orthonormal block, and its coefficients on it."""
    coefficients = np.zeros(len(block))
    for _ in range(2):
        for index, before in enumerate(block):
            part = jnp.vdot(before, vector)
            vector = vector - part * before
            coefficients[index] += float(part)
    return vector, coefficients
