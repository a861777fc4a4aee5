"""Standard errors are neither too small nor too large: intervals hold the exact score as often as they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest, norm

import sluguq
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.execution import Execution
from sluguq.slug.score import Probing
from sluguq.slug.sketch import apply_sketch, make_sketch
from sluguq.slug.sketched import SketchedBasis

QUIET = Execution(progress=False)

IMAGES, SIDE, RANK, PROBES, KEYS = 40, 24, 3, 96, 30
LEVEL = 1e-3  # of the binomial test: 1,200 intervals of 95 % are refused where standard errors are 15 % too small


def falling_root() -> np.ndarray:
    """A root of a falling spectrum, turned, since signs see no variance in a diagonal matrix."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(SIDE, SIDE)))[0]
    return (np.geomspace(1, 0.2, SIDE)[:, None] * turn).astype(np.float32)


ROOT = falling_root()
# Image i is row i of the identity: it uses weights and outputs that no other image does, so that what it sees of
# a shared probe is its own, and a key gives as many independent intervals as there are images.
EACH = np.eye(IMAGES, dtype=np.float32)[:, :, None, None]


def apply(params, images):
    """A linear network, (n, IMAGES, SIDE, 1)."""
    return jnp.einsum("oi,nai->nao", ROOT, images[:, :, :, 0] * params["w"])[..., None]


@pytest.fixture(scope="module")
def network():
    """The network with the leading directions of every image."""
    values, own = np.linalg.eigh(ROOT.T @ ROOT)
    vectors = np.concatenate([np.kron(np.eye(IMAGES), own[:, -1 - i]) for i in range(RANK)]).astype(np.float32)
    zeros = np.zeros(len(vectors))
    eigenvalues = np.repeat(values[::-1][:RANK], IMAGES)
    basis = Eigenbasis(eigenvalues, vectors, zeros, np.ones(len(vectors), bool), 0.0, np.nan, np.nan, 0)
    return apply, {"w": jnp.ones((IMAGES, SIDE))}, basis, EACH


def coverage(estimate, exact: float) -> float:
    """The p-value of 95 % for how many intervals hold, over images and keys."""
    pairs = [estimate(jax.random.key(seed)) for seed in range(KEYS)]
    estimates, errors = (np.stack(column) for column in zip(*pairs, strict=True))
    held = (np.abs(estimates - exact) <= norm.ppf(0.975) * errors).sum()
    return binomtest(int(held), estimates.size, 0.95).pvalue


SQUARES = np.linalg.svd(ROOT, compute_uv=False).astype(np.float64) ** 2


@pytest.mark.parametrize(
    "options",
    [
        {"probing": Probing(directions=0, norm_probes=0)},
        {"probing": Probing(directions=4, norm_probes=0)},
        {"probing": Probing(directions=4, norm_probes=0), "tolerance": 0.03, "probes": 32},
    ],
    ids=["plain", "exact directions", "tolerance"],
)
def test_score(network, options):
    def estimate(key):
        scores = sluguq.score(*network, **{"probes": PROBES, **options}, key=key, execution=QUIET)
        return scores.slug, scores.slug_sem

    assert coverage(estimate, SQUARES[RANK:].sum()) > LEVEL


def test_jacobian_norm(network):
    """Of 120 directions 48 are taken singly here, and the others in random combinations."""

    def estimate(key):
        scores = sluguq.score(
            *network, probes=PROBES, probing=Probing(norm_probes=PROBES, directions=0), key=key, execution=QUIET
        )
        return scores.jacobian_norm, scores.jacobian_norm_sem

    assert coverage(estimate, SQUARES.sum()) > LEVEL


def test_sketched_score_under_a_sketch_that_loses_nothing(network):
    apply, params, basis, images = network
    sketch = make_sketch(jax.random.key(0), IMAGES * SIDE, IMAGES * SIDE)
    rows = jnp.stack([apply_sketch(sketch, row) for row in jnp.asarray(basis.vectors)])
    seen = SketchedBasis(basis.eigenvalues, rows, basis.residuals, sketch, 0, 0, 0, 0)

    def estimate(key):
        scores = sluguq.score_sketched(
            apply, params, seen, images[:20], probes=PROBES, batch_size=PROBES, key=key, execution=QUIET
        )
        return scores.slug, scores.slug_sem

    assert coverage(estimate, SQUARES[RANK:].sum()) > LEVEL
