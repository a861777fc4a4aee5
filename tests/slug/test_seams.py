"""The objects that the engine is built of: budget, back-off, projector, estimators."""

import inspect
from dataclasses import fields, is_dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.backoff import until_it_fits
from sluguq.slug.budget import Budget
from sluguq.slug.estimators import ESTIMATORS, BasisSettings, ScoreSettings, estimator_of
from sluguq.slug.projection import Projector
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(3)


def test_shares_of_one_memory_sum_to_less_than_one():
    Budget(basis=0.3)
    with pytest.raises(ValueError, match=r"while scoring .* sum to less than 1: images 0.2, basis 0.4"):
        Budget(basis=0.4)
    with pytest.raises(ValueError, match="while computing an eigenbasis"):
        Budget(subspace=0.8)
    with pytest.raises(ValueError, match="must not be negative"):
        Budget(probes=-0.1)


def test_a_budget_asks_the_memory_that_a_consumer_lies_in():
    budget = Budget(device_bytes=1000, host_bytes=5000)
    assert budget.takes("basis", 300)
    assert not budget.takes("basis", 301)
    assert budget.takes("held_basis", 500)
    assert not budget.takes("held_basis", 501)
    assert budget.count("probes", 40) == 3


def test_less_is_taken_until_it_fits():
    sizes = []

    def attempt():
        sizes.append(size[0])
        if size[0] > 2:
            raise MemoryError
        return "done"

    def take_less():
        size[0] //= 2
        return size[0] > 0

    size = [8]
    assert until_it_fits(attempt, take_less) == "done"
    assert sizes == [8, 4, 2]
    with pytest.raises(MemoryError):
        until_it_fits(lambda: (_ for _ in ()).throw(MemoryError()), take_less)
    with pytest.raises(KeyError):
        until_it_fits(lambda: {}["absent"], lambda: pytest.fail("this is no lack of memory"))


@pytest.mark.parametrize("place", ["device", "streamed"])
def test_projector_is_the_formula(x64, place):
    params = mlp_params()
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(245, 5)))[0].T
    basis = sluguq.Eigenbasis(np.arange(5.0, 0, -1), vectors, np.zeros(5), np.ones(5, bool), 0.0, 1.0, 0.0, 5)
    budget = Budget() if place == "device" else Budget(basis=0.0, block_bytes=4 * 5 * 100)
    projector = Projector.of(basis, params, prior_precision=0.7, budget=budget)
    assert (projector.blocks is None) == (place == "streamed")
    kept = np.sqrt(0.7 / (basis.eigenvalues + 0.7))
    dense = np.eye(245) - vectors.T @ np.diag(1 - kept) @ vectors
    probes = jax.random.normal(KEY, (3, 245), jnp.float64)
    np.testing.assert_allclose(projector.project(probes), probes @ dense, atol=1e-12)
    leaves = tuple(jnp.split(probes, [5, 125], axis=1))
    twice = jnp.concatenate(projector.project_twice(leaves), axis=1)
    np.testing.assert_allclose(twice, probes @ dense @ dense, atol=1e-12)
    np.testing.assert_allclose(projector.spread, np.sqrt(1 - kept**2), atol=1e-12)
    coefficients = jnp.arange(10.0).reshape(2, 5)
    np.testing.assert_allclose(projector.combine(coefficients), coefficients @ vectors, atol=1e-12)
    fewer = np.eye(245) - vectors[:2].T @ np.diag(1 - kept[:2]) @ vectors[:2]
    np.testing.assert_allclose(projector.truncated(2).project(probes), probes @ fewer, atol=1e-12)
    np.testing.assert_array_equal(Projector.of(None, params).project(probes), probes)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_finds_scores_and_takes_its_basis_apart(name):
    params, images = mlp_params(dtype=jnp.float32), pictures(4, dtype=jnp.float32)
    estimator = ESTIMATORS[name]
    settings = BasisSettings(rank=2, tolerance=1e-2, batch_size=4, dtype="float32", sketch_size=100)
    basis = estimator.basis(mlp, params, images, settings, key=KEY)
    assert estimator_of(basis) is estimator
    arrays = {part: np.asarray(values.values) for part, values in estimator.parts(basis).items()}
    again = estimator.restored(arrays, estimator.scalars(basis))
    first, second = (
        estimator.score(mlp, params, one, images, ScoreSettings(probes=4), key=KEY) for one in (basis, again)
    )
    assert isinstance(first, sluguq.Scores)
    np.testing.assert_array_equal(first.slug, second.slug)
    assert first.probes.shape == first.converged.shape == (4,)
    assert (first.maps is not None) == estimator.maps


@pytest.mark.parametrize("name", [name for name in sluguq.__all__ if callable(getattr(sluguq, name))])
def test_public_calls_are_short_and_options_are_frozen(name):
    public = getattr(sluguq, name)
    if inspect.isfunction(public):
        assert len(inspect.signature(public).parameters) <= 14
    elif is_dataclass(public):
        with pytest.raises(AttributeError):
            setattr(public(), fields(public)[0].name, None)
