"""The last layer or the decoder alone, against columns of the dense Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import sluguq
from sluguq.slug.exact import jacobian
from tests.slug.conftest import mlp, mlp_params, pictures


def test_jacobians_are_columns_of_the_whole(x64):
    params, image = mlp_params(), pictures(1)[0]
    whole = np.asarray(jacobian(mlp, params, image))  # bias, in, out
    sizes = [params[name].size for name in ("bias", "in", "out")]
    bias, first, last = np.split(whole, np.cumsum(sizes)[:-1], axis=1)
    for pattern, expected in [
        ("out", last),
        ("?n", first),
        (["bias", "out"], np.concatenate([bias, last], axis=1)),
        ("*", whole),
    ]:
        np.testing.assert_allclose(jacobian(*sluguq.restrict(mlp, params, pattern), image), expected, atol=1e-12)


def test_paths_of_any_tree():
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model, nnx.Param)

    def apply(params, x):
        return nnx.merge(graph, params)(x)

    x = jnp.ones((2, 2))
    restricted, chosen = sluguq.restrict(apply, state, "layers/1/*")
    assert sorted(value.shape for value in chosen.values()) == [(2,), (3, 2)]
    np.testing.assert_array_equal(restricted(chosen, x), apply(state, x))
    torch_like = {"decoder.0.weight": jnp.ones(2), "encoder.weight": jnp.ones(2), "count": jnp.zeros((), int)}
    _, chosen = sluguq.restrict(lambda params, x: x, torch_like, "decoder/*")
    assert list(chosen) == ["decoder.0.weight"]


def test_integers_among_the_fixed_weights_do_no_harm():
    params = {"net": {"w": jnp.full((3,), 2.0)}, "steps": jnp.asarray(3)}
    apply, chosen = sluguq.restrict(lambda params, images: images * params["net"]["w"], params, "net/*")
    images = pictures(3, channels=3, dtype=jnp.float32)
    scores = sluguq.score(apply, chosen, None, images, key=jax.random.key(0), probes=2)
    np.testing.assert_allclose(scores.slug, np.square(images).sum((1, 2, 3)), rtol=1e-5)


def test_equal_structures_share_compiled_code():
    pairs = [sluguq.restrict(mlp, mlp_params(dtype=jnp.float32, seed=seed), "out") for seed in (0, 1)]
    traced = []

    @jax.jit
    def call(apply, params, images):
        traced.append(images.shape)
        return apply(params, images)

    first, second = (call(apply, params, pictures(2, dtype=jnp.float32)) for apply, params in pairs)
    assert len(traced) == 1
    assert not np.allclose(first, second)


def test_a_pattern_that_matches_nothing_tells_the_paths():
    with pytest.raises(ValueError, match=r"no weights match 'decoder/\*'; their paths are bias, in, out"):
        sluguq.restrict(mlp, mlp_params(dtype=jnp.float32), "decoder/*")


def test_a_share_of_the_weights_is_columns_of_the_whole(x64):
    params, image = mlp_params(), pictures(1)[0]
    whole = np.asarray(jacobian(mlp, params, image))
    count = whole.shape[1]
    numbered = {}
    start = 0
    for name in ("bias", "in", "out"):
        numbered[name] = jnp.arange(start, start + params[name].size, dtype=float).reshape(params[name].shape)
        start += params[name].size
    for share in (0.001, 0.3, 1.0):
        _, places = sluguq.restrict_to_share(mlp, numbered, share, np.random.default_rng(1))
        apply, some = sluguq.restrict_to_share(mlp, params, share, np.random.default_rng(1))
        columns = np.concatenate([places[name] for name in places]).astype(int)
        assert len(set(columns)) == max(round(share * count), 1)
        np.testing.assert_allclose(jacobian(apply, some, image), whole[:, columns], atol=1e-12)
        np.testing.assert_allclose(apply(some, image[None]), mlp(params, image[None]), atol=1e-14)


def test_shares_that_are_none_are_refused():
    for share in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share is"):
            sluguq.restrict_to_share(mlp, mlp_params(dtype=jnp.float32), share, np.random.default_rng(0))
