"""What would give wrong numbers without a word is refused, in words that say what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)
PARAMS = mlp_params(dtype=jnp.float32)


@pytest.fixture(scope="module")
def images():
    return np.asarray(pictures(6, 4, 3, 2), np.float32)


@pytest.fixture(scope="module")
def basis(images):
    return sluguq.eigenbasis(mlp, PARAMS, images, rank=4, key=KEY)


@pytest.mark.parametrize(
    "part", [lambda *a: sluguq.restrict(*a, "*"), lambda *a: sluguq.restrict_to_share(*a, 0.5, None)]
)
def test_two_arrays_of_one_path_are_not_taken_for_one(part):
    params = {"a/b": jnp.ones(3), "a": {"b": jnp.zeros(3)}}
    with pytest.raises(ValueError, match="two arrays of params have the path 'a/b'"):
        part(lambda p, x: x * p["a/b"] + p["a"]["b"], params)


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 3), (6, 1, 3)])
def test_a_mask_that_only_broadcasts_is_refused(shape):
    images = np.asarray(pictures(6, 4, 4, 1), np.float32)
    params = mlp_params(4, 4, 1, dtype=jnp.float32)

    def channels_first(params, x):
        return jnp.moveaxis(mlp(params, x), -1, 1)

    with pytest.raises(ValueError, match=r"the outputs have \(n, 1, 4, 4\).*axis of 1"):
        sluguq.eigenbasis(channels_first, params, sluguq.masked(images, np.ones(shape)), rank=2, key=KEY)


def test_a_posterior_is_of_its_own_weights(basis, images):
    others = jax.tree.map(lambda leaf: 10 * leaf, PARAMS)
    posterior = sluguq.posterior(basis, prior_precision=1.0, noise=0.1)
    for call in (
        lambda: sluguq.best_prior_precision(basis, others),
        lambda: posterior.weights(others, 2, key=KEY),
        lambda: posterior.variance(mlp, others, images, key=KEY),
    ):
        with pytest.raises(ValueError, match="other weights of the same architecture"):
            call()


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e-12])
def test_a_matrix_that_vanishes_has_no_eigenbasis(images, scale):
    """Zero, or so small that its square is zero in float32: no direction would be one of the data."""

    def small(params, x):
        return scale * (x * params["gain"])

    with pytest.raises(ValueError, match=r"vanishes|derivative"):
        sluguq.eigenbasis(small, {"gain": jnp.ones((4, 3, 2))}, images, rank=2, key=KEY)


def test_black_images_without_biases_have_no_eigenbasis():
    def unbiased(params, x):
        return x * params["gain"]

    black = np.zeros((4, 4, 3, 2), np.float32)
    with pytest.raises(ValueError, match=r"vanishes.*black images"):
        sluguq.eigenbasis(unbiased, {"gain": jnp.ones((4, 3, 2))}, black, rank=2, key=KEY)


@pytest.mark.parametrize("number", [np.nan, np.inf, -1.0])
def test_a_prior_precision_is_a_number(basis, images, number):
    with pytest.raises(ValueError, match="prior_precision"):
        sluguq.score(mlp, PARAMS, basis, images, probes=4, prior_precision=number, key=KEY)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("batch_size", 2.5), ("rank", 2.0), ("rank", True)])
def test_counts_are_whole_numbers(images, name, value):
    with pytest.raises(ValueError, match=rf"{name} (is )?{value}"):
        sluguq.eigenbasis(mlp, PARAMS, images, **{"rank": 2, "key": KEY, name: value})


def test_a_scorer_asks_for_a_key_and_takes_pythons_floats(images):
    with pytest.raises(ValueError, match="key is 0"):
        sluguq.Scorer(mlp, PARAMS, None, key=0)

    def scaled(params, x):
        return params["scale"] * x

    scores = sluguq.Scorer(scaled, {"scale": 2.0}, None, key=KEY, probes=4)(images)
    np.testing.assert_allclose(scores.slug, np.square(images).sum((1, 2, 3)), rtol=1e-5)


def test_scores_of_a_block_in_pieces_know_no_common_error(basis, images):
    scorer = sluguq.Scorer(mlp, PARAMS, basis, key=KEY, probes=8)
    together = sluguq.Scores.concatenated([scorer(images[:4]), scorer(images[4:])])
    with pytest.raises(ValueError, match="scored in several calls"):
        together.combined_sem(np.full(6, 1 / 6))


def logits(params, x):
    return jnp.einsum("nhwc,ck->nhwk", x, params["kernel"])


def test_classes_may_lie_along_another_axis(images):
    params = {"kernel": jax.random.normal(KEY, (2, 3))}

    def channels_first(params, x):
        return jnp.moveaxis(logits(params, x), -1, 1)

    options = {"rank": 4, "likelihood": "categorical", "key": KEY, "tolerance": 1e-5}
    last = sluguq.eigenbasis(logits, params, images, **options)
    first = sluguq.eigenbasis(channels_first, params, images, **options, channel_axis=1)
    np.testing.assert_allclose(first.eigenvalues, last.eigenvalues, rtol=1e-4)


def test_a_softmax_needs_classes(images):
    one = {"kernel": jnp.ones((2, 1))}
    options = {"rank": 1, "likelihood": "categorical", "key": KEY}
    with pytest.raises(ValueError, match="one class along axis -1: for two classes by one logit take bernoulli"):
        sluguq.eigenbasis(logits, one, images, **options)
    with pytest.raises(ValueError, match=r"no axis of classes of logits of shape \(n,\)"):
        sluguq.eigenbasis(lambda p, x: logits(p, x).sum((1, 2, 3)), one, images, **options)
