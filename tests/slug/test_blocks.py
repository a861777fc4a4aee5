"""Probes by block: the same for any cut of a set, and errors of means that are told honestly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq import Probing
from sluguq.slug.blocks import PROBE_BLOCK, blocks_of, covariance
from tests.slug.conftest import convnet_apply, convnet_params, mlp, mlp_params, pictures

KEY = jax.random.key(8)


@pytest.fixture(scope="module")
def network():
    apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
    images = pictures(40, 4, 4, 3, jnp.float32)
    return apply, params, sluguq.eigenbasis(apply, params, images[:8], rank=6, key=KEY, tolerance=1e-4), images


def test_blocks_of_positions():
    assert [(block.number, block.rows) for block in blocks_of(np.array([3, 7, 8, 30]))] == [
        (0, slice(0, 2)),
        (1, slice(2, 3)),
        (3, slice(3, 4)),
    ]


@pytest.mark.parametrize("cuts", [(16,), (8, 24, 32)])
def test_any_cut_at_whole_blocks_gives_the_same_bits(network, cuts):
    apply, params, basis, images = network
    settled = sluguq.settle(apply, params, basis, images, accuracy="5 %", key=KEY)
    whole = sluguq.score(apply, params, basis, images, accuracy="5 %", key=KEY, maps=True)
    parts = [
        sluguq.score(
            apply, params, basis, images[rows], probing=Probing(settled=settled, positions=rows), key=KEY, maps=True
        )
        for rows in np.split(np.arange(len(images)), cuts)
    ]
    for name in ("slug", "slug_sem", "maps", "jacobian_norm", "probes", "covariance", "blocks"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


def test_an_image_sees_the_probes_of_its_position(network):
    apply, params, basis, images = network
    whole = sluguq.score(apply, params, basis, images, probes=8, key=KEY)
    some = np.array([1, 9, 10, 37])
    part = sluguq.score(apply, params, basis, images[some], probes=8, key=KEY, probing=Probing(positions=some))
    np.testing.assert_allclose(part.slug, whole.slug[some], rtol=1e-5)


def test_positions_that_cannot_be_are_refused():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    for wrong in ([0, 1], [2, 1, 0], [-1, 0, 1], [0.0, 1.0, 2.0]):
        with pytest.raises(ValueError, match="positions"):
            sluguq.score(mlp, params, None, images, probes=4, key=KEY, probing=Probing(positions=np.array(wrong)))


def test_covariance_of_means():
    rng = np.random.default_rng(0)
    both = rng.normal(size=(2, 20))
    found = covariance([both[0], both[1][:12]])
    assert found[0, 0] == pytest.approx(both[0].var(ddof=1) / 20)
    assert found[0, 1] == found[1, 0] == pytest.approx(np.cov(both[0][:12], both[1][:12])[0, 1] / 20)


def test_standard_errors_of_means_hold_where_images_err_alike():
    """All images are one image: within a block errors are equal, and between blocks independent."""
    apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
    images = np.repeat(np.asarray(pictures(1, 4, 4, 3, jnp.float32)), 4 * PROBE_BLOCK, axis=0)
    exact = sluguq.score_exact(apply, params, None, images[:1]).slug[0]
    weights = np.full(len(images), 1 / len(images))
    held, errors, told, single = [], [], [], []
    for seed in range(80):
        scores = sluguq.score(apply, params, None, images, probes=24, key=jax.random.key(seed))
        errors.append(scores.slug.mean() - exact)
        told.append(scores.combined_sem(weights))
        single.append(scores.slug_sem.mean())
        held.append(abs(errors[-1]) <= 1.96 * told[-1])
    assert 0.87 <= np.mean(held) <= 1.0
    assert np.sqrt(np.mean(np.square(told))) == pytest.approx(np.std(errors), rel=0.3)
    assert np.mean(told) == pytest.approx(np.mean(single) / 2, rel=0.1)  # four independent blocks


def test_the_error_of_a_group_falls_with_its_size(network):
    """With probes that all images shared it would stay."""
    scores = sluguq.score(*network, probes=16, key=KEY)
    few, many = np.zeros(40), np.full(40, 1 / 40)
    few[:PROBE_BLOCK] = 1 / PROBE_BLOCK
    assert scores.combined_sem(many) < 0.75 * scores.combined_sem(few)


def test_scores_of_a_sketch_know_no_covariances():
    with pytest.raises(ValueError, match="know no covariances"):
        scores = sluguq.score_exact(mlp, mlp_params(dtype=jnp.float32), None, pictures(2, dtype=jnp.float32))
        scores.combined_sem(np.ones(2))
