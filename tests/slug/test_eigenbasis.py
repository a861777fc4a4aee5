"""Eigenpairs against a dense eigendecomposition, restarts, and resumption to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.budget import Budget
from sluguq.slug.eigenbasis import Lanczos
from sluguq.slug.exact import dense_ggn
from sluguq.slug.execution import Execution
from sluguq.slug.lanczos_state import Checkpoint, load_state, save_state
from sluguq.slug.recurrence import Recurrence
from sluguq.slug.rows import HostRows
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
    basis = sluguq.eigenbasis(
        apply, params, images, rank=4, key=KEY, tolerance=1e-8, solver=Lanczos(subspace=12, max_products=300)
    )
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
    with pytest.warns(UserWarning, match="has 3 of the 12 pairs asked for: the other eigenvalues are rounding"):
        basis = sluguq.eigenbasis(apply, params, images, rank=12, key=KEY)
    np.testing.assert_allclose(basis.eigenvalues, spectrum[:3], atol=1e-12)
    np.testing.assert_allclose(basis.vectors @ basis.vectors.T, np.eye(3), atol=1e-12)
    assert basis.dropped == 9
    assert basis.complete


def test_unconverged_pairs_are_told(x64):
    apply, params, images = diagonal_network(np.linspace(1, 1.1, 100))
    with pytest.warns(UserWarning, match="have not converged"):
        basis = sluguq.eigenbasis(
            apply, params, images, rank=10, key=KEY, tolerance=1e-10, solver=Lanczos(max_products=20)
        )
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
    options = RESTARTED

    def place(name):
        return tmp_path / name if storage == "folder" else storage

    whole = sluguq.eigenbasis(apply, params, images, **options, storage=place("whole"))
    assert whole.products > 20

    def kill(state):
        save_state(state, tmp_path / "state.npz")
        if state.products == killed_at:
            raise Killed

    with pytest.raises(Killed):
        sluguq.eigenbasis(
            apply, params, images, **options, storage=place("killed"), checkpoint=Checkpoint(on_block=kill, block=3)
        )
    state = load_state(tmp_path / "state.npz")
    assert state.products == killed_at
    resumed = sluguq.eigenbasis(apply, params, images, **options, storage=place("killed"), checkpoint=Checkpoint(state))
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    np.testing.assert_array_equal(resumed.eigenvalues, whole.eigenvalues)
    assert resumed.products == whole.products
    assert not list(tmp_path.glob("killed/lanczos-*")), "scratch files are removed at the end"


def test_a_run_that_had_asked_for_more_goes_on_asking_for_it(tmp_path):
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60).astype(np.float32))
    options = {"rank": 6, "key": KEY, "tolerance": 0.3, "solver": Lanczos(accuracy=0.3)}
    states = []
    whole = sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(on_block=states.append, block=1))
    last = states[-1]
    assert max(last.stricter) > 0, "something was missing at first"
    save_state(last, tmp_path / "state.npz")
    resumed = sluguq.eigenbasis(
        apply, params, images, **options, checkpoint=Checkpoint(load_state(tmp_path / "state.npz"))
    )
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    assert resumed.products == whole.products


def test_a_pair_that_comes_late_is_waited_for_not_searched_in_blocks():
    """Widening the block is for copies: elsewhere it only spends products, and programs for blocks of each width."""
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60).astype(np.float32))
    loose = sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, tolerance=0.3)
    strict = sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, tolerance=1e-3)
    np.testing.assert_allclose(loose.eigenvalues, strict.eigenvalues, rtol=0.05)
    assert loose.products < strict.products


class Killed(Exception):
    pass


SPECTRUM = np.geomspace(100, 1, 60).astype(np.float32)
RESTARTED = {"rank": 6, "key": KEY, "tolerance": 1e-5, "solver": Lanczos(subspace=12, max_products=200)}


def test_a_run_killed_after_the_end_of_lanczos_goes_on(tmp_path, monkeypatch):
    apply, params, images = diagonal_network(SPECTRUM)
    folder, file = tmp_path / "vectors", tmp_path / "state.npz"
    files_at_once = []

    def keep(state):
        save_state(state, file)
        files_at_once.append(len(list(folder.glob("lanczos-*.bin"))))

    def killed(*arguments):
        raise Killed

    whole = sluguq.eigenbasis(apply, params, images, **RESTARTED)
    options = {**RESTARTED, "storage": folder}
    with monkeypatch.context() as patch:
        patch.setattr("sluguq.slug.eigenbasis._trace", killed)
        with pytest.raises(Killed):
            sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(on_block=keep, block=3))
    resumed = sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(load_state(file), keep, 3))
    np.testing.assert_allclose(resumed.eigenvalues, whole.eigenvalues, rtol=1e-5)
    assert np.isfinite(resumed.trace)
    # And once more, from a state that stayed good when all was over.
    again = sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(load_state(file), keep, 3))
    np.testing.assert_array_equal(again.eigenvalues, resumed.eigenvalues)
    assert max(files_at_once) == 2, "scratch is what the estimate of the disk says: no third file on resumption"


def test_a_state_is_never_older_than_its_files(tmp_path, monkeypatch):
    """Restarts come more often than blocks end: after products 12, 16, 20; a block at 11."""
    apply, params, images = diagonal_network(SPECTRUM)
    options = {**RESTARTED, "storage": tmp_path / "vectors"}
    whole = sluguq.eigenbasis(apply, params, images, **{**options, "storage": tmp_path / "whole"})
    advance = Recurrence.advance

    def advance_until(lanczos):
        if lanczos.products == 21:
            raise Killed
        advance(lanczos)

    with monkeypatch.context() as patch:
        patch.setattr(Recurrence, "advance", advance_until)
        with pytest.raises(Killed):
            kept = Checkpoint(on_block=lambda state: save_state(state, tmp_path / "state.npz"), block=11)
            sluguq.eigenbasis(apply, params, images, **options, checkpoint=kept)
    state = load_state(tmp_path / "state.npz")
    resumed = sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(state))
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)


def disk_with(free, monkeypatch):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("sluguq.machine.disk.shutil.disk_usage", lambda folder: usage)


def test_a_disk_that_cannot_hold_the_vectors_is_refused(tmp_path, monkeypatch):
    apply, params, images = diagonal_network(SPECTRUM)
    needed = 2 * 40 * 60 * 4 + 6 * 60 * 4  # two files of Lanczos vectors, and the result
    disk_with(needed - 1, monkeypatch)
    with pytest.raises(ValueError, match=r"0\.0 GB free, but 40 vectors of 60 weights"):
        sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, storage=tmp_path)
    disk_with(needed, monkeypatch)
    sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, storage=tmp_path)


def test_a_full_disk_does_not_keep_a_run_from_going_on(tmp_path, monkeypatch):
    apply, params, images = diagonal_network(SPECTRUM)

    def kill(state):
        save_state(state, tmp_path / "state.npz")
        if state.products == 24:
            raise Killed

    options = {**RESTARTED, "storage": tmp_path / "vectors"}
    with pytest.raises(Killed):
        sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(on_block=kill, block=3))
    disk_with(0, monkeypatch)
    sluguq.eigenbasis(apply, params, images, **options, checkpoint=Checkpoint(load_state(tmp_path / "state.npz")))
    with pytest.raises(ValueError, match="free some"):
        sluguq.eigenbasis(apply, params, images, **{**options, "storage": tmp_path / "other"})


@pytest.mark.parametrize(("device", "host", "chosen"), [(4, 4, "device"), (3.9, 3, "host"), (3.9, 2.9, None)])
def test_storage_leaves_memory_to_work_in(device, host, chosen):
    room = 40 * 60 * 4
    budget = Budget(device_bytes=int(device * room), host_bytes=int(host * room))
    assert budget.roomy_storage(40, 60, 4) == chosen
    options = {"rank": 6, "key": KEY, "execution": Execution(budget=budget)}
    apply, params, images = diagonal_network(SPECTRUM)
    if chosen is None:
        with pytest.raises(ValueError, match="pass a folder as storage"):
            sluguq.eigenbasis(apply, params, images, **options)
    else:
        vectors = sluguq.eigenbasis(apply, params, images, **options).vectors
        assert isinstance(vectors, np.ndarray) == (chosen == "host")


def test_host_storage_beyond_the_memory_is_refused():
    execution = Execution(budget=Budget(host_bytes=2 * 40 * 60 * 4 - 1))
    apply, params, images = diagonal_network(SPECTRUM)
    with pytest.raises(ValueError, match='storage="host" needs'):
        sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, storage="host", execution=execution)


@pytest.mark.parametrize("folder", [False, True])
def test_rows_that_were_not_written_are_not_read(tmp_path, folder):
    rows = HostRows(5, 40, np.float32, tmp_path if folder else None)
    given = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    for index, row in enumerate(given):
        rows.write(index, row)
    rows.buffer[3:] = np.nan
    dots = rows.dots(jnp.ones(40))
    np.testing.assert_allclose(dots, [*given.sum(1), 0, 0], rtol=1e-5)
    left = rows.less(jnp.ones(40), np.array([1.0, 2.0, 0.5, np.nan, np.nan]))
    np.testing.assert_allclose(left, 1 - np.array([1, 2, 0.5]) @ given, rtol=1e-4, atol=1e-5)
    rows.rotate(np.eye(3)[:, :2])
    rows.buffer[2:] = np.nan
    np.testing.assert_allclose(rows.dots(jnp.ones(40)), [*given[:2].sum(1), 0, 0, 0], rtol=1e-5)


def test_a_state_of_another_run_is_refused(x64):
    states = []
    apply, params, images = diagonal_network(np.geomspace(100, 1, 60))
    sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, checkpoint=Checkpoint(on_block=states.append, block=4))
    with pytest.raises(ValueError, match="belongs to another run"):
        sluguq.eigenbasis(apply, params, images, rank=20, key=KEY, checkpoint=Checkpoint(states[0]))


@pytest.mark.parametrize("other", ["weights", "images", "likelihood"])
def test_a_state_of_another_matrix_is_refused(other):
    """Of the same shapes, so that nothing but the matrix itself tells."""
    states, params, images = [], mlp_params(dtype=jnp.float32), pictures(6, dtype=jnp.float32)
    options = {"rank": 4, "key": KEY, "solver": Lanczos(subspace=12)}
    sluguq.eigenbasis(mlp, params, images, **options, checkpoint=Checkpoint(on_block=states.append, block=4))
    resumed = sluguq.eigenbasis(mlp, params, images, **options, checkpoint=Checkpoint(states[0]))
    assert resumed.products > states[0].products
    if other == "weights":
        params = jax.tree.map(lambda leaf: leaf * 1.05, params)
    elif other == "images":
        images = images[::-1] * 0.9
    else:
        options["likelihood"] = "bernoulli"
    message = "other weights of the same architecture" if other == "weights" else "other images or another likelihood"
    with pytest.raises(ValueError, match=message):
        sluguq.eigenbasis(mlp, params, images, **options, checkpoint=Checkpoint(states[0]))


@pytest.mark.parametrize("storage", ["host", "folder"])
def test_other_storages_agree_with_the_device(tmp_path, storage):
    execution = Execution(budget=Budget(block_bytes=1000))  # several blocks of columns
    params, images = mlp_params(dtype=jnp.float32), pictures(6, dtype=jnp.float32)
    options = {"rank": 4, "key": KEY, "tolerance": 1e-4, "execution": execution}
    options |= {"solver": Lanczos(subspace=7, max_products=200)}
    device = sluguq.eigenbasis(mlp, params, images, **options)
    other = sluguq.eigenbasis(mlp, params, images, **options, storage=tmp_path if storage == "folder" else storage)
    np.testing.assert_allclose(other.eigenvalues, device.eigenvalues, rtol=1e-4)
    overlap = np.linalg.svd(np.asarray(device.vectors) @ np.asarray(other.vectors).T)[1]
    np.testing.assert_allclose(overlap, 1, atol=1e-4)
    assert isinstance(other.vectors, np.memmap) == (storage == "folder")


def test_bfloat16_vectors(tmp_path):
    params, images = mlp_params(dtype=jnp.float32), pictures(6, dtype=jnp.float32)
    for storage in ("device", tmp_path):
        basis = sluguq.eigenbasis(
            mlp, params, images, rank=4, key=KEY, solver=Lanczos(dtype="bfloat16"), storage=storage
        )
        assert basis.vectors.dtype == jnp.bfloat16
        assert 1e-6 < basis.orthogonality < 0.01
