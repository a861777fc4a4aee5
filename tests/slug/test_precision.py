"""Networks in half precision are scored in single precision: probes lose their projection otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from tests.slug.conftest import convnet_params, mlp, mlp_params, pictures

KEY = jax.random.key(2)


def halved(params):
    return {name: leaf.astype(jnp.bfloat16) for name, leaf in params.items()}


def widened(params):
    return {name: leaf.astype(jnp.float32) for name, leaf in params.items()}


def half_apply(params, images):
    return mlp(params, images).astype(jnp.bfloat16)


def test_half_precision_weights_are_scored_as_the_numbers_they_are():
    params, images = halved(mlp_params(dtype=jnp.float32)), pictures(4, dtype=jnp.float32)
    results = []
    for weights in (params, widened(params)):
        basis = sluguq.eigenbasis(mlp, weights, images, rank=4, key=KEY, tolerance=1e-4)
        assert basis.vectors.dtype == jnp.float32
        results.append(sluguq.score(mlp, weights, basis, images, probes=16, key=KEY, maps=True))
    np.testing.assert_array_equal(results[0].slug, results[1].slug)
    np.testing.assert_array_equal(results[0].maps, results[1].maps)
    assert results[0].removed.mean() > 0.2  # nothing of it, were the projection rounded away


def test_one_half_precision_leaf_is_enough_to_be_widened():
    params, images = mlp_params(dtype=jnp.float32), pictures(4, dtype=jnp.float32)
    mixed = {**params, "out": params["out"].astype(jnp.bfloat16)}
    rounded = {**params, "out": mixed["out"].astype(jnp.float32)}
    first, second = (sluguq.score(mlp, weights, None, images, probes=8, key=KEY).slug for weights in (mixed, rounded))
    np.testing.assert_array_equal(first, second)


def test_output_in_half_precision():
    """With exact directions and without; sums over probes do not round to the output's precision."""
    params, images = mlp_params(dtype=jnp.float32), pictures(4, dtype=jnp.float32)
    basis = sluguq.eigenbasis(half_apply, params, images, rank=4, key=KEY, tolerance=1e-2)
    exact = sluguq.score_exact(mlp, params, basis, images)
    for options in ({"tolerance": 0.02}, {"probes": 400}):
        scores = sluguq.score(half_apply, params, basis, images, key=KEY, maps=True, **options)
        assert (np.abs(scores.slug - exact.slug) < 4 * scores.slug_sem + 0.02 * exact.slug).all()
        np.testing.assert_allclose(scores.maps.sum((1, 2)), scores.slug, rtol=1e-4)


def test_a_network_that_wants_its_weights_in_half_precision_is_refused():
    def apply(params, images):
        kernel = params["down"]
        x = images.astype(jnp.bfloat16)
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    params = {"down": convnet_params(jnp.float32)["down"].astype(jnp.bfloat16)}
    with pytest.raises(ValueError, match="does not take its half-precision weights as float32"):
        sluguq.score(apply, params, None, pictures(2, 4, 4, 3, jnp.float32), key=KEY)
