"""The papers' pair: the transform, ghosts, and agreement with the exact score as the sketch grows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

import sluguq
from sluguq.slug.sketch import _dct, apply_sketch, dense_sketch, fast_length, make_sketch
from tests.slug.conftest import diagonal_network, mlp, mlp_params, pictures

KEY = jax.random.key(2)


@pytest.mark.parametrize("length", [2, 4, 10, 36])
def test_cosine_transform(x64, length):
    x = np.random.default_rng(0).standard_normal((3, length))
    np.testing.assert_allclose(_dct(jnp.asarray(x)), scipy.fft.dct(x, norm="ortho"), atol=1e-12)


def test_fast_lengths():
    for length in (1, 2, 11, 97, 1000, 44_855, 50_439_619):
        size = fast_length(length)
        assert length <= size <= 1.1 * length + 2
        for prime in (2, 3, 5, 7):
            while size % prime == 0:
                size //= prime
        assert size == 1


def test_full_sketch_is_an_isometry(x64):
    sketch = make_sketch(KEY, 50, 50)
    dense = dense_sketch(sketch, 50)
    np.testing.assert_allclose(dense.T @ dense, np.eye(50), atol=1e-10)


@pytest.mark.parametrize("longest", [1 << 22, 16])
def test_rows_are_distinct_and_lengths_are_kept_on_average(longest):
    vector = jnp.linspace(-1, 2, 60)
    lengths = []
    for seed in range(400):
        sketch = make_sketch(jax.random.key(seed), 60, 20, longest)
        assert all(len(set(rows.tolist())) == len(rows) for rows in np.asarray(sketch.rows))
        lengths.append(float(jnp.square(apply_sketch(sketch, vector)).sum()))
    error = np.std(lengths) / np.sqrt(len(lengths))
    assert abs(np.mean(lengths) - float(jnp.square(vector).sum())) < 4 * error
    assert sketch.rows.shape[0] == (1 if longest > 60 else 4)


@pytest.mark.parametrize("longest", [1 << 22, 16])
def test_signs_and_rows_come_from_keys_of_their_own(longest):
    """One key for both, as in the published code, shows in no statistic of Threefry's bits, but in JAX's record."""
    drawn = set()
    with jax.debug_key_reuse(True):
        sketch = make_sketch(jax.random.key(2), 61, 61, longest)
    for block in (*np.asarray(sketch.signs), *np.asarray(sketch.rows)):
        drawn.add(tuple(block.tolist()))
    assert len(drawn) == 2 * len(sketch.signs)  # nor do blocks share what they draw


def test_ghosts_are_left_out():
    """In float32 three-term Lanczos finds the dominant eigenvalues several times."""
    spectrum = np.concatenate([[1e4, 3e3, 1e3], np.linspace(1, 0.1, 197)]).astype(np.float32)
    apply, params, images = diagonal_network(spectrum)
    basis = sluguq.sketched_eigenbasis(
        apply, params, images, rank=6, sketch_size=180, iterations=60, key=KEY, tolerance=0.1
    )
    assert basis.ghosts >= 2
    np.testing.assert_allclose(basis.eigenvalues[:3], spectrum[:3], rtol=1e-3)
    assert (basis.eigenvalues[3:] < 2).all()
    np.testing.assert_allclose(basis.sketched @ basis.sketched.T, np.eye(len(basis.eigenvalues)), atol=1e-5)


def test_unconverged_directions_are_told_and_left_out():
    apply, params, images = diagonal_network(np.concatenate([[100.0, 50.0], np.linspace(1, 2, 98)]).astype(np.float32))
    with pytest.warns(UserWarning, match="have not converged"):
        basis = sluguq.sketched_eigenbasis(
            apply, params, images, rank=10, sketch_size=80, iterations=12, key=KEY, tolerance=1e-3
        )
    assert len(basis.eigenvalues) < 10
    assert basis.unconverged > 0
    assert (basis.residuals <= 1e-3 * basis.eigenvalues).all()


def test_tends_to_the_projected_score_as_the_sketch_grows():
    params, images = mlp_params(dtype=jnp.float32), pictures(4, dtype=jnp.float32)
    basis = sluguq.eigenbasis(mlp, params, images, rank=6, key=KEY, tolerance=1e-4)
    exact = sluguq.score_exact(mlp, params, basis, images).slug
    errors = []
    for size in (40, 245):
        each = []
        for seed in range(3):
            sketched = sluguq.sketched_eigenbasis(
                mlp, params, images, rank=6, sketch_size=size, iterations=30, key=jax.random.key(seed)
            )
            scores = sluguq.score_sketched(mlp, params, sketched, images, probes=400, batch_size=100, key=KEY)
            each.append((scores.slug - exact) / exact)
        errors.append(np.abs(each).mean())
    assert errors[1] < errors[0] / 2
    projected = sluguq.score(mlp, params, basis, images, probes=400, key=KEY)
    spread = np.hypot(scores.slug_sem, projected.slug_sem)
    assert (np.abs(scores.slug - projected.slug) < 4 * spread).all()


def test_single_coordinates_are_the_exact_diagonal_under_a_full_sketch(x64):
    params, images = mlp_params(hidden=10), pictures(2)  # 490 weights, a length that needs no padding
    basis = sluguq.eigenbasis(mlp, params, images, rank=4, key=KEY, tolerance=1e-6)
    sketched = sluguq.sketched_eigenbasis(
        mlp, params, images, rank=4, sketch_size=490, iterations=24, key=KEY, tolerance=1e-5
    )
    every = np.stack(np.unravel_index(np.arange(24), (4, 3, 2)), axis=1)
    scores = sluguq.score_sketched(mlp, params, sketched, images, probes=4, key=KEY, coordinates=every)
    exact = sluguq.score_exact(mlp, params, basis, images)
    np.testing.assert_allclose(scores.slu.reshape(2, 4, 3, 2).sum(-1), exact.maps, rtol=1e-3)


def test_bad_sketch_sizes_and_coordinates():
    params, images = mlp_params(dtype=jnp.float32), pictures(2, dtype=jnp.float32)
    for size in (5, 246):
        with pytest.raises(ValueError, match=f"sketch_size {size} is impossible"):
            sluguq.sketched_eigenbasis(mlp, params, images, rank=4, sketch_size=size, key=KEY)
    basis = sluguq.sketched_eigenbasis(mlp, params, images, rank=2, sketch_size=100, iterations=12, key=KEY)
    with pytest.raises(ValueError, match="within an output of shape"):
        sluguq.score_sketched(mlp, params, basis, images, key=KEY, coordinates=[[0, 0, 2]])
