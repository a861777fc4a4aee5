"""Eigenpairs against a dense eigendecomposition, restarts, and resumption to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.exact import dense_ggn
from sluguq.slug.lanczos_state import load_state, save_state
from tests.slug.conftest import convnet_apply, convnet_params, diagonal_network, mlp, mlp_params, pictures

KEY = jax.random.key(7)


def assert_eigenpairs(basis, dense, rtol=1e-8):
    rank = len(basis.eigenvalues)
    values = np.linalg.eigvalsh(dense)[::-1][:rank]
    np.testing.assert_allclose(basis.eigenvalues, values, rtol=rtol)
    vectors = np.asarray(basis.vectors)
    residual = np.linalg.norm(vectors @ dense - basis.eigenvalues[:, None] * vectors, axis=1)
    assert (residual <= 2 * basis.residuals + 1e-10 * values[0]).all()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(rank), atol=1e-10)


@pytest.mark.parametrize(("network", "size"), [("mlp", (4, 3, 2)), ("conv", (4, 4, 3))])
def test_agrees_with_a_dense_decomposition(x64, network, size):
    apply, params = (mlp, mlp_params()) if network == "mlp" else (convnet_apply(), convnet_params())
    images = pictures(6, *size)
    basis = sluguq.eigenbasis(apply, params, images, rank=8, batch_size=4, key=KEY, tolerance=1e-9)
    dense = dense_ggn(apply, params, images)
    assert basis.converged.all()
    assert_eigenpairs(basis, dense)
    assert abs(basis.trace - np.trace(dense)) < 4 * basis.trace_sem
    assert basis.explained == pytest.approx(basis.eigenvalues.sum() / np.trace(dense), rel=0.2)


@pytest.mark.parametrize(
    "spectrum",
    [np.geomspace(1e6, 1e-2, 60), np.concatenate([np.linspace(1, 2, 5), np.full(55, 1e-3)]), np.arange(60.0)],
    ids=["geometric", "gap", "linear"],
)
def test_prescribed_spectra_with_restarts(x64, spectrum):
    apply, params, images = diagonal_network(spectrum)
    basis = sluguq.eigenbasis(apply, params, images, rank=4, key=KEY, tolerance=1e-8, subspace=12, max_products=300)
    assert basis.converged.all()
    assert_eigenpairs(basis, np.diag(spectrum), rtol=1e-7)


def test_no_ghosts_in_float32():
    apply, params, images = diagonal_network(np.geomspace(1e6, 1, 80).astype(np.float32))
    basis = sluguq.eigenbasis(apply, params, images, rank=20, key=KEY, tolerance=1e-4)
    np.testing.assert_allclose(basis.eigenvalues, np.geomspace(1e6, 1, 80)[:20], rtol=1e-3)
    assert basis.orthogonality < 1e-5


def test_full_rank_and_beyond_the_rank_of_the_matrix(x64):
    spectrum = np.concatenate([[5.0, 3.0, 2.0], np.zeros(9)])
    apply, params, images = diagonal_network(spectrum)
    basis = sluguq.eigenbasis(apply, params, images, rank=12, key=KEY)
    np.testing.assert_allclose(basis.eigenvalues, spectrum, atol=1e-12)
    np.testing.assert_allclose(basis.vectors @ basis.vectors.T, np.eye(12), atol=1e-12)


def test_unconverged_pairs_are_told(x64):
    apply, params, images = diagonal_network(np.linspace(1, 1.1, 100))
    with pytest.warns(UserWarning, match="have not converged"):
        basis = sluguq.eigenbasis(apply, params, images, rank=10, key=KEY, tolerance=1e-10, max_products=20)
    assert not basis.converged.all()
    assert basis.products == 20


def test_subset_of_the_images(x64):
    params, images = mlp_params(), pictures(6)
    some = sluguq.eigenbasis(mlp, params, images, rank=3, key=KEY, subset=[0, 4])
    same = sluguq.eigenbasis(mlp, params, images[np.array([0, 4])], rank=3, key=KEY)
    np.testing.assert_array_equal(some.vectors, same.vectors)


def test_same_key_same_bits_and_other_key_other_bits():
    params, images = mlp_params(dtype=jnp.float32), pictures(6, dtype=jnp.float32)
    first, second, other = (
        sluguq.eigenbasis(mlp, params, images, rank=4, key=key) for key in (KEY, KEY, jax.random.key(8))
    )
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert not np.array_equal(first.vectors, other.vectors)
    np.testing.assert_allclose(first.eigenvalues, other.eigenvalues, rtol=1e-4)


@pytest.mark.parametrize("killed_at", [9, 15])  # before and after the first restart
@pytest.mark.parametrize("storage", ["device", "host", "folder"])
def test_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, storage, killed_at):
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60).astype(np.float32))
    options = {"rank": 6, "key": KEY, "subspace": 12, "tolerance": 1e-5, "max_products": 200, "block": 3}

    def place(name):
        return tmp_path / name if storage == "folder" else storage

    whole = sluguq.eigenbasis(apply, params, images, **options, storage=place("whole"))
    assert whole.products > 20

    class Killed(Exception):
        pass

    def kill(state):
        save_state(state, tmp_path / "state.npz")
        if state.products == killed_at:
            raise Killed

    with pytest.raises(Killed):
        sluguq.eigenbasis(apply, params, images, **options, storage=place("killed"), on_block=kill)
    state = load_state(tmp_path / "state.npz")
    assert state.products == killed_at
    resumed = sluguq.eigenbasis(apply, params, images, **options, storage=place("killed"), state=state)
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    np.testing.assert_array_equal(resumed.eigenvalues, whole.eigenvalues)
    assert resumed.products == whole.products
    assert not list(tmp_path.glob("killed/lanczos-*")), "scratch files are removed at the end"


def test_a_disk_that_cannot_hold_the_vectors_is_refused(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("sluguq.slug.rows.shutil.disk_usage", lambda folder: usage)
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60).astype(np.float32))
    with pytest.raises(ValueError, match=r"0\.0 GB free, but 22 vectors of 60 weights"):
        sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, storage=tmp_path)


def test_a_state_of_another_run_is_refused(x64):
    states = []
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60))
    sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, block=4, on_block=states.append)
    with pytest.raises(ValueError, match="belongs to another run"):
        sluguq.eigenbasis(apply, params, images, rank=9, key=KEY, state=states[0])


@pytest.mark.parametrize("storage", ["host", "folder"])
def test_other_storages_agree_with_the_device(tmp_path, storage, monkeypatch):
    monkeypatch.setattr("sluguq.slug.rows._BLOCK_BYTES", 1000)  # several blocks of columns
    params, images = mlp_params(dtype=jnp.float32), pictures(6, dtype=jnp.float32)
    options = {"rank": 4, "key": KEY, "subspace": 7, "tolerance": 1e-4, "max_products": 200}
    device = sluguq.eigenbasis(mlp, params, images, **options)
    other = sluguq.eigenbasis(mlp, params, images, **options, storage=tmp_path if storage == "folder" else storage)
    np.testing.assert_allclose(other.eigenvalues, device.eigenvalues, rtol=1e-4)
    overlap = np.linalg.svd(np.asarray(device.vectors) @ np.asarray(other.vectors).T)[1]
    np.testing.assert_allclose(overlap, 1, atol=1e-4)
    assert isinstance(other.vectors, np.memmap) == (storage == "folder")


def test_bfloat16_vectors(tmp_path):
    params, images = mlp_params(dtype=jnp.float32), pictures(6, dtype=jnp.float32)
    for storage in ("device", tmp_path):
        basis = sluguq.eigenbasis(mlp, params, images, rank=4, key=KEY, dtype="bfloat16", storage=storage)
        assert basis.vectors.dtype == jnp.bfloat16
        assert 1e-6 < basis.orthogonality < 0.01
