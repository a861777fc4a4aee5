"""The leading Ritz pairs: found to what is asked, and nothing above them left.

The recurrence advances, one vector at a time, until the wanted pairs satisfy the stop rule; then a search with a
random vector (:mod:`sluguq.slug.missing`) asks whether an eigenvalue above the last of them has been missed. Where the
rule is a loose one, what is missing is most often a pair that has not come yet: the rule becomes ten times stricter and
the recurrence goes on as it was. What is still missing then is a copy of a repeated eigenvalue, which one vector cannot
see: random vectors join the block, which grows.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from sluguq.machine.progress import Progress
from sluguq.slug.lanczos_state import Checkpoint
from sluguq.slug.missing import search
from sluguq.slug.recurrence import GROWTH, Recurrence, rounding

_TIGHT = 0.01  # pairs this converged, and still one is missing: it will not come by itself
_MARGIN = 0.01  # above the last pair's eigenvalue from which on a missing one is looked for


class Stop(NamedTuple):
    """When the pairs are good enough.

    :ivar tolerance: a pair has converged when ‖G u − λ u‖ ≤ tolerance · λ, or is at rounding level.
    :ivar accuracy: all are good enough when :func:`incompleteness` is at most this; None asks each pair's tolerance.
    :ivar products: where to give up.
    """

    tolerance: float
    accuracy: float | None
    products: int


class Leading(NamedTuple):
    """Leading Ritz pairs.

    :ivar values: (k,) descending.
    :ivar coefficients: (j, k) in columns, on the rows of the recurrence.
    :ivar residuals: (k,) ‖G u − λ u‖.
    :ivar converged: (k,) to the tolerance.
    :ivar incompleteness: see :func:`incompleteness`.
    :ivar complete: whether a search found nothing left above them.
    """

    values: np.ndarray
    coefficients: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray
    incompleteness: float
    complete: bool = False


def incompleteness(values: np.ndarray, residuals: np.ndarray, rank: int) -> float:
    """The share of the images' mean SLUG by which it is too large, as Ritz pairs are no eigenpairs yet.

    Over the images of G, SLUG sums to Tr G − Σ θ, and Σ λ − Σ θ ≤ Σ min(r, r² / gap) for residuals r and gaps to what
    is left out (Kato and Temple). Tr G − Σ θ is at least the sum of the other Ritz values, so that this is an upper
    estimate.

    :param values: (j,) all Ritz values, descending.
    :param residuals: (j,) their residual norms.
    :param rank: k, how many are kept.
    :returns: 0 for a complete basis, infinity where no other Ritz value is known.
    """
    leading, norms, others = values[:rank], residuals[:rank], np.maximum(values[rank:], 0)
    if not norms.any():
        return 0.0
    if not others.any():
        return float("inf")
    gaps = np.maximum(leading - others[0], np.finfo(float).tiny)
    return float(np.minimum(norms, norms**2 / gaps).sum() / others.sum())


class Solver:
    """Brings a recurrence to its leading pairs.

    :param recurrence: where it stands.
    :param rank: k.
    :param stop: when to stop.
    """

    def __init__(self, recurrence: Recurrence, rank: int, stop: Stop) -> None:
        self.recurrence, self.rank, self.stop = recurrence, rank, stop
        self.floor = 16 * float(jnp.finfo(recurrence.ggn.dtype).eps)
        self.stricter = (0, 0)  # times that tolerance and accuracy have become ten times stricter

    @property
    def tolerance(self) -> float:
        """Of a pair, for the pairs to be looked through."""
        return self.stop.tolerance * 10.0 ** -self.stricter[0]

    @property
    def accuracy(self) -> float | None:
        """Of all pairs together, likewise."""
        return None if self.stop.accuracy is None else self.stop.accuracy * 10.0 ** -self.stricter[1]

    def run(self, checkpoint: Checkpoint, progress: bool) -> Leading:
        """The leading pairs; states are handed out on the way."""
        recurrence = self.recurrence
        if checkpoint.state is not None:
            self.stricter = checkpoint.state.stricter
        block = recurrence.products // checkpoint.block
        initial = recurrence.products
        with Progress(
            total=self.stop.products, initial=initial, desc="eigenbasis", unit="product", shown=progress
        ) as bar:
            while True:
                before = recurrence.products
                recurrence.advance()
                leading = self._looked_through()
                if leading is not None:
                    return leading
                restarted = self._make_room(len(recurrence.next))
                bar.update(recurrence.products - before)
                # The files of a state go with the second restart from then, so that every restart asks for a new one.
                due = recurrence.products // checkpoint.block > block
                if checkpoint.on_block is not None and (restarted or due):
                    block = recurrence.products // checkpoint.block
                    checkpoint.on_block(recurrence.state()._replace(stricter=self.stricter))

    def _make_room(self, width: int) -> bool:
        """Restart where the rows have no room for a block of this width.

        A third of the spare room stays with the Ritz vectors after the wanted ones.
        """
        recurrence = self.recurrence
        if recurrence.step + width <= recurrence.subspace:
            return False
        spare = recurrence.subspace - self.rank
        recurrence.restart(min(recurrence.step, self.rank + max(0, min(spare // 3, spare - 2 * width))))
        return True

    def _pairs(self) -> Leading:
        """The leading pairs as they stand."""
        values, coefficients, residuals = self.recurrence.ritz()
        rank = self.rank
        error = incompleteness(values, residuals, rank)
        converged = self._within(self.stop.tolerance, values[:rank], residuals[:rank])
        return Leading(values[:rank], coefficients[:, :rank], residuals[:rank], converged, error)

    def _looked_through(self) -> Leading | None:
        """The pairs once they are found and nothing above them is left, or it is time to give up; else None."""
        recurrence = self.recurrence
        exhausted = not len(recurrence.next)
        if recurrence.step < self.rank and not exhausted:
            return None
        leading = self._pairs()
        given_up = recurrence.products >= self.stop.products
        if recurrence.step == recurrence.ggn.size:
            return leading._replace(complete=True)
        settled = self._within(self.tolerance, leading.values, leading.residuals).all()
        if not settled and not exhausted and not self._accurate(leading):
            return leading if given_up else None
        if self._nothing_left(leading):
            return leading._replace(complete=True)
        if given_up:
            return leading
        if exhausted or (settled and self.tolerance <= _TIGHT):
            self._widen()
        else:
            self.stricter = self.stricter[0] + bool(settled), self.stricter[1] + 1
        return None

    def _within(self, tolerance: float, values: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Which pairs have residuals of at most this share of their eigenvalues, or at rounding level."""
        return residuals <= np.maximum(tolerance * values, self.floor * values[0])

    def _accurate(self, leading: Leading) -> bool:
        return self.accuracy is not None and leading.incompleteness <= self.accuracy

    def _widen(self) -> None:
        """Random vectors join the block, or take its place where there is no room for more."""
        recurrence = self.recurrence
        most = min(max(1, (recurrence.subspace - self.rank) // 2), recurrence.ggn.size - recurrence.step)
        width = min(GROWTH * max(1, len(recurrence.next)), most)
        if width <= len(recurrence.next):
            recurrence.restart(min(recurrence.step, self.rank))  # these have converged: little of them is given up
        self._make_room(width)
        recurrence.widen(width)

    def _nothing_left(self, leading: Leading) -> bool:
        """Whether a search finds nothing above the last pair."""
        last = leading.values[-1] if len(leading.values) == self.rank else 0.0
        threshold = max((1 + self.stop.tolerance) * last, rounding(self.recurrence.ggn.dtype) * leading.values[0])
        result = search(self.recurrence, threshold, max(threshold, (1 + _MARGIN) * last))
        self.recurrence.products += result.products
        self.recurrence.passes += result.products
        return not result.found
