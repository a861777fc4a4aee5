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


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (lambda output: output / len(output), "another output alone"),
        (lambda output: output * (1 + (len(output) != 3)), "another output alone"),
        (lambda output: output.squeeze(), "another output alone"),
        (lambda output: output.reshape(3, *output.shape[1:]), "takes three images, but not one alone"),
    ],
)
def test_an_output_that_hangs_on_the_number_of_images_is_refused(images, counted, words):
    with pytest.raises(ValueError, match=words):
        sluguq.eigenbasis(lambda p, x: counted(mlp(p, x)), PARAMS, images, rank=2, key=KEY)


def rooted(params, x):
    """An image with a pixel above 5 has a root of zero in its derivative, not in its output."""
    return mlp(params, x) * jnp.sqrt(jnp.where(x[:, :1, :1, :1] > 5, params["bias"][0] - params["bias"][0], 1.0))


@pytest.mark.parametrize("place", [0, 3, 5])
def test_an_image_whose_derivative_is_nan_is_named(images, place):
    images = images.copy()
    images[place, 0, 0, 0] = 9
    calls = (
        lambda: sluguq.eigenbasis(rooted, PARAMS, images, rank=2, batch_size=2, key=KEY),
        lambda: sluguq.score(rooted, PARAMS, None, images, probes=4, key=KEY),
        lambda: sluguq.score_exact(rooted, PARAMS, None, images),
    )
    for call in calls:
        with pytest.raises(ValueError, match=rf"image {place}\b.*derivative|derivative.*image {place}\b"):
            call()


@pytest.mark.parametrize("scale", [1e12, 1e17])
def test_large_outputs_have_the_eigenbasis_of_small_ones(images, basis, scale):
    """The square of their eigenvalues is beyond float32."""
    large = sluguq.eigenbasis(lambda p, x: scale * mlp(p, x), PARAMS, images, rank=4, key=KEY)
    np.testing.assert_allclose(large.eigenvalues / scale**2, basis.eigenvalues, rtol=1e-4)


def test_outputs_too_large_to_square_are_told_so(images):
    with pytest.raises(ValueError, match="scale the outputs down"):
        sluguq.eigenbasis(lambda p, x: 1e20 * mlp(p, x), PARAMS, images, rank=2, key=KEY)


@pytest.mark.parametrize("convert", [lambda x: (x * 1e12).astype(np.int64), lambda x: x.astype(np.float64) * 1e300])
def test_numbers_that_32_bits_cannot_hold_are_not_wrapped(images, convert):
    with pytest.raises(ValueError, match="JAX computes in 32 bits"):
        sluguq.eigenbasis(lambda p, x: mlp(p, x / 1e12), PARAMS, convert(images), rank=2, key=KEY)


def test_images_of_objects_are_no_numbers(images):
    with pytest.raises(ValueError, match="dtype object, no numbers"):
        sluguq.eigenbasis(mlp, PARAMS, images.astype(object), rank=2, key=KEY)


@pytest.mark.parametrize(
    "options",
    [{"probes": 2.5}, {"prior_precision": "1"}, {"probes": 4, "probing": sluguq.Probing(directions=2.5)}],
)
def test_numbers_of_scores_are_numbers(basis, images, options):
    with pytest.raises(ValueError, match=r"is 2\.5|is '1'"):
        sluguq.score(mlp, PARAMS, basis, images, key=KEY, **options)


def test_scores_that_are_rounding_have_no_accuracy(recwarn):
    """All directions are determined: what is left of each score is rounding, which no other pilot would mend."""
    images = np.asarray(pictures(12, 4, 3, 2), np.float32)
    params = {"kernel": jax.random.normal(KEY, (2, 2)), "bias": jnp.zeros(2)}

    def linear(params, x):
        return x @ params["kernel"] + params["bias"]

    whole = sluguq.eigenbasis(linear, params, images, rank=6, key=KEY)
    scores = sluguq.score(linear, params, whole, images, accuracy="2 %", key=KEY)
    assert (scores.slug < 1e-5 * scores.jacobian_norm).all()
    assert not [warning for warning in recwarn if "accurate to" in str(warning.message)]


def test_a_sketched_basis_has_a_likelihood_too(images):
    options = {"rank": 3, "likelihood": "categorical", "key": KEY}
    params = {"kernel": jax.random.normal(KEY, (2, 3))}
    exact = sluguq.eigenbasis(logits, params, images, **options)
    sketched = sluguq.sketched_eigenbasis(logits, params, images, **options, sketch_size=6)
    np.testing.assert_allclose(sketched.eigenvalues, exact.eigenvalues, rtol=1e-3)


def test_a_matrix_that_vanishes_has_no_sketched_basis():
    black = np.zeros((4, 4, 3, 2), np.float32)
    params = {"kernel": jax.random.normal(KEY, (2, 3))}
    with pytest.raises(ValueError, match="vanishes"):
        sluguq.sketched_eigenbasis(logits, params, black, rank=2, sketch_size=6, key=KEY)
