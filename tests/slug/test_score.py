"""The projected estimator against scores with the Jacobian written down."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug import deflated
from sluguq.slug.budget import Budget
from sluguq.slug.exact import jacobian
from sluguq.slug.execution import Execution
from sluguq.slug.score import Probing
from tests.slug.conftest import convnet_apply, convnet_params, mlp, mlp_params, pictures

KEY = jax.random.key(11)


@pytest.fixture(scope="module")
def trained():
    """A conv net, images, and a basis of rank 6, in float32."""
    apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
    images = pictures(9, 4, 4, 3, jnp.float32)
    basis = sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, tolerance=1e-4)
    return apply, params, basis, images


def test_exact_score_is_the_formula(x64):
    params, images = mlp_params(), pictures(3)
    basis = sluguq.eigenbasis(mlp, params, images, rank=5, key=KEY)
    exact = sluguq.score_exact(mlp, params, basis, images)
    for index in range(3):
        rows = np.asarray(jacobian(mlp, params, images[index]))
        kernel = rows @ (np.eye(rows.shape[1]) - np.asarray(basis.vectors).T @ np.asarray(basis.vectors)) @ rows.T
        assert exact.slug[index] == pytest.approx(np.trace(kernel), rel=1e-10)
        assert exact.jacobian_norm[index] == pytest.approx((rows**2).sum(), rel=1e-10)
        np.testing.assert_allclose(
            exact.maps[index], np.diag(kernel).reshape(images.shape[1:]).sum(-1), rtol=1e-8, atol=1e-12
        )


def test_a_full_basis_leaves_nothing(x64):
    params, images = mlp_params(hidden=1), pictures(3)
    count = sum(leaf.size for leaf in params.values())
    basis = sluguq.eigenbasis(mlp, params, images, rank=count, key=KEY)
    exact = sluguq.score_exact(mlp, params, basis, images)
    scores = sluguq.score(mlp, params, basis, images, probes=4, key=KEY)
    assert (exact.slug <= 1e-18 * exact.jacobian_norm).all()
    assert (scores.slug <= 1e-18 * exact.jacobian_norm).all()


@pytest.mark.parametrize("prior_precision", [0.0, 0.7])
def test_converges_to_exact(trained, prior_precision):
    options = {"prior_precision": prior_precision}
    exact = sluguq.score_exact(*trained, **options)
    errors = []
    for probes in (64, 4096):
        scores = sluguq.score(
            *trained, probes=probes, key=KEY, maps=True, probing=Probing(norm_probes=probes), **options
        )
        errors.append(np.abs(scores.slug / exact.slug - 1).mean())
        assert (np.abs(scores.slug - exact.slug) < 5 * scores.slug_sem).all()
        assert (np.abs(scores.jacobian_norm - exact.jacobian_norm) < 5 * scores.jacobian_norm_sem).all()
    assert errors[1] < errors[0] / 3
    np.testing.assert_allclose(scores.maps, exact.maps, rtol=0.3)
    assert np.abs(scores.maps / exact.maps - 1).mean() < 0.05
    np.testing.assert_allclose(scores.removed, exact.removed, atol=0.05)


def test_prior_precision_scales_the_span_only(x64):
    """With α → ∞ nothing is removed; with α = 0 everything in the span is."""
    params, images = mlp_params(), pictures(3)
    basis = sluguq.eigenbasis(mlp, params, images, rank=5, key=KEY)
    scores = [sluguq.score_exact(mlp, params, basis, images, prior_precision=alpha) for alpha in (0.0, 0.1, 10.0, 1e12)]
    assert all((low.slug < high.slug).all() for low, high in pairwise(scores))
    np.testing.assert_allclose(scores[-1].slug, scores[0].jacobian_norm, rtol=1e-6)
    taken = basis.eigenvalues / (basis.eigenvalues + 0.1)
    rows = np.asarray(jacobian(mlp, params, images[0]))
    expected = (rows**2).sum() - ((rows @ np.asarray(basis.vectors).T) ** 2 * taken).sum()
    assert scores[1].slug[0] == pytest.approx(expected, rel=1e-9)


def test_scores_do_not_grow_with_rank_and_are_never_negative(x64):
    params, images = mlp_params(), pictures(4)
    before = np.inf
    for rank in (1, 4, 16, 64):
        basis = sluguq.eigenbasis(mlp, params, images, rank=rank, key=KEY, tolerance=1e-8)
        exact = sluguq.score_exact(mlp, params, basis, images).slug
        estimate = sluguq.score(mlp, params, basis, images, probes=8, key=KEY, maps=True)
        assert (exact <= before).all()
        assert (estimate.slug >= 0).all()
        assert (estimate.maps >= 0).all()
        before = exact


def test_maps_sum_to_scores(trained):
    scores = sluguq.score(*trained, probes=10, key=KEY, maps=True, batch_size=4)
    assert scores.maps.shape == (9, 4, 4)
    np.testing.assert_allclose(scores.maps.sum((1, 2)), scores.slug, rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{"batch_size": 2}, {"probing": Probing(probe_block=3)}, {"probing": Probing(tangent_block=4)}]
)
def test_blocks_do_not_change_the_result(trained, options):
    reference = sluguq.score(*trained, probes=10, key=KEY, maps=True)
    other = sluguq.score(*trained, probes=10, key=KEY, maps=True, **options)
    for name in ("slug", "slug_sem", "maps", "jacobian_norm", "jacobian_norm_sem"):
        np.testing.assert_allclose(getattr(other, name), getattr(reference, name), rtol=1e-4)


def test_same_key_same_bits(trained):
    first, second = (sluguq.score(*trained, probes=6, key=KEY, maps=True) for _ in range(2))
    np.testing.assert_array_equal(first.slug, second.slug)
    np.testing.assert_array_equal(first.maps, second.maps)


def test_intervals_cover_the_exact_score(trained):
    """Over many keys about 95 of 100 intervals of ±1.96 standard errors hold the exact score."""
    exact = sluguq.score_exact(*trained)
    covered, norms = [], []
    for seed in range(150):
        scores = sluguq.score(*trained, probes=64, key=jax.random.key(seed), probing=Probing(norm_probes=5))
        covered.append(np.abs(scores.slug - exact.slug) <= 1.96 * scores.slug_sem)
        norms.append(scores.jacobian_norm)
    assert 0.90 <= np.mean(covered) <= 0.99
    spread = np.std(norms, axis=0) / np.sqrt(len(norms))
    assert (np.abs(np.mean(norms, axis=0) - exact.jacobian_norm) < 4 * spread).all()


def test_tolerance_is_met_and_probes_are_reported(trained):
    scores = sluguq.score(*trained, probes=50, tolerance=0.05, probing=Probing(directions=0), key=KEY)
    assert scores.converged.all()
    assert (scores.slug_sem <= 0.05 * scores.slug).all()
    assert scores.probes.max() > 50
    assert (scores.probes % 50 == 0).all()
    probing = Probing(directions=0, max_probes=100)
    with pytest.warns(UserWarning, match=r"9 of 9 images are not within 0.001 after 100 probes"):
        capped = sluguq.score(*trained, probes=50, tolerance=0.001, probing=probing, key=KEY)
    assert (capped.probes == 100).all()
    assert not capped.converged.any()


def test_without_a_basis_the_score_is_the_jacobian_norm(trained):
    apply, params, _, images = trained
    scores = sluguq.score(apply, params, None, images, probes=8, key=KEY)
    np.testing.assert_array_equal(scores.slug, scores.jacobian_norm)
    exact = sluguq.score_exact(apply, params, None, images)
    assert (np.abs(scores.slug - exact.slug) < 5 * scores.slug_sem).all()


def test_full_memory_halves_blocks_and_goes_on(trained, monkeypatch):
    reference = sluguq.score(*trained, probes=6, key=KEY, maps=True)
    real, seen = deflated.outputs, []

    def small_memory(apply, params, images, tangents, **options):
        seen.append((options["width"], len(images), len(tangents)))
        if options["width"] * len(images) * len(tangents) > 6:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return real(apply, params, images, tangents, **options)

    monkeypatch.setattr(deflated, "outputs", small_memory)
    scores = sluguq.score(*trained, probes=6, key=KEY, maps=True, probing=Probing(tangent_block=2))
    assert seen[0] == (2, 8, 4)
    assert seen[-1][0] * seen[-1][1] * seen[-1][2] <= 6
    np.testing.assert_allclose(scores.slug, reference.slug, rtol=1e-5)
    np.testing.assert_allclose(scores.maps, reference.maps, rtol=1e-5)


def test_vectors_on_disk_and_in_bfloat16_score_alike(trained, tmp_path):
    small = Execution(budget=Budget(basis=0, block_bytes=1000))
    apply, params, basis, images = trained
    reference = sluguq.score(*trained, probes=16, key=KEY)
    stored = np.memmap(tmp_path / "vectors.bin", np.float32, mode="w+", shape=basis.vectors.shape)
    stored[:] = basis.vectors
    scores = sluguq.score(apply, params, basis._replace(vectors=stored), images, probes=16, key=KEY, execution=small)
    np.testing.assert_allclose(scores.slug, reference.slug, rtol=1e-5)
    half = basis._replace(vectors=basis.vectors.astype(jnp.bfloat16))
    scores = sluguq.score(apply, params, half, images, probes=16, key=KEY)
    np.testing.assert_allclose(scores.slug, reference.slug, rtol=1e-3)
