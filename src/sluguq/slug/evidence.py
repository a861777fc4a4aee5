"""How well a prior precision suits a trained network, from the eigenvalues of G and its trace.

With prior N(0, I/α) on the p weights and N(f, σ²) on every output, the Laplace approximation of the log marginal
likelihood at the trained weights w is (MacKay, "Bayesian interpolation", Neural Computation 4, 1992)

    log p(D | w) − α/2 ‖w‖² − ½ Σᵢ log(1 + λᵢ / (α σ²)),

with the eigenvalues λ of G, which belongs to σ = 1. Only the first k are known, and the trace, the sum of all. The
others lie between two extremes of equal sum, all equal or each as large as λₖ, which bound the sum of logarithms from
above and below as the logarithm is concave; in between, they are taken to go on falling by one ratio.
"""

from typing import NamedTuple

import numpy as np


class Evidence(NamedTuple):
    """A log marginal likelihood.

    :ivar value: with the unknown eigenvalues falling by one ratio.
    :ivar lower: with the unknown eigenvalues all equal.
    :ivar upper: with as many as possible of them as large as the last that is known.
    """

    value: float
    lower: float
    upper: float


def tail(eigenvalues: np.ndarray, trace: float, count: int) -> np.ndarray:
    """The ``count`` eigenvalues after these, falling by one ratio, with the sum that the trace leaves to them.

    Those below 10⁻¹² of the first are left out.
    """
    last, rest = float(eigenvalues[-1]), max(0.0, trace - float(eigenvalues.sum()))
    if count == 0 or rest == 0 or last <= 0:
        return np.zeros(0)
    if rest >= count * last:
        return np.full(count, rest / count)
    low, high = 0.0, 1.0
    for _ in range(60):
        ratio = (low + high) / 2
        reached = ratio * -np.expm1(count * np.log(ratio)) / (1 - ratio) if ratio < 1 else count
        low, high = (ratio, high) if reached < rest / last else (low, ratio)
    number = min(count, int(np.ceil(-12 * np.log(10) / np.log(low))) + 1) if low > 0 else 1
    return last * low ** np.arange(1, number + 1)


def log_determinant(eigenvalues: np.ndarray, trace: float, parameters: int, scale: float) -> Evidence:
    """Σ log(1 + λ / scale) over all ``parameters`` eigenvalues, and its bounds.

    :param eigenvalues: leading ones, falling.
    :param trace: of the matrix.
    :param parameters: number of weights.
    :param scale: what an eigenvalue is compared with, α σ².
    :raises ValueError: where the trace is not known.
    """
    _check_trace(trace)
    leading = float(np.log1p(eigenvalues / scale).sum())
    count, last = parameters - len(eigenvalues), float(eigenvalues[-1])
    rest = max(0.0, trace - float(eigenvalues.sum()))
    if count == 0 or rest == 0:
        return Evidence(leading, leading, leading)
    equal = count * np.log1p(rest / count / scale)
    largest = rest / last * np.log1p(last / scale) if rest < count * last else equal
    falling = float(np.log1p(tail(eigenvalues, trace, count) / scale).sum())
    return Evidence(leading + falling, leading + float(largest), leading + float(equal))


def effective_parameters(eigenvalues: np.ndarray, trace: float, parameters: int, scale: float) -> float:
    """γ = Σ λ / (λ + scale), the number of directions that the data determine rather than the prior.

    :param eigenvalues: leading ones, falling.
    :param trace: of the matrix.
    :param parameters: number of weights.
    :param scale: what an eigenvalue is compared with, α σ².
    """
    _check_trace(trace)
    values = np.concatenate([eigenvalues, tail(eigenvalues, trace, parameters - len(eigenvalues))])
    return float((values / (values + scale)).sum())


def best_precision(
    eigenvalues: np.ndarray, trace: float, parameters: int, squared_norm: float, noise_variance: float
) -> float:
    """The α of the largest log marginal likelihood, α ‖w‖² = γ(α σ²): the left side rises and the right one falls.

    :param eigenvalues: leading ones, falling.
    :param trace: of the matrix.
    :param parameters: number of weights.
    :param squared_norm: ‖w‖² of the weights.
    :param noise_variance: σ² of the likelihood.
    :raises ValueError: where the trace is not known, or all weights or eigenvalues are zero.
    """
    if not squared_norm > 0 or not eigenvalues[0] > 0:
        raise ValueError("the best prior precision is infinite: all weights, or all eigenvalues, are zero")
    low, high = np.log(1e-30), np.log(1e30)
    for _ in range(100):
        middle = (low + high) / 2
        alpha = float(np.exp(middle))
        determined = effective_parameters(eigenvalues, trace, parameters, alpha * noise_variance)
        low, high = (middle, high) if alpha * squared_norm < determined else (low, middle)
    return float(np.exp((low + high) / 2))


def _check_trace(trace: float) -> None:
    if not np.isfinite(trace):
        raise ValueError("the basis has no estimate of Tr G: compute it with trace probes, 8 by default")
