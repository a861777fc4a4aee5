"""Accuracies in words, and the cheapest way to one: by arithmetic, and met when it is carried out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.accuracy import ACCURACIES, Settled, Spectrum, Split, as_number, cheapest, left_squares
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.projection import Projector
from sluguq.slug.shared import shared_directions
from tests.slug.conftest import convnet_apply, convnet_params, mlp, mlp_params, pictures

KEY = jax.random.key(3)


def spectrum(values, shared=0):
    return Spectrum(np.diag(np.asarray(values, float)), shared, 0.0, 0.0)


def test_words_and_numbers():
    assert [as_number(word) for word in ACCURACIES] == sorted(ACCURACIES.values(), reverse=True)
    assert as_number(0.3) == 0.3
    for wrong in ("3 %", 0.0, 1.0):
        with pytest.raises(ValueError, match="accuracy is"):
            as_number(wrong)


def test_what_directions_leave_lies_between_the_best_and_nothing():
    values = np.geomspace(1, 1e-4, 60)
    for directions in (3, 12, 24):
        best = (values[directions:] ** 2).sum()
        assert best <= left_squares(values, directions, draws=20) <= 3 * best
    assert left_squares(values, 0) == pytest.approx((values**2).sum())
    assert left_squares(values, 60) == 0.0


@pytest.mark.parametrize("accuracy", [0.08, 0.02, 0.01])
def test_the_cheapest_split_is_accurate_enough_and_none_is_cheaper(accuracy):
    spectra = [spectrum(np.geomspace(1, 1e-3, 50) * scale, shared=8) for scale in (1.0, 3.0)]
    split = cheapest(spectra, accuracy)
    left = left_squares(spectra[0].beyond(split.shared), split.directions)
    assert 2 * left / spectra[0].total ** 2 / split.probes <= accuracy**2
    assert split.cost < Split(0, split.probes + 200).cost
    assert cheapest(spectra, accuracy / 2).cost > split.cost


def test_flat_spectra_need_no_directions_and_steep_ones_no_probes():
    assert cheapest([spectrum(np.ones(500))], 0.05).directions == 0
    assert cheapest([spectrum(np.geomspace(1, 1e-12, 30))], 0.01).probes == 8


def test_nothing_left_needs_nothing():
    assert cheapest([spectrum(np.zeros(5))], 0.01) == Split(0, 8)


@pytest.fixture(scope="module")
def network():
    apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
    images = pictures(48, 4, 4, 3, jnp.float32)
    return apply, params, sluguq.eigenbasis(apply, params, images[:8], rank=6, key=KEY, tolerance=1e-4), images


def test_an_accuracy_is_met_against_the_exact_scores(network):
    exact = sluguq.score_exact(*network)
    for accuracy in ("5 %", "2 %"):
        errors, reached, covered = [], [], []
        for seed in range(4):
            scores = sluguq.score(*network, accuracy=accuracy, key=jax.random.key(seed), maps=True)
            errors.append(scores.slug / exact.slug - 1)
            reached.append(scores.slug_sem / scores.slug)
            covered.append(np.abs(scores.slug - exact.slug) <= 1.96 * scores.slug_sem)
        for relative in (errors, reached):
            assert np.sqrt(np.mean(np.square(relative))) < 1.3 * ACCURACIES[accuracy]
        assert 0.88 <= np.mean(covered) <= 1.0
        np.testing.assert_allclose(scores.maps.sum((1, 2)), scores.slug, rtol=1e-4)
        assert (scores.maps >= 0).all()


def test_shared_directions_hold_most_and_are_orthogonal(network):
    _, params, basis, _ = network
    projector = Projector.of(basis, params)
    common = jax.random.normal(KEY, (3, basis.vectors.shape[1]))
    images = [jax.random.normal(jax.random.key(i), (5, 3)) @ common for i in range(4)]
    noise = [0.01 * jax.random.normal(jax.random.key(9 + i), rows.shape) for i, rows in enumerate(images)]
    found = shared_directions([rows + part for rows, part in zip(images, noise, strict=True)], projector, 8)
    np.testing.assert_allclose(found @ found.T, np.eye(len(found)), atol=1e-5)
    assert np.abs(found @ np.asarray(basis.vectors).T).max() < 1e-5
    wanted = projector.project(common)
    left = wanted - (wanted @ found[:3].T) @ found[:3]
    assert np.linalg.norm(left) < 0.05 * np.linalg.norm(wanted)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_shared_directions_are_unbiased_for_any_prior(network, alpha):
    """Whatever is shared, S and the directions taken exactly are of one and the same A."""
    apply, params, basis, images = network
    images = images[:8]
    exact = sluguq.score_exact(apply, params, basis, images, prior_precision=alpha)
    random = [jax.random.normal(KEY, (5, basis.vectors.shape[1]))]
    settled = Settled(Split(3, 24, 5), shared_directions(random, Projector.of(basis, params), 5))
    options = {"probing": sluguq.Probing(settled=settled), "prior_precision": alpha, "maps": True}
    runs = [sluguq.score(apply, params, basis, images, key=jax.random.key(seed), **options) for seed in range(20)]
    estimates = np.stack([run.slug for run in runs])
    z = (estimates.mean(axis=0) - exact.slug) / (estimates.std(axis=0, ddof=1) / np.sqrt(len(runs)))
    assert np.abs(z).max() < 5
    held = np.mean([np.abs(run.slug - exact.slug) <= 1.96 * run.slug_sem for run in runs])
    assert 0.85 <= held <= 1.0
    assert runs[0].shared == 5
    np.testing.assert_allclose(runs[0].maps.sum((1, 2)), runs[0].slug, rtol=1e-4)
    np.testing.assert_allclose(np.mean([run.maps for run in runs], axis=0), exact.maps, rtol=0.3)


def test_repeated_and_vanishing_spectra(x64):
    """As many equal eigenvalues as outputs, images that depend on no weight, and a basis that leaves nothing."""

    def repeated(params, images):
        return images * params["w"][:, None]

    images = pictures(40, 1, 4, 2)
    images = images.at[3].set(0.0)
    params = {"w": jnp.ones(4, jnp.float64)}
    exact = sluguq.score_exact(repeated, params, None, images)
    scores = sluguq.score(repeated, params, None, images, accuracy="2 %", key=KEY)
    np.testing.assert_allclose(scores.slug, exact.slug, rtol=0.1, atol=1e-12)
    assert scores.slug[3] == 0.0
    whole = Eigenbasis(np.ones(4), np.eye(4), np.zeros(4), np.ones(4, bool), 0.0, np.nan, np.nan, 0)
    nothing = sluguq.score(repeated, params, whole, images, accuracy="2 %", key=KEY, maps=True)
    assert np.isfinite(nothing.slug).all()
    assert (np.abs(nothing.slug) < 1e-12).all()


def test_an_accuracy_stands_alone():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    for other in ({"probes": 4}, {"tolerance": 0.1}, {"probing": sluguq.Probing(directions=2)}):
        with pytest.raises(ValueError, match="accuracy chooses"):
            sluguq.score(mlp, params, None, images, accuracy="2 %", key=KEY, **other)
