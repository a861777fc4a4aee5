"""Whether a Krylov space has missed an eigenvalue above those it found.

A start vector sees one direction of an eigenspace, whatever its dimension, and calls itself converged. So a
fresh random vector r is run through Lanczos on the deflated matrix

    A = (I − QQᵀ) G (I − QQᵀ),

Q being all that is known. A Ritz value of A above the level asked about shows that something is missing. The
other way round, let w be an eigenvector of A whose eigenvalue is at least the level, and p₀, p₁, … the
orthonormal polynomials of r's spectral measure, which the three-term recurrence gives. The coefficients of w on
the Lanczos vectors are (w·r) pₗ(λ), and their squares sum to at most one, so that

    abs(w·r) ≤ (Σₗ pₗ(λ)²)^(−1/2) ≤ (Σₗ pₗ(level)²)^(−1/2),

the second as all zeros of pₗ lie below the level. But w·r is a standard normal number, which is that small only
with a probability of √(2/π) times the bound. The bound falls as quickly as the power of a polynomial that is small
on the spectrum and large at the level: the steeper the spectrum, the fewer products.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from sluguq.slug.norms import norm
from sluguq.slug.recurrence import Recurrence

DOUBT = 1e-3
"""Probability with which an eigenvalue above the level may be overlooked."""


class Search(NamedTuple):
    """What a search found.

    :ivar found: whether an eigenvalue above the threshold is missing.
    :ivar products: products with G that it took.
    """

    found: bool
    products: int


def search(recurrence: Recurrence, threshold: float, level: float) -> Search:
    """Look for an eigenvalue of G outside the rows.

    :param recurrence: what is known.
    :param threshold: a Ritz value above it is missing from the rows.
    :param level: at least ``threshold``; the search ends when nothing at or above it can be left, but for ``DOUBT``.
    """
    outside = recurrence.ggn.size - recurrence.step  # dimensions of where A does not vanish
    vector = recurrence.random(1)[0]
    length = norm(vector)
    vector, before, beta = vector / length, jnp.zeros_like(vector), 0.0
    value, value_before = 1 / length, 0.0
    total = value**2
    alphas: list[float] = []
    betas: list[float] = []
    while len(alphas) < outside:
        image, _ = recurrence.orthogonalised(recurrence.ggn.product(vector))
        alpha = float(jnp.vdot(vector, image))
        image = image - alpha * vector - beta * before
        alphas.append(alpha)
        if np.linalg.eigvalsh(np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1))[-1] > threshold:
            return Search(True, len(alphas))
        fresh = norm(image)
        if fresh == 0:
            break
        value, value_before = ((level - alpha) * value - beta * value_before) / fresh, value
        total += value**2
        if (2 / np.pi) ** 0.5 * total**-0.5 <= DOUBT:
            break
        before, vector, beta = vector, image / fresh, fresh
        betas.append(beta)
    return Search(False, len(alphas))
