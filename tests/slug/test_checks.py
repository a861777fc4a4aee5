"""Bad input: a clear error each, before any work."""

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
        ({"prior_precision": -1.0}, "cannot be negative"),
        ({"probing": sluguq.Probing(directions=-1)}, "directions is -1"),
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
