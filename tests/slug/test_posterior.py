"""The Laplace approximation against dense matrices in float64, and against laplax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import sluguq
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.evidence import log_determinant, tail
from sluguq.slug.exact import dense_ggn, jacobian
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)
ALPHA, NOISE = 0.7, 0.3


def basis_of(matrix, rank):
    """The exact leading pairs of a dense matrix, as ``eigenbasis`` returns them."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1][:rank], vectors.T[::-1][:rank]
    return Eigenbasis(
        eigenvalues=values,
        vectors=jnp.asarray(vectors),
        residuals=np.zeros(rank),
        converged=np.ones(rank, bool),
        orthogonality=0.0,
        trace=float(np.trace(matrix)),
        trace_sem=0.0,
        products=0,
    )


@pytest.fixture
def problem(x64):
    params, images = mlp_params(hidden=2), pictures(4)
    matrix = dense_ggn(mlp, params, images)
    return params, images, matrix


def covariance(matrix):
    return np.linalg.inv(matrix / NOISE**2 + ALPHA * np.eye(len(matrix)))


def test_variance_is_that_of_the_dense_covariance(problem):
    params, images, matrix = problem
    posterior = sluguq.posterior(basis_of(matrix, len(matrix)), prior_precision=ALPHA, noise=NOISE)
    few, many = (
        posterior.variance(mlp, params, images, probes=probes, key=KEY, batch_size=3) for probes in (256, 4096)
    )
    rows = [np.asarray(jacobian(mlp, params, image)) for image in images]
    exact = np.stack([np.diag(row @ covariance(matrix) @ row.T) for row in rows]).reshape(images.shape)
    assert many.epistemic.shape == images.shape
    for found in (few, many):
        away = (found.epistemic - exact) / found.sem
        assert 0.8 < np.sqrt(np.mean(away**2)) < 1.25  # the standard error is honest
    assert np.abs(many.epistemic / exact - 1).mean() < 0.4 * np.abs(few.epistemic / exact - 1).mean()
    np.testing.assert_allclose(many.total, many.epistemic + NOISE**2)


def test_maps_divided_by_alpha_are_the_variance(problem):
    params, images, matrix = problem
    basis = basis_of(matrix, 5)
    posterior = sluguq.posterior(basis, prior_precision=ALPHA, noise=NOISE)
    variance = posterior.variance(mlp, params, images, probes=2048, key=KEY)
    maps = sluguq.score_exact(mlp, params, basis, images, prior_precision=posterior.scale).maps
    np.testing.assert_allclose(variance.epistemic.sum(-1), maps / ALPHA, rtol=0.2)
    np.testing.assert_allclose(variance.epistemic.sum(), maps.sum() / ALPHA, rtol=0.02)


def test_weight_samples_have_the_covariance(problem):
    params, _, matrix = problem
    posterior = sluguq.posterior(basis_of(matrix, len(matrix)), prior_precision=ALPHA, noise=NOISE)
    samples = posterior.weights(params, 20_000, key=KEY)
    assert jax.tree.map(jnp.shape, samples) == {name: (20_000, *value.shape) for name, value in params.items()}
    flat = np.asarray(jax.vmap(lambda one: ravel_pytree(one)[0])(samples))
    centred = flat - np.asarray(ravel_pytree(params)[0])
    expected = covariance(matrix)
    deviations = np.sqrt(np.diag(expected))
    assert np.abs(centred.mean(0) / deviations).max() < 5 / np.sqrt(20_000)
    found = centred.T @ centred / len(centred)
    error = (found - expected) / np.outer(deviations, deviations)
    assert np.abs(error).max() < 7 / np.sqrt(20_000)


def test_reconstructions_are_those_of_the_weights(problem):
    """Of a network that is linear in its weights, where linearising changes nothing."""
    _, images, _ = problem

    def linear(params, images):
        return images * params["w"] + params["b"]

    params = {"w": jnp.array([0.5, 2.0]), "b": jnp.array([0.0, 1.0])}
    posterior = sluguq.posterior(basis_of(dense_ggn(linear, params, images), 2), prior_precision=ALPHA, noise=NOISE)
    found = posterior.reconstructions(linear, params, images, 11, key=KEY, batch_size=3)
    samples = posterior.weights(params, 11, key=KEY)
    np.testing.assert_allclose(found, jax.vmap(linear, (0, None))(samples, images), rtol=1e-10)


def log_evidence(matrix, params, alpha, noise, squared_error, outputs):
    precision = matrix / noise**2 + alpha * np.eye(len(matrix))
    weights = np.asarray(ravel_pytree(params)[0])
    return (
        -0.5 * outputs * np.log(2 * np.pi * noise**2)
        - 0.5 * squared_error / noise**2
        - 0.5 * alpha * weights @ weights
        + 0.5 * len(matrix) * np.log(alpha)
        - 0.5 * np.linalg.slogdet(precision)[1]
    )


def test_marginal_likelihood_and_its_bounds(problem):
    params, images, matrix = problem
    expected = log_evidence(matrix, params, ALPHA, NOISE, 3.0, images.size)
    widths = []
    for rank in (3, 8, 20, len(matrix)):
        posterior = sluguq.posterior(basis_of(matrix, rank), prior_precision=ALPHA, noise=NOISE)
        found = posterior.log_marginal_likelihood(params, squared_error=3.0, outputs=images.size)
        assert found.lower - 1e-8 <= expected <= found.upper + 1e-8
        assert found.lower - 1e-8 <= found.value <= found.upper + 1e-8
        widths.append(found.upper - found.lower)
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert sorted(widths, reverse=True) == widths
    assert widths[-1] < 1e-6


def test_best_prior_precision_is_the_maximum(problem):
    params, images, matrix = problem
    best = sluguq.best_prior_precision(basis_of(matrix, len(matrix)), params, noise=NOISE)
    around = [log_evidence(matrix, params, best * factor, NOISE, 3.0, images.size) for factor in (0.99, 1, 1.01)]
    assert around[1] == max(around)
    posterior = sluguq.posterior(basis_of(matrix, len(matrix)), prior_precision=best, noise=NOISE)
    weights = np.asarray(ravel_pytree(params)[0])
    assert best == pytest.approx(posterior.effective_parameters / (weights @ weights), rel=1e-9)
    parts = [sluguq.best_prior_precision(basis_of(matrix, rank), params, noise=NOISE) for rank in (12, 40)]
    away = [abs(np.log(part / best)) for part in parts]
    assert away[0] < 0.35
    assert away[1] < 0.5 * away[0]


def test_the_rest_of_a_spectrum_goes_on_falling():
    spectrum = 100 * 0.8 ** np.arange(60)
    for count in (60, 20):
        whole = spectrum[:count]
        np.testing.assert_allclose(tail(whole[:10], whole.sum(), count - 10), whole[10:], rtol=1e-8)
        exact = np.log1p(whole / 0.5).sum()
        assert log_determinant(whole[:10], whole.sum(), count, 0.5).value == pytest.approx(exact, rel=1e-9)
    assert len(tail(spectrum[:10], spectrum[:10].sum(), 5)) == 0
    np.testing.assert_allclose(tail(np.array([2.0]), 8.0, 3), [2, 2, 2])


def test_numbers_that_make_no_sense(problem):
    params, images, matrix = problem
    basis = basis_of(matrix, 3)
    with pytest.raises(ValueError, match="prior_precision is 0: it must be positive"):
        sluguq.posterior(basis, prior_precision=0)
    with pytest.raises(ValueError, match="noise is -1"):
        sluguq.posterior(basis, prior_precision=1, noise=-1)
    with pytest.raises(ValueError, match="posterior takes what eigenbasis returned"):
        sluguq.posterior(None, prior_precision=1)
    with pytest.raises(ValueError, match="belongs to another network"):
        sluguq.posterior(basis, prior_precision=1).weights({"w": jnp.ones(3)}, 2, key=KEY)
    with pytest.raises(ValueError, match="no estimate of Tr G"):
        sluguq.best_prior_precision(basis._replace(trace=float("nan")), params)
    with pytest.raises(ValueError, match="probes is 1"):
        sluguq.posterior(basis, prior_precision=1).variance(mlp, params, images, probes=1, key=KEY)
