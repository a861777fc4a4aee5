"""The Gauss-Newton product against the dense matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sluguq.slug import ggn
from sluguq.slug.budget import Budget
from sluguq.slug.exact import dense_ggn
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN, add_compensated
from tests.slug.conftest import convnet_apply, convnet_params, mlp, mlp_params, pictures


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 64])
def test_product_is_the_dense_one_whatever_the_batches(x64, batch_size):
    params, images = mlp_params(), pictures(7)
    dense = dense_ggn(mlp, params, images)
    vectors = jax.random.normal(jax.random.key(3), (2, len(dense)), jnp.float64)
    products = GGN(mlp, params, images, batch_size=batch_size).products(vectors)
    np.testing.assert_allclose(products, vectors @ dense, rtol=1e-10, atol=1e-10)


def test_scan_and_python_steps_agree(x64, monkeypatch):
    params, images, apply = convnet_params(), pictures(5, 4, 4, 3), convnet_apply()
    vector = jax.random.normal(jax.random.key(0), (sum(leaf.size for leaf in params.values()),), jnp.float64)
    stepped = GGN(apply, params, images, batch_size=2).product(vector)
    monkeypatch.setattr(ggn, "stepped_from_python", lambda: False)
    jax.clear_caches()
    scanned = GGN(apply, params, images, batch_size=2).product(vector)
    np.testing.assert_allclose(scanned, stepped, rtol=1e-10, atol=1e-12)


def test_streamed_images_give_the_same_product(x64):
    params, images = mlp_params(), np.asarray(pictures(7))
    vector = jnp.ones(sum(leaf.size for leaf in params.values()))
    resident = GGN(mlp, params, images, batch_size=3).product(vector)
    streamed = GGN(mlp, params, images, batch_size=3, execution=Execution(budget=Budget(images=0.0)))
    assert streamed.batches.stacked() is None
    np.testing.assert_array_equal(streamed.product(vector), resident)


def test_uint8_images(x64):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 3, 2), np.uint8)

    def apply(params, batch):
        return mlp(params, batch / 127.5 - 1)

    params = mlp_params()
    vector = jnp.ones(sum(leaf.size for leaf in params.values()))
    expected = GGN(mlp, params, images / 127.5 - 1).product(vector)
    np.testing.assert_allclose(GGN(apply, params, images).product(vector), expected, rtol=1e-10)


def test_a_thousand_float32_batches_lose_no_more_than_one(x64):
    params = mlp_params(dtype=jnp.float32)
    images = pictures(1000, dtype=jnp.float32)
    count = sum(leaf.size for leaf in params.values())
    vector = jax.random.normal(jax.random.key(0), (count,), jnp.float32)
    double = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    truth = GGN(mlp, double, images.astype(jnp.float64)).product(vector.astype(jnp.float64))

    def error(batch_size):
        product = GGN(mlp, params, images, batch_size=batch_size).product(vector)
        return float(jnp.linalg.norm(product - truth) / jnp.linalg.norm(truth))

    assert error(1) < 2e-7  # one rounding of float32 is 6e-8


def test_compensated_sum_keeps_what_a_plain_sum_loses():
    total = lost = jnp.zeros((), jnp.float32)
    for term in [1e8, *[1.0] * 100, -1e8]:
        total, lost = add_compensated(total, lost, jnp.float32(term))
    assert float(total + lost) == 100.0


def test_full_memory_halves_the_batch(x64, monkeypatch):
    params, images = mlp_params(), pictures(8)
    whole = GGN(mlp, params, images, batch_size=8)
    vector = jnp.ones(whole.size)
    expected = whole.product(vector)
    real, sizes = ggn._step, []

    def small_memory(apply, params, images, *rest):
        sizes.append(len(images))
        if len(images) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return real(apply, params, images, *rest)

    monkeypatch.setattr(ggn, "_step", small_memory)
    np.testing.assert_allclose(GGN(mlp, params, images, batch_size=8).product(vector), expected, rtol=1e-10)
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_other_errors_are_not_swallowed(x64, monkeypatch):
    def broken(*arguments):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(ggn, "_step", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        GGN(mlp, mlp_params(), pictures(2)).product(jnp.ones(245))
