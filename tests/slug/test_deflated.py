"""Scores with exact directions: unbiased, never negative, honest, and worth their price."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.deflated import directions_of
from sluguq.slug.exact import jacobian
from sluguq.slug.ggn import GGN
from sluguq.slug.projection import Projector
from sluguq.slug.score import Probing
from tests.slug.conftest import convnet_apply, convnet_params, diagonal_network, mlp, mlp_params, pictures

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def trained():
    """A conv net, images, and a basis of rank 6, in float32."""
    apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
    images = pictures(5, 8, 8, 3, jnp.float32)
    basis = sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, tolerance=1e-4)
    return apply, params, basis, images


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_directions_satisfy_their_identity(x64, alpha):
    """Z = H^{-1/2} Q A up to rotation, so Zᵀ Z = A Q (Q A Q)⁻¹ Q A and Zᵀ C Q = A Q (Q A Q)⁻¹ Q."""
    params, images = mlp_params(), pictures(1)
    basis = sluguq.eigenbasis(mlp, params, pictures(4), rank=5, key=KEY, tolerance=1e-8)
    projector = Projector.of(basis, params, prior_precision=alpha)
    vectors = np.asarray(basis.vectors)
    rows = np.asarray(jacobian(mlp, params, images[0]))
    root = rows - (rows @ vectors.T * projector.weights) @ vectors
    kernel = root @ root.T
    samples = jax.random.normal(KEY, (6, len(rows)), jnp.float64)
    coefficients, known = directions_of(GGN(mlp, params, images), projector, images, samples, 4, 3)
    _, _, leading = np.linalg.svd(samples, full_matrices=False)
    q = leading[:4]
    nystrom = kernel @ q.T @ np.linalg.inv(q @ kernel @ q.T) @ q
    np.testing.assert_allclose(known.T @ coefficients, nystrom, atol=1e-8 * np.abs(nystrom).max())
    np.testing.assert_allclose(known.T @ known, nystrom @ kernel, atol=1e-8 * np.abs(kernel).max())


@pytest.mark.parametrize("prior_precision", [0.0, 0.7])
def test_unbiased_with_honest_intervals(trained, prior_precision):
    exact = sluguq.score_exact(*trained, prior_precision=prior_precision)
    scores = [
        sluguq.score(
            *trained,
            probes=32,
            probing=Probing(directions=6),
            key=jax.random.key(seed),
            prior_precision=prior_precision,
            maps=True,
        )
        for seed in range(60)
    ]
    estimates = np.stack([one.slug for one in scores])
    spread = estimates.std(axis=0) / np.sqrt(len(scores))
    assert (np.abs(estimates.mean(axis=0) - exact.slug) < 4 * spread).all()
    covered = [np.abs(one.slug - exact.slug) <= 1.96 * one.slug_sem for one in scores]
    assert 0.90 <= np.mean(covered) <= 0.99
    assert all((one.slug > 0).all() and (one.maps >= 0).all() for one in scores)
    np.testing.assert_allclose(np.mean([one.maps for one in scores], axis=0), exact.maps, rtol=0.15)
    for one in scores[:2]:
        np.testing.assert_allclose(one.maps.sum((1, 2)), one.slug, rtol=1e-4)


def test_directions_are_worth_more_than_the_probes_they_cost():
    """Ten directions and the 14 probes that find them cost as much as 34 probes."""
    apply, params, images = diagonal_network(np.geomspace(1, 1e-8, 80).astype(np.float32), rotated=True)
    plain = sluguq.score(apply, params, None, images, probes=96, key=KEY)
    deflated = sluguq.score(apply, params, None, images, probes=62, probing=Probing(directions=10), key=KEY)
    assert (deflated.slug_sem < plain.slug_sem / 3).all()
    assert (np.abs(deflated.slug - np.geomspace(1, 1e-8, 80).sum()) < 4 * deflated.slug_sem).all()
    assert (deflated.probes == 62 + 14).all()
    assert deflated.directions == 10


def test_as_many_directions_as_weights_leave_nothing_to_estimate(x64):
    params, images = mlp_params(hidden=1), pictures(2)
    exact = sluguq.score_exact(mlp, params, None, images)
    scores = sluguq.score(mlp, params, None, images, probes=4, probing=Probing(directions=60), key=KEY)
    np.testing.assert_allclose(scores.slug, exact.slug, rtol=1e-8)
    assert (scores.slug_sem < 1e-8 * scores.slug).all()


def test_tolerance_chooses_directions():
    spectrum = np.geomspace(1, 1e-4, 80).astype(np.float32)
    apply, params, images = diagonal_network(spectrum, rotated=True)
    scores = sluguq.score(apply, params, None, images, tolerance=0.01, key=KEY)
    assert scores.directions > 0
    assert scores.converged.all()
    assert (np.abs(scores.slug - spectrum.sum()) < 4 * scores.slug_sem).all()
    plain = sluguq.score(apply, params, None, images, tolerance=0.01, probing=Probing(directions=0), key=KEY)
    assert (scores.probes + 2 * scores.directions < plain.probes / 4).all()


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"probe_block": 7}, {"tangent_block": 3}])
def test_blocks_do_not_change_the_result(trained, options):
    size = {"batch_size": options.get("batch_size", 64)}
    probing = Probing(directions=4, **{name: value for name, value in options.items() if name != "batch_size"})
    reference = sluguq.score(*trained, probes=10, probing=Probing(directions=4), key=KEY, maps=True)
    other = sluguq.score(*trained, probes=10, probing=probing, key=KEY, maps=True, **size)
    for name in ("slug", "slug_sem", "maps"):
        np.testing.assert_allclose(getattr(other, name), getattr(reference, name), rtol=2e-3)


def test_each_image_stops_by_itself(trained):
    """An image takes the probes that it needs, whichever images share its batch."""
    apply, params, basis, images = trained
    probing = Probing(directions=3, norm_probes=0)
    options = {"tolerance": 0.03, "probes": 8, "probing": probing, "key": KEY, "maps": True}
    together = sluguq.score(apply, params, basis, images, **options)
    alone = [sluguq.score(apply, params, basis, images[i : i + 1], **options) for i in range(len(images))]
    assert together.converged.all()
    assert len(set(together.probes)) > 1
    np.testing.assert_array_equal(together.probes, np.concatenate([one.probes for one in alone]))
    for name in ("slug", "slug_sem", "maps"):
        np.testing.assert_allclose(
            getattr(together, name), np.concatenate([getattr(one, name) for one in alone]), rtol=2e-3
        )
