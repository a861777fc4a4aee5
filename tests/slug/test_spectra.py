"""Eigenbases on repeated, clustered and vanishing eigenvalues, against exact spectra in float64."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.exact import dense_ggn
from sluguq.slug.ggn import GGN
from sluguq.slug.lanczos_state import load_state, save_state
from sluguq.slug.leading import incompleteness
from sluguq.slug.missing import search
from sluguq.slug.recurrence import Recurrence
from sluguq.slug.rows import DeviceRows
from sluguq.slug.sketch import apply_sketch
from tests.slug.conftest import diagonal_network

KEY = jax.random.key(5)
NO_TRACE = sluguq.Lanczos(trace_probes=0)


def found_in(spectrum, rank, **options):
    apply, params, images = diagonal_network(spectrum, rotated=True)
    options = {"key": KEY, "solver": NO_TRACE, **options}
    return sluguq.eigenbasis(apply, params, images, rank=rank, **options), dense_ggn(apply, params, images)


def assert_leading(basis, dense, rtol):
    """Eigenvalues of the dense matrix, vectors that are orthonormal and honest residuals."""
    values = np.linalg.eigvalsh(dense)[::-1]
    np.testing.assert_allclose(basis.eigenvalues, values[: len(basis.eigenvalues)], rtol=rtol)
    vectors = np.asarray(basis.vectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=1e-10)
    residual = np.linalg.norm(vectors @ dense - basis.eigenvalues[:, None] * vectors, axis=1)
    assert (residual <= 2 * basis.residuals + 1e-10 * values[0]).all()
    assert basis.converged.all()
    assert basis.complete


@pytest.mark.parametrize(
    ("spectrum", "rank"),
    [
        (np.geomspace(100, 0.1, 50), 5),
        (np.repeat(np.geomspace(100, 0.1, 20), 3), 3),
        (np.repeat(np.geomspace(100, 0.1, 20), 3), 8),
        (np.concatenate([np.repeat([31.4, 26.0], 72), np.full(16, 0.01)]), 4),
        (np.concatenate([np.repeat([31.4, 26.0], 72), np.full(16, 0.01)]), 20),
        (np.concatenate([np.repeat([31.4, 26.0], 72), np.full(16, 0.01)]), 80),
        (np.concatenate([1 + np.linspace(-1e-5, 1e-5, 5), [0.5, 0.4], np.geomspace(0.2, 1e-3, 40)]), 3),
        (np.concatenate([1 + np.linspace(-1e-5, 1e-5, 5), [0.5, 0.4], np.geomspace(0.2, 1e-3, 40)]), 6),
    ],
    ids=[
        "simple",
        "3 copies, 1 kept whole",
        "3 copies",
        "72 copies",
        "72 copies, 20",
        "72 copies, past all of the first",
        "in a cluster",
        "past a cluster",
    ],
)
def test_no_copy_is_missed(x64, spectrum, rank):
    basis, dense = found_in(spectrum, rank, tolerance=1e-5)
    assert_leading(basis, dense, rtol=2e-5)


def test_a_last_layer_of_three_colours_is_scored_as_by_its_exact_basis(x64):
    """G = I₃ ⊗ Σ φφᵀ: every eigenvalue three times, as for the last layer of any network that paints RGB."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 4, 6, 16)) * np.exp(-np.arange(16) / 4)
    params = {"kernel": jnp.asarray(rng.normal(size=(16, 3))), "bias": jnp.zeros(3)}

    def apply(params, features):
        return features @ params["kernel"] + params["bias"]

    basis = sluguq.eigenbasis(apply, params, features, rank=9, key=KEY, solver=NO_TRACE)
    dense = dense_ggn(apply, params, features)
    assert_leading(basis, dense, rtol=1e-5)
    np.testing.assert_allclose(basis.eigenvalues[[0, 3, 6]], basis.eigenvalues[[2, 5, 8]], rtol=1e-5)
    exact = basis._replace(vectors=np.linalg.eigh(dense)[1][:, ::-1].T[:9])
    test = rng.normal(size=(3, 4, 6, 16))
    scores, wanted = (sluguq.score_exact(apply, params, one, test).slug for one in (basis, exact))
    np.testing.assert_allclose(scores, wanted, rtol=1e-3)


def test_pairs_of_rounding_are_left_out_and_told():
    """In float32, with more directions asked for than the one image determines."""
    spectrum = np.concatenate([np.geomspace(100, 1, 12), np.zeros(60)]).astype(np.float32)
    for seed in range(3):
        with pytest.warns(UserWarning, match="has 12 of the 30 pairs asked for"):
            basis, dense = found_in(spectrum, 30, key=jax.random.key(seed))
        assert (len(basis.eigenvalues), len(basis.vectors), basis.dropped) == (12, 12, 18)
        np.testing.assert_allclose(basis.eigenvalues, spectrum[:12], rtol=1e-4)
        outside = np.eye(72) - np.asarray(basis.vectors).T @ np.asarray(basis.vectors)
        assert np.trace(outside @ dense) < 1e-3


def test_small_eigenvalues_are_no_rounding():
    """In float32 a direction of 10⁻⁸ of the largest eigenvalue is one: products are exact to a share of ‖J v‖."""
    spectrum = np.geomspace(1, 1e-8, 40).astype(np.float32)
    basis, _ = found_in(spectrum, 36)
    assert basis.dropped == 0
    np.testing.assert_allclose(basis.eigenvalues[:30], spectrum[:30], rtol=0.05)


def test_what_is_missing_at_the_limit_is_told(x64):
    solver = sluguq.Lanczos(trace_probes=0, max_products=8)
    with pytest.warns(UserWarning, match="still missing, as eigenvalues are repeated"):
        basis, _ = found_in(np.repeat(np.geomspace(100, 0.1, 20), 3), 8, tolerance=10.0, solver=solver)
    assert not basis.complete


def known(spectrum, rows):
    """A recurrence whose rows are these eigenvectors."""
    apply, params, images = diagonal_network(spectrum)
    ggn = GGN(apply, params, images)
    recurrence = Recurrence(ggn, DeviceRows(40, ggn.size, ggn.dtype), 40, KEY)
    for index, row in enumerate(rows):
        recurrence.rows.write(index, jnp.eye(ggn.size)[row])
        recurrence.projected[index, index] = spectrum[row]
    recurrence.step = len(rows)
    return recurrence


@pytest.mark.parametrize("seed", range(5))
def test_a_search_finds_what_is_missing_and_nothing_else(x64, seed):
    spectrum = np.concatenate([np.repeat(np.geomspace(100, 1, 10), 2), np.geomspace(0.5, 1e-3, 100)])
    everything, but_one = known(spectrum, range(20)), known(spectrum, [*range(17), 18, 19])
    for recurrence in (everything, but_one):
        recurrence.key = jax.random.key(seed)
    assert not search(everything, 1.0, 1.01).found
    assert search(but_one, 1.0, 1.01).found
    assert search(everything, 0.4, 0.41).found


def test_incompleteness_is_an_upper_estimate_of_the_mean_error(x64):
    spectrum = np.geomspace(100, 1e-2, 60)
    exact, _ = found_in(spectrum, 8, tolerance=1e-10)
    errors, estimates = [], []
    for accuracy in (0.3, 0.1, 0.01, 0.001):
        solver = sluguq.Lanczos(trace_probes=0, accuracy=accuracy)
        basis, _ = found_in(spectrum, 8, tolerance=1e-10, solver=solver)
        errors.append((spectrum[:8].sum() - basis.eigenvalues.sum()) / spectrum[8:].sum())
        estimates.append(basis.incompleteness)
        assert basis.incompleteness <= accuracy
        assert basis.products < exact.products
    assert (np.array(errors) <= estimates).all()
    assert errors[0] > 0


def test_incompleteness_of_known_pairs():
    values, residuals = np.array([10.0, 5.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.5, 0.5])
    assert incompleteness(values, residuals, 2) == pytest.approx((0.1**2 / 9 + 0.4**2 / 4) / 2)
    assert incompleteness(values, np.zeros(4), 2) == 0
    assert incompleteness(values[:2], residuals[:2], 2) == np.inf


def test_a_block_is_read_once(x64):
    """Vectors of a block share a pass over the images."""
    basis, _ = found_in(np.concatenate([np.repeat([31.4, 26.0], 20), np.full(16, 0.01)]), 6)
    assert basis.passes < 0.7 * basis.products


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_the_sketched_twin_misses_no_copy(x64, copies):
    spectrum = np.concatenate([np.repeat([100.0, 40.0, 15.0, 6.0], copies), np.geomspace(1, 1e-3, 60)])
    apply, params, images = diagonal_network(spectrum, rotated=True)
    basis = sluguq.sketched_eigenbasis(
        apply, params, images, rank=3 * copies, sketch_size=len(spectrum), iterations=24, key=KEY
    )
    # Without reorthogonalisation a copy is as good as its tolerance, of 5 %.
    np.testing.assert_allclose(basis.eigenvalues, spectrum[: 3 * copies], rtol=1e-2)
    vectors = np.linalg.eigh(dense_ggn(apply, params, images))[1][:, ::-1][:, : 3 * copies]
    seen = jax.vmap(lambda one: apply_sketch(basis.sketch, one))(jnp.asarray(vectors.T))
    np.testing.assert_allclose(np.linalg.svd(np.asarray(seen) @ np.asarray(basis.sketched).T)[1], 1, atol=0.15)


def weights(order):
    rng = np.random.default_rng(0)
    layers = [jnp.asarray(rng.normal(size=(2, 2)), jnp.float32) for _ in range(12)]
    return {order(index): layer for index, layer in enumerate(layers)}


def chain(params, images):
    for name in sorted(params, key=int):
        images = jnp.tanh(images @ params[name])
    return images


def test_a_basis_belongs_to_its_weights():
    images = np.random.default_rng(1).uniform(-1, 1, (4, 3, 3, 2)).astype(np.float32)
    params = weights(int)
    basis = sluguq.eigenbasis(chain, params, images, rank=3, key=KEY)
    sketched = sluguq.sketched_eigenbasis(chain, params, images, rank=3, sketch_size=30, key=KEY)
    other = {**params, 3: params[3] + 0.1}
    for wrong, message in ((weights(str), "another order"), (other, "other weights of the same architecture")):
        with pytest.raises(ValueError, match=message):
            sluguq.score(chain, wrong, basis, images, key=KEY)
        with pytest.raises(ValueError, match=message):
            sluguq.score_exact(chain, wrong, basis, images)
        with pytest.raises(ValueError, match=message):
            sluguq.score_sketched(chain, wrong, sketched, images, probes=4, key=KEY)
    fewer = {name: params[name] for name in range(10)}
    same = {str(name): layer for name, layer in fewer.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = sluguq.eigenbasis(chain, fewer, images, rank=3, key=KEY)
        sluguq.score(chain, same, small, images, probes=4, key=KEY)  # text, but in the same order


def test_wider_arithmetic_is_the_same_network():
    from sluguq.slug.fingerprint import fingerprint

    params = weights(int)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        assert fingerprint(wide) == fingerprint(params)


def test_two_bases_never_share_a_file(tmp_path):
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60).astype(np.float32), rotated=True)
    first = sluguq.eigenbasis(apply, params, images, rank=3, key=KEY, storage=tmp_path)
    vectors = np.array(first.vectors)
    second = sluguq.eigenbasis(apply, params, images, rank=3, key=jax.random.key(8), storage=tmp_path)
    np.testing.assert_array_equal(first.vectors, vectors)
    assert not np.array_equal(first.vectors, second.vectors)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vectors-1.bin", "vectors-2.bin"]


@pytest.mark.parametrize("storage", ["device", "folder"])
def test_a_widened_block_goes_on_to_the_bit(tmp_path, storage):
    spectrum = np.repeat([31.4, 26.0, 12.0], 20).astype(np.float32)
    apply, params, images = diagonal_network(spectrum, rotated=True)
    options = {"rank": 7, "key": KEY, "tolerance": 1e-5, "solver": sluguq.Lanczos(subspace=20, max_products=300)}
    states = []

    def place(name):
        return tmp_path / name if storage == "folder" else storage

    def keep(state):
        states.append(len(state.vectors) > state.step + 1)
        save_state(state, tmp_path / "state.npz")
        if states[-1]:
            raise KeyboardInterrupt

    whole = sluguq.eigenbasis(apply, params, images, **options, storage=place("whole"))
    with pytest.raises(KeyboardInterrupt):
        checkpoint = sluguq.Checkpoint(on_block=keep, block=3)
        sluguq.eigenbasis(apply, params, images, **options, storage=place("cut"), checkpoint=checkpoint)
    state = load_state(tmp_path / "state.npz")
    assert len(state.vectors) > state.step + 1, "the block is wide already"
    resumed = sluguq.eigenbasis(
        apply, params, images, **options, storage=place("cut"), checkpoint=sluguq.Checkpoint(state)
    )
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    assert resumed.products == whole.products
