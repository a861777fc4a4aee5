"""Bases in files: what is written comes back, and what is damaged is told."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

import sluguq
from tests.places import ROOT
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem():
    return mlp_params(dtype=jnp.float32), pictures(4, dtype=jnp.float32)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def basis(problem, request):
    return sluguq.eigenbasis(mlp, *problem, rank=3, key=KEY, solver=sluguq.Lanczos(dtype=request.param))


def same(one, other):
    assert type(one) is type(other)
    for name, first, second in zip(one._fields, one, other, strict=True):
        if hasattr(first, "_fields"):
            same(first, second)
        else:
            assert np.asarray(first).dtype == np.asarray(second).dtype, name
            np.testing.assert_array_equal(np.asarray(first), np.asarray(second), err_msg=name)


def test_a_basis_comes_back_to_the_bit(basis, problem, tmp_path):
    path = tmp_path / "basis.safetensors"
    basis.save(path)
    found = sluguq.load_basis(path)
    same(basis, found)
    assert isinstance(found.vectors, np.memmap)
    scores = [sluguq.score(mlp, problem[0], one, problem[1], probes=4, key=KEY).slug for one in (basis, found)]
    np.testing.assert_array_equal(*scores)
    assert list(tmp_path.iterdir()) == [path]


def test_a_sketched_basis_comes_back(problem, tmp_path):
    basis = sluguq.sketched_eigenbasis(mlp, *problem, rank=2, sketch_size=20, key=KEY, iterations=8)
    basis.save(tmp_path / "sketch")
    same(basis, sluguq.load_basis(tmp_path / "sketch"))


def test_any_reader_of_safetensors_opens_it(basis, tmp_path):
    basis.save(tmp_path / "basis.safetensors")
    arrays = load_file(tmp_path / "basis.safetensors")
    np.testing.assert_array_equal(arrays["eigenvalues"], basis.eigenvalues)
    np.testing.assert_array_equal(np.asarray(arrays["vectors"], np.float32), np.asarray(basis.vectors, np.float32))


def test_vectors_that_stay_on_disk_are_read_in_blocks(problem, tmp_path):
    params, images = problem
    basis = sluguq.eigenbasis(mlp, params, images, rank=3, key=KEY, storage=tmp_path / "vectors")
    basis.save(tmp_path / "basis")
    found = sluguq.load_basis(tmp_path / "basis")
    budget = sluguq.Budget(basis=0.0, block_bytes=4 * 3 * 20)  # no room on the device, twenty columns at a time
    execution = sluguq.Execution(budget=budget)
    streamed = sluguq.score(mlp, params, found, images, probes=4, key=KEY, execution=execution)
    expected = sluguq.score(mlp, params, basis, images, probes=4, key=KEY)
    np.testing.assert_allclose(streamed.slug, expected.slug, rtol=1e-4)


def test_nothing_of_the_workflow_is_needed(basis, tmp_path):
    basis.save(tmp_path / "basis")
    code = f"""
import sys, sluguq
basis = sluguq.load_basis({str(tmp_path / "basis")!r})
assert basis.truncate(2).vectors.shape[0] == 2
print(sorted(set(sys.modules) & {{"zarr", "xarray", "snakemake", "pandas", "pydantic"}}))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


def test_a_leading_part(basis):
    part = basis.truncate(2)
    assert part.vectors.shape[0] == len(part.eigenvalues) == len(part.residuals) == len(part.converged) == 2
    assert part.trace == basis.trace


def test_damage_is_told(basis, tmp_path):
    path = tmp_path / "basis"
    basis.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=f"{path} has {len(whole) - 5} bytes, but should have {len(whole)}"):
        sluguq.load_basis(path)
    path.write_bytes(whole[:40])
    with pytest.raises(ValueError, match="is no basis that"):
        sluguq.load_basis(path)
    path.write_text("something else altogether")
    with pytest.raises(ValueError, match="is no basis"):
        sluguq.load_basis(path)
    with pytest.raises(FileNotFoundError):
        sluguq.load_basis(tmp_path / "nothing")


def rewritten(path, **told):
    """The file with other words in its header."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header["__metadata__"]["sluguq"] = json.dumps({**json.loads(header["__metadata__"]["sluguq"]), **told})
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])


def test_a_later_version_or_another_estimator_is_refused(basis, tmp_path):
    basis.save(tmp_path / "basis")
    rewritten(tmp_path / "basis", version=99)
    with pytest.raises(ValueError, match="version 99 of the format, and this package reads up to 1: update"):
        sluguq.load_basis(tmp_path / "basis")
    rewritten(tmp_path / "basis", version=1, estimator="guessed")
    with pytest.raises(ValueError, match="estimator 'guessed', and this package has projected, sketched"):
        sluguq.load_basis(tmp_path / "basis")


def test_a_type_that_the_format_lacks(basis, tmp_path):
    odd = basis._replace(vectors=np.asarray(basis.vectors).astype(ml_dtypes.float8_e4m3fn))
    with pytest.raises(ValueError, match="vectors is float8_e4m3fn"):
        odd.save(tmp_path / "basis")
    assert not list(tmp_path.iterdir())
