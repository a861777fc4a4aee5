"""Stages that join stores and networks: eigenbases on disk, resumption, scores by both estimators."""

import re
import shutil
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import xarray as xr

from sluguq.config.experiment import Model
from sluguq.slug.budget import Budget
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.lanczos_state import LanczosState
from sluguq.slug.room import room_of_basis
from sluguq.stages import eigenbasis as stage
from sluguq.stages import score as score_stage
from sluguq.stages.basis_store import StoredVectors, read_basis_store, write_basis_store
from sluguq.stages.eigenbasis import compute_basis
from sluguq.stages.keys import ModelId
from sluguq.stages.preflight import weight_count
from sluguq.stages.score import Scoring, score_store
from sluguq.stages.score_blocks import FinishedBlocks
from sluguq.stores.store import StoreError, open_store

pytestmark = pytest.mark.usefixtures("quick_compilation")

RANK = 3
WEIGHTS = weight_count(Model(width=2, depth=1, latent_channels=2))["all"]
SETTINGS = {
    "rank": RANK, "method": "projected", "sketch_size": 400, "tolerance": 0.05, "batch_size": 4, "max_images": None,
    "dtype": "float32",
}  # fmt: skip
SCORE = {
    "probes": 6, "tolerance": None, "batch_size": None, "parameters": "all", "prior_precision": 0.0, "maps": True,
}  # fmt: skip


def scoring_of(world, basis, rows=None, **changes):
    rows = None if rows is None else np.array(rows)
    weights = world / "weights.safetensors"
    return Scoring(world / "images.zarr", rows, weights, basis, ModelId("A", 0), {**SCORE, **changes})


def compute(world, folder, **changes):
    compute_basis(
        world / "images.zarr", world / "split.csv", world / "weights.safetensors",
        folder / "basis.zarr", folder / "basis.json", model_id=ModelId("A", 0),
        settings={**SETTINGS, **changes}, parameters="all", checkpoint_folder=folder / "checkpoint", configuration="",
    )  # fmt: skip
    return read_basis_store(folder / "basis.zarr")


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_vectors_come_back_as_they_were(tmp_path, dtype):
    vectors = np.random.default_rng(0).normal(size=(2, 1000)).astype(dtype)
    basis = Eigenbasis(np.array([2.0, 1.0]), vectors, np.array([0.1, 0.2]), np.array([True, False]), 0.0, 3.0, 0.1, 9)
    write_basis_store(tmp_path / "b.zarr", basis, attributes={}, configuration="", device="")
    found = read_basis_store(tmp_path / "b.zarr")
    assert found.vectors.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.vectors.astype("float32"), vectors.astype("float32"))
    np.testing.assert_array_equal(found.converged, basis.converged)
    assert (found.trace, found.products) == (3.0, 9)


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_vectors_beyond_the_memory_stay_in_their_store(tmp_path, dtype):
    vectors = np.random.default_rng(0).normal(size=(3, 5 * 2**20)).astype(dtype)
    basis = Eigenbasis(np.ones(3), vectors, np.ones(3), np.ones(3, bool), 0.0, 3.0, 0.1, 9)
    write_basis_store(tmp_path / "b.zarr", basis, attributes={}, configuration="", device="")
    found = read_basis_store(tmp_path / "b.zarr", Budget(host_bytes=10 * vectors.nbytes - 1)).vectors
    assert isinstance(found, StoredVectors)
    assert (found.shape, found.dtype, found.size, len(found)) == (vectors.shape, vectors.dtype, vectors.size, 3)
    columns = slice(2**20 + 5, 2**20 + 1000)
    tracemalloc.start()
    read = found[:, columns]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * vectors.nbytes, "a block of columns needs the chunks that it lies in, not all vectors"
    assert read.dtype == vectors.dtype
    np.testing.assert_array_equal(read.astype("float32"), vectors[:, columns].astype("float32"))
    cut = found[:2]
    assert cut.shape == (2, 5 * 2**20)
    np.testing.assert_array_equal(cut[:, :7].astype("float32"), vectors[:2, :7].astype("float32"))
    np.testing.assert_array_equal(np.asarray(found, "float32"), vectors.astype("float32"))
    assert isinstance(read_basis_store(tmp_path / "b.zarr", Budget(host_bytes=10 * vectors.nbytes)).vectors, np.ndarray)


@pytest.mark.parametrize("resident", [True, False])
def test_scores_do_not_depend_on_where_the_vectors_lie(world, tmp_path, monkeypatch, resident):
    compute(world, tmp_path)
    if not resident:  # nor on whether they fit on the device
        monkeypatch.setattr("sluguq.slug.budget.memory_bytes", lambda: 1000)

    def scored(name):
        scoring = scoring_of(world, tmp_path / "basis.zarr", [6, 7], probes=4)
        score_store(scoring, tmp_path / name, configuration="")
        return open_store(tmp_path / name).slug.values

    held = scored("held.zarr")
    monkeypatch.setattr("sluguq.slug.budget.host_memory_bytes", lambda: 1)
    np.testing.assert_array_equal(scored("stored.zarr"), held)


def test_an_interrupted_eigenbasis_goes_on_to_the_same_result(world, tmp_path, monkeypatch):
    whole = compute(world, tmp_path / "whole", rank=9, tolerance=1e-6)
    saved = stage.save_state

    def save_then_stop(state, path):
        saved(state, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "save_state", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        compute(world, tmp_path / "cut", rank=9, tolerance=1e-6)
    assert not (tmp_path / "cut" / "basis.zarr").exists()
    assert (tmp_path / "cut" / "checkpoint" / "lanczos.npz").exists()
    monkeypatch.setattr(stage, "save_state", saved)
    resumed = compute(world, tmp_path / "cut", rank=9, tolerance=1e-6)
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    np.testing.assert_array_equal(resumed.eigenvalues, whole.eigenvalues)
    assert not (tmp_path / "cut" / "checkpoint").exists()


@pytest.mark.parametrize("killed_in", ["sluguq.slug.eigenbasis._trace", "sluguq.stages.eigenbasis.write_basis_store"])
def test_an_eigenbasis_in_files_goes_on_after_the_end_of_lanczos(world, tmp_path, monkeypatch, capsys, killed_in):
    monkeypatch.setattr("sluguq.slug.estimators.in_files", lambda rank, parameters: True)
    hard = {"rank": 9, "tolerance": 1e-6}
    whole = compute(world, tmp_path / "whole", **hard)

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(killed_in, killed)
        with pytest.raises(KeyboardInterrupt):
            compute(world, tmp_path / "cut", **hard)
    capsys.readouterr()
    resumed = compute(world, tmp_path / "cut", **hard)
    told = re.search(r"goes on after (\d+) products", capsys.readouterr().out)
    assert told is not None
    assert whole.products - 12 < int(told[1]) < whole.products, "one product and the search are repeated, no more"
    np.testing.assert_array_equal(resumed.vectors, whole.vectors)
    assert (resumed.trace, resumed.products) == (whole.trace, whole.products)
    assert not (tmp_path / "cut" / "checkpoint").exists()


def test_a_damaged_state_is_told_and_computed_again(world, tmp_path, capsys):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "lanczos.npz").write_bytes(b"not a state")
    assert compute(world, tmp_path).vectors.shape[0] == RANK
    assert "is damaged" in capsys.readouterr().out


def test_a_state_without_its_vectors_is_told(tmp_path, capsys):
    vectors = np.memmap(tmp_path / "lanczos-1.bin", np.float32, mode="w+", shape=(2, 5))
    stage.save_state(LanczosState(vectors, np.eye(3), 1, 10, 12, np.zeros(3)), tmp_path / "lanczos.npz")
    assert stage._resumed(tmp_path / "lanczos.npz").products == 10
    (tmp_path / "lanczos-1.bin").unlink()
    assert stage._resumed(tmp_path / "lanczos.npz") is None
    assert "lanczos-1.bin" in capsys.readouterr().out
    assert stage._resumed(tmp_path / "absent.npz") is None
    assert capsys.readouterr().out == ""


def test_no_flipped_bit_in_a_state_is_taken_up_or_ends_the_run(tmp_path):
    vectors, projected = np.random.default_rng(0).normal(size=(2, 5)).astype("float32"), np.eye(3)
    lost, path = np.array([0.1, 0.2, 0.3]), tmp_path / "lanczos.npz"
    stage.save_state(LanczosState(vectors, projected, 1, 10, 12, lost), path)
    content = path.read_bytes()
    for position in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        state = stage._resumed(path)
        if state is not None:  # the bit is of a time or a name that nobody reads
            np.testing.assert_array_equal(state.vectors, vectors)
            np.testing.assert_array_equal(state.projected, projected)
            np.testing.assert_array_equal(state.lost, lost)
            assert (state.step, state.products, state.passes) == (1, 10, 12)


def test_a_disk_that_is_too_small_is_refused(world, tmp_path, monkeypatch, capsys):
    room = room_of_basis(RANK, WEIGHTS, dtype="float32")
    assert room.peak == 2 * 40 * WEIGHTS * 4 + RANK * WEIGHTS * 4  # a small rank's subspace is of 40 vectors
    free = room.peak - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": free}))
    with pytest.raises(OSError, match=r"lower eigenbasis.rank, set eigenbasis.dtype"):
        compute(world, tmp_path)
    assert not (tmp_path / "basis.zarr").exists()
    # What an interrupted run left there is no less room.
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "lanczos.npz").write_bytes(b"x" * 5000)
    compute(world, tmp_path)
    assert "of an earlier run's" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["projected", "sketched"])
def test_scores_of_both_estimators_fill_a_store(world, tmp_path, method):
    compute(world, tmp_path, method=method)
    scoring = scoring_of(world, tmp_path / "basis.zarr", [6, 7, 9])
    score_store(scoring, tmp_path / "scores.zarr", configuration="")
    scores = open_store(tmp_path / "scores.zarr").load()
    assert list(scores.id.values) == ["i6", "i7", "i9"]
    assert np.isfinite(scores.slug).all()
    assert (scores.probes == 6).all()
    assert ("slug_map" in scores) == (method == "projected")
    if method == "projected":
        np.testing.assert_allclose(scores.slug_map.sum(("y", "x")), scores.slug, rtol=2e-3)
        assert (scores.slug >= 0).all()


def test_a_missing_basis_is_named(world, tmp_path):
    with pytest.raises(StoreError, match=r"no store at .*basis\.zarr"):
        score_store(scoring_of(world, tmp_path / "basis.zarr"), tmp_path / "scores.zarr", configuration="")


def scored(world, basis, path, finished=None):
    score_store(scoring_of(world, basis), path, configuration="", finished=finished)
    return open_store(path).load()


def test_scoring_goes_on_from_the_last_whole_block_and_is_shared_by_any_number_of_jobs(world, tmp_path, monkeypatch):
    """The same bits as without an interruption, and no block is scored twice."""
    monkeypatch.setattr(score_stage, "BLOCK", 3)
    compute(world, tmp_path)
    basis = tmp_path / "basis.zarr"
    whole = scored(world, basis, tmp_path / "whole.zarr")
    scorer, calls = score_stage.score_images, []

    def cut_off(*arguments, **options):
        calls.append(len(arguments[2]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return scorer(*arguments, **options)

    monkeypatch.setattr(score_stage, "score_images", cut_off)
    finished = FinishedBlocks(tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        scored(world, basis, tmp_path / "resumed.zarr", finished)
    assert not (tmp_path / "resumed.zarr").exists()
    xr.testing.assert_identical(scored(world, basis, tmp_path / "resumed.zarr", finished), whole)
    assert calls == [3, 3, 3, 3, 1]
    for parts in (2, 3, 7):
        folders = []
        for part in range(1, parts + 1):
            folders.append(tmp_path / f"{part}-of-{parts}")
            finished = FinishedBlocks(folders[-1])
            score_stage.score_part(scoring_of(world, basis), finished=finished, part=part, parts=parts)
        done = len(calls)
        gathered = scored(world, basis, tmp_path / f"{parts}.zarr", FinishedBlocks(None, folders))
        xr.testing.assert_identical(gathered, whole)
        assert len(calls) == done
    damaged = next(folders[0].glob("block-*.npz"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    xr.testing.assert_identical(scored(world, basis, tmp_path / "again.zarr", FinishedBlocks(None, folders)), whole)
    assert len(calls) == done + 1
