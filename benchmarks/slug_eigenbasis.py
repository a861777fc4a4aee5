"""Eigenbases by several solvers on one product: what they take, and what their incompleteness does to SLUG.

    PYTHONPATH=src:benchmarks python benchmarks/slug_eigenbasis.py [--ranks 10 20 50] [--sizes small]

The error is that of SLUG without probe noise: ‖J‖² less ‖J u‖² of each vector, against a basis converged to 10⁻⁶.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg as sparse
from matfree import decomp

import sluguq
from slug_common import publish, table, trained
from sluguq.slug.ggn import GGN
from sluguq.slug.probes import probe_batch

KEY = jax.random.key(0)
QUIET = sluguq.Execution(progress=False)
SIZES = {"small": (32, 4, 3, 8, 60), "large": (64, 10, 4, 32, 20)}
TRAINING = 24


class Counted:
    """The matrix, with its products and passes counted."""

    def __init__(self, ggn: GGN) -> None:
        self.ggn, self.products, self.passes = ggn, 0, 0

    def vector(self, vector: Any) -> np.ndarray:
        return self.block(np.reshape(vector, (-1, 1)))[:, 0]

    def block(self, columns: Any) -> np.ndarray:
        columns = np.asarray(columns, np.float32)
        self.products += columns.shape[1]
        self.passes += 1
        return np.asarray(self.ggn.products(jnp.asarray(columns.T))).T


class Spent(NamedTuple):
    """One solver's vectors and what they took."""

    vectors: Any
    products: int
    passes: int
    seconds: float
    estimate: float = float("nan")


def ours(apply: Any, params: Any, images: Any, rank: int, **options: Any) -> Spent:
    solver = sluguq.Lanczos(trace_probes=0, accuracy=options.pop("accuracy", None))
    start = time.process_time()
    basis = sluguq.eigenbasis(
        apply, params, images, rank=rank, batch_size=32, key=KEY, execution=QUIET, solver=solver, **options
    )
    spent = time.process_time() - start
    return Spent(basis.vectors, basis.products, basis.passes, spent, basis.incompleteness)


def operator(counted: Counted) -> Any:
    size = counted.ggn.size
    return sparse.LinearOperator((size, size), counted.vector, matmat=counted.block, dtype=np.float32)


def eigsh(counted: Counted, rank: int) -> np.ndarray:
    return sparse.eigsh(operator(counted), rank, tol=1e-1)[1].T


def lobpcg(counted: Counted, rank: int) -> np.ndarray:
    start = np.random.default_rng(0).normal(size=(counted.ggn.size, rank)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sparse.lobpcg(operator(counted), start, maxiter=6, tol=1e-2)[1].T


def matfree(counted: Counted, rank: int, depth: int) -> np.ndarray:
    """Lanczos of a given depth, fully reorthogonalised; the product is called back, as a network's is outside jit."""
    size = counted.ggn.size
    shape = jax.ShapeDtypeStruct((size,), jnp.float32)

    def product(vector: jax.Array) -> jax.Array:
        return jax.pure_callback(lambda one: counted.vector(one).astype(np.float32), shape, vector)

    result = decomp.tridiag_sym(depth, reortho="full")(product, jax.random.normal(KEY, (size,)))
    coefficients = np.linalg.eigh(np.asarray(result.J_small, np.float64))[1][:, ::-1][:, :rank]
    return coefficients.T @ np.asarray(result.Q_tall, np.float64)


def clocked(counted: Counted, solve: Callable[[], np.ndarray]) -> Spent:
    counted.products = counted.passes = 0
    start = time.process_time()
    vectors = solve()
    return Spent(vectors, counted.products, counted.passes, time.process_time() - start)


def taken(ggn: GGN, vectors: Any) -> np.ndarray:
    """Σ ‖J u‖² of each image."""
    total = np.zeros(ggn.batches.n)
    vectors = jnp.asarray(vectors, jnp.float32)
    for batch, (images, _) in enumerate(ggn.batches):
        energies, _ = probe_batch(ggn.apply, ggn.params, images, vectors, maps=False, width=1)
        part = ggn.batches.part(batch)
        total[part] = np.asarray(energies, np.float64).sum(0)[: part.stop - part.start]
    return total


def rows(name: str, ranks: list[int]) -> list[list[str]]:
    apply, params, images, test = trained(*SIZES[name])
    images = images[:TRAINING]
    ggn, seen = GGN(apply, params, images, batch_size=32), GGN(apply, params, test, batch_size=32)
    counted = Counted(ggn)
    counted.vector(np.ones(ggn.size))  # compiles
    norms = sluguq.score(apply, params, None, test, tolerance=0.02, key=KEY, execution=QUIET).slug
    lines = []
    for rank in ranks:
        truth = norms - taken(seen, ours(apply, params, images, rank, tolerance=1e-6).vectors)
        ways = {
            "to 1 % of SLUG (the workflow's)": lambda k=rank: ours(apply, params, images, k, accuracy=0.01),
            "to 5 % of SLUG": lambda k=rank: ours(apply, params, images, k, accuracy=0.05),
            "tolerance 1e-3": lambda k=rank: ours(apply, params, images, k),
            "scipy eigsh, tolerance 0.1": lambda k=rank: clocked(counted, lambda: eigsh(counted, k)),
            "scipy LOBPCG, 6 iterations": lambda k=rank: clocked(counted, lambda: lobpcg(counted, k)),
            "matfree, depth 1.5 k": lambda k=rank: clocked(counted, lambda: matfree(counted, k, k + k // 2)),
        }
        for way, solve in ways.items():
            spent = solve()
            error = (norms - taken(seen, spent.vectors)) / truth - 1
            lines.append(
                [
                    f"{ggn.size:,} weights",
                    str(rank),
                    way,
                    str(spent.products),
                    str(spent.passes),
                    f"{spent.seconds:.1f}",
                    f"{np.sqrt((error**2).mean()):.2%}",
                    f"{error.mean():.2%}",
                    "" if np.isnan(spent.estimate) else f"{spent.estimate:.2%}",
                ]
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    given = parser.parse_args()
    head = ["network", "rank", "solver", "products", "passes", "processor s", "rms error of SLUG", "mean", "estimated"]
    lines = [line for size in given.sizes for line in rows(size, given.ranks)]
    body = (
        f"{TRAINING} training images, 24 test images. The error is what the basis's incompleteness does to SLUG; "
        "`estimated` is what the basis says of its mean. Products of the search for missed eigenvalues are counted.\n\n"
    )
    publish("Eigenbases", "benchmarks/slug_eigenbasis.py", body + table(head, lines))


if __name__ == "__main__":
    main()
