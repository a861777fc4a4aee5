"""Bad input: a clear error each, before any work."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.budget import Budget
from sluguq.slug.exact import jacobian
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)


def bad(apply=mlp, params=None, images=None, rank=2):
    params = mlp_params(dtype=jnp.float32) if params is None else params
    images = pictures(3, dtype=jnp.float32) if images is None else images
    return sluguq.eigenbasis(apply, params, images, rank=rank, key=KEY)


def test_empty_image_set():
    with pytest.raises(ValueError, match="image set is empty"):
        bad(images=np.zeros((0, 4, 3, 2), np.float32))


def test_images_without_a_batch_axis():
    with pytest.raises(ValueError, match=r"must be \(n, height, width, channels\)"):
        bad(images=np.zeros(5, np.float32))


def test_nan_in_an_image():
    images = np.array(pictures(3, dtype=jnp.float32))
    images[1, 2, 0, 1] = np.nan
    for kind in (images, jnp.asarray(images)):
        with pytest.raises(ValueError, match="image 1 holds NaN"):
            bad(images=kind)


def test_nan_in_weights():
    params = mlp_params(dtype=jnp.float32)
    params["bias"] = params["bias"].at[3].set(jnp.inf)
    with pytest.raises(ValueError, match=r"params\['bias'\] holds NaN"):
        bad(params=params)


def test_integer_parameters():
    with pytest.raises(ValueError, match=r"params\['steps'\] is int32, not floating-point"):
        bad(params={**mlp_params(dtype=jnp.float32), "steps": jnp.arange(2)})


def test_no_parameters():
    with pytest.raises(ValueError, match="holds no arrays"):
        bad(params={})


@pytest.mark.parametrize("rank", [0, 246])
def test_impossible_rank(rank):
    with pytest.raises(ValueError, match=f"rank {rank} is impossible: the network has 245 weights"):
        bad(rank=rank)


def test_wrong_output_shape():
    with pytest.raises(ValueError, match=r"must return one array \(n, height, width, channels\)"):
        bad(apply=lambda params, images: mlp(params, images).sum(0))
    with pytest.raises(ValueError, match="it returned a tuple"):
        bad(apply=lambda params, images: (mlp(params, images), 1))


def test_not_traceable():
    with pytest.raises(ValueError, match="cannot be traced"):
        bad(apply=lambda params, images: np.tanh(np.asarray(images)) * params["bias"][0])


def test_derivative_is_zero():
    with pytest.raises(ValueError, match="derivative of apply with respect to params is zero"):
        bad(apply=lambda params, images: jax.lax.stop_gradient(mlp(params, images)))


def test_not_differentiable_in_forward_mode():
    @jax.custom_vjp
    def reverse_only(x):
        return x

    reverse_only.defvjp(lambda x: (x, None), lambda _, g: (g,))
    with pytest.raises(ValueError, match="not differentiable"):
        bad(apply=lambda params, images: reverse_only(mlp(params, images)))


def test_random_at_trace_time():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="not deterministic"):
        bad(apply=lambda params, images: mlp(params, images) + float(generator.standard_normal()))


def test_random_at_run_time():
    generator = np.random.default_rng(0)

    def apply(params, images):
        output = mlp(params, images)
        noise = jax.pure_callback(
            lambda: generator.standard_normal(output.shape).astype(np.float32),
            jax.ShapeDtypeStruct(output.shape, jnp.float32),
        )
        return output + jax.lax.stop_gradient(noise)

    with pytest.raises(ValueError, match="not deterministic"):
        bad(apply=apply)


def test_score_arguments():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    basis = bad()
    for options, message in [
        ({"probes": 1}, "needs at least 2"),
        ({"tolerance": 1.5}, "between 0 and 1"),
        ({"prior_precision": -1.0}, "a number of at least 0"),
        ({"probes": 8, "probing": sluguq.Probing(directions=-1)}, "directions is -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            sluguq.score(mlp, params, basis, images, key=KEY, **options)
    with pytest.raises(ValueError, match="belongs to another network"):
        sluguq.score(mlp, mlp_params(hidden=4, dtype=jnp.float32), basis, images, key=KEY)
    with pytest.raises(ValueError, match="without a basis"):
        sluguq.score(mlp, params, None, images, key=KEY, prior_precision=1.0)


def test_nan_that_only_shows_in_the_score():
    """The network overflows on the second image alone."""

    def apply(params, images):
        return mlp(params, images) * jnp.where(images.max((1, 2, 3), keepdims=True) > 50, jnp.inf, 1)

    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32).at[1].set(100.0)
    with pytest.raises(ValueError, match="image 1 has a NaN"):
        sluguq.score(apply, params, None, images, probes=2, key=KEY)


def test_a_jacobian_too_large_to_write_down():
    with pytest.raises(ValueError, match="too large to write down"):
        jacobian(mlp, mlp_params(dtype=jnp.float32), pictures(1, dtype=jnp.float32)[0], Budget(device_bytes=1000))


def test_a_basis_of_the_other_kind_or_of_another_network():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    basis = bad()
    sketched = sluguq.sketched_eigenbasis(mlp, params, images, rank=2, sketch_size=60, key=KEY)
    with pytest.raises(ValueError, match="score takes what eigenbasis returned"):
        sluguq.score(mlp, params, sketched, images, key=KEY)
    with pytest.raises(ValueError, match="score_sketched takes what sketched_eigenbasis returned"):
        sluguq.score_sketched(mlp, params, basis, images, key=KEY)
    with pytest.raises(ValueError, match="belongs to another network"):
        sluguq.score_sketched(mlp, mlp_params(hidden=8, dtype=jnp.float32), sketched, images, key=KEY)


def test_images_in_a_list():
    with pytest.raises(ValueError, match="not a list: stack them"):
        bad(images=list(pictures(3, dtype=jnp.float32)))


def test_a_subset_that_is_not_there():
    images = pictures(3, dtype=jnp.float32)
    for kind in (images, np.asarray(images)):
        with pytest.raises(ValueError, match="subset holds 3, but there are 3 images"):
            sluguq.eigenbasis(mlp, mlp_params(dtype=jnp.float32), kind, rank=2, key=KEY, subset=[0, 3])


def test_images_of_a_batch_are_mixed():
    def apply(params, images):
        return mlp(params, images - images.mean(0))

    for count in (3, 1):
        with pytest.raises(ValueError, match="mixes the images of a batch"):
            bad(apply=apply, images=pictures(count, dtype=jnp.float32))


class Stored:
    """Images that are read in slices, as from a zarr array."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, part):
        return self.values[part]


def test_nan_in_an_image_that_is_read_when_it_is_needed():
    images = np.array(pictures(5, dtype=jnp.float32))
    images[3, 2, 0, 1] = np.nan
    with pytest.raises(ValueError, match="image 3 holds NaN"):
        sluguq.eigenbasis(mlp, mlp_params(dtype=jnp.float32), Stored(images), rank=2, batch_size=2, key=KEY)


def test_overflow_on_one_image():
    images = np.array(pictures(5, dtype=jnp.float32))
    images[2] *= 200

    def apply(params, images):
        return mlp(params, images) * jnp.exp(images.max((1, 2, 3), keepdims=True))

    with pytest.raises(ValueError, match="returns NaN or infinite values for image 2"):
        bad(apply=apply, images=images)


def test_noise_under_a_fixed_key():
    """A latent sample or dropout whose key is a constant depends on the place in the batch, and on nothing else."""

    def sampled(params, images):
        return mlp(params, images + 0.5 * jax.random.normal(jax.random.key(3), images.shape))

    def dropped(params, images):
        return mlp(params, images) * jax.random.bernoulli(jax.random.key(5), 0.5, images.shape)

    for apply in (sampled, dropped):
        with pytest.raises(ValueError, match="other outputs at other places of a batch"):
            bad(apply=apply)


def test_batch_statistics_are_seen_although_the_last_image_is_the_first():
    images = pictures(3, dtype=jnp.float32)

    def apply(params, images):
        return mlp(params, images / (1 + images.std(0)))

    with pytest.raises(ValueError, match="mixes the images of a batch"):
        bad(apply=apply, images=jnp.concatenate([images, images[:1]]))


def test_running_statistics_among_the_weights():
    params = mlp_params(dtype=jnp.float32)
    with pytest.raises(ValueError, match=r"\['batch_stats'\]\['mean'\] is a running statistic"):
        bad(
            apply=lambda variables, images: mlp(variables["params"], images),
            params={"params": params, "batch_stats": {"mean": jnp.zeros(3)}},
        )


def test_running_statistics_in_an_nnx_state():
    from flax import nnx

    class Normed(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(2, use_running_average=True, rngs=rngs)

        def __call__(self, images):
            return self.norm(images)

    graph, everything = nnx.split(Normed(nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"norm.*is a running statistic"):
        bad(apply=lambda state, images: nnx.merge(graph, state)(images), params=everything)
    graph, weights, rest = nnx.split(Normed(nnx.Rngs(0)), nnx.Param, ...)
    bad(apply=lambda state, images: nnx.merge(graph, state, rest)(images), params=weights)


def test_black_images_are_no_zero_derivative():
    images = np.array(pictures(3, dtype=jnp.float32))
    images[[0, -1]] = 0

    def apply(params, images):
        return jnp.maximum(images @ params["w"], 0)

    basis = bad(apply=apply, params={"w": jnp.eye(2)}, images=images)
    assert (basis.eigenvalues > 0).all()


def test_complex_outputs_and_weights():
    with pytest.raises(ValueError, match=r"returns complex64: stack real and imaginary parts"):
        bad(apply=lambda params, images: mlp(params, images) * (1 + 1j))
    with pytest.raises(ValueError, match=r"params\['w'\] is complex64"):
        bad(params={**mlp_params(dtype=jnp.float32), "w": jnp.ones(2, jnp.complex64)})


def test_integer_outputs():
    with pytest.raises(ValueError, match="returns uint8, which has no derivative"):
        bad(apply=lambda params, images: mlp(params, images).astype(jnp.uint8))


def test_a_number_for_a_key():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    with pytest.raises(ValueError, match=r"key is 0: pass a random key, for example jax.random.key\(0\)"):
        sluguq.eigenbasis(mlp, params, images, rank=2, key=0)
    with pytest.raises(ValueError, match="key is 0"):
        sluguq.score(mlp, params, None, images, probes=4, key=0)
    sluguq.score(mlp, params, None, images, probes=4, key=jax.random.PRNGKey(0))


def test_leaves_that_are_no_arrays():
    def scaled(params, images):
        return mlp(params["network"], images) * params["scale"]

    params = {"network": mlp_params(dtype=jnp.float32), "scale": 1.5}
    assert bad(apply=scaled, params=params).vectors.shape[1] == 246
    for leaf, kind in ((jnp.tanh, "is a"), ("relu", "is a str")):
        with pytest.raises(ValueError, match=rf"params\['activation'\] {kind}.*eqx.partition"):
            bad(params={**params["network"], "activation": leaf})


def test_an_image_without_a_derivative_scores_zero():
    """Its image is black, and the network has no bias."""
    images = np.array(pictures(3, dtype=jnp.float32))
    images[1] = 0
    params = {"w": jnp.eye(2)}

    def apply(params, images):
        return jnp.maximum(images @ params["w"], 0)

    basis = bad(apply=apply, params=params, images=images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = sluguq.score(apply, params, basis, images, probes=4, key=KEY, maps=True)
        assert (scores.slug[1], scores.removed[1]) == (0, 0)


def test_channels_first():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, 6, 5, 2, dtype=jnp.float32)
    params = mlp_params(6, 5, 2, dtype=jnp.float32)

    def first(params, images):
        return jnp.moveaxis(mlp(params, jnp.moveaxis(images, 1, -1)), -1, 1)

    moved = jnp.moveaxis(images, -1, 1)
    basis = sluguq.eigenbasis(mlp, params, images, rank=2, key=KEY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        last = sluguq.score(mlp, params, basis, images, probes=8, maps=True, key=KEY)
        other = sluguq.score(first, params, basis, moved, probes=8, maps=True, channel_axis=1, key=KEY)
        exact = sluguq.score_exact(first, params, basis, moved, channel_axis=1)
        scorer = sluguq.Scorer(first, params, basis, probes=8, maps=True, channel_axis=1, key=KEY)
        streamed = [scorer(moved[:2]), scorer(moved[2:])]
    np.testing.assert_allclose(np.concatenate([part.maps for part in streamed]), last.maps, rtol=1e-3)
    assert other.maps.shape == exact.maps.shape == (3, 6, 5)
    np.testing.assert_allclose(other.maps, last.maps, rtol=1e-4)
    with pytest.warns(UserWarning, match="looks like channels first: pass channel_axis=1"):
        sluguq.score(first, params, basis, moved, probes=4, maps=True, key=KEY)
    with pytest.raises(ValueError, match="channel_axis 4 is no axis"):
        sluguq.score(first, params, basis, moved, probes=4, channel_axis=4, key=KEY)


def test_standard_errors_are_no_smaller_than_rounding():
    """With all directions in the basis, probes agree to many more digits than float32 has."""
    params, images = mlp_params(hidden=1, dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    basis = sluguq.eigenbasis(mlp, params, images, rank=49, key=KEY)
    scores = sluguq.score(mlp, params, basis, images, probes=8, key=KEY, probing=sluguq.Probing(norm_probes=49))
    assert (scores.slug_sem >= np.finfo(np.float32).eps * 0.99 * scores.jacobian_norm).all()
