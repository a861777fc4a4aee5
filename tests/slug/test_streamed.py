"""A basis that has no room on the device: streamed in blocks, with the scores that it has there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.budget import Budget
from sluguq.slug.execution import Execution
from sluguq.slug.projection import Projector
from sluguq.slug.score import Probing
from tests.slug.conftest import convnet_apply, convnet_params, pictures

KEY = jax.random.key(4)


@pytest.fixture(scope="module")
def trained():
    """A conv net of 360 weights, images, and a basis of rank 6, in float32."""
    apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
    images = pictures(6, 8, 8, 3, jnp.float32)
    basis = sluguq.eigenbasis(apply, params, images, rank=6, key=KEY, tolerance=1e-4)
    return apply, params, basis, images


@pytest.fixture
def streamed(trained, tmp_path, monkeypatch):
    """The same with the vectors in a file, of which 100 columns are read at a time; and how often that was."""
    apply, params, basis, images = trained
    vectors = np.memmap(tmp_path / "vectors.bin", np.float32, mode="w+", shape=basis.vectors.shape)
    vectors[:] = basis.vectors
    widths: list[int] = []
    real = Projector._streamed

    def counted(projector):
        for columns, rows in real(projector):
            widths.append(rows.shape[1])
            yield columns, rows

    monkeypatch.setattr(Projector, "_streamed", counted)
    return (apply, params, basis._replace(vectors=vectors), images), widths


def same(first, second):
    for name in ("directions", "probes", "converged"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("slug", "slug_sem", "maps", "jacobian_norm", "jacobian_norm_sem"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-3)


OPTIONS = {"tolerance": 0.05, "probes": 32, "key": KEY, "maps": True, "batch_size": 4}
SMALL = Execution(budget=Budget(basis=0.0, block_bytes=4 * 6 * 100))


@pytest.mark.parametrize("prior_precision", [0.0, 0.7])
@pytest.mark.parametrize("directions", [0, 5, None])
def test_tolerance_is_met_by_the_same_probes(trained, streamed, directions, prior_precision):
    arguments, widths = streamed
    probing = Probing(directions=directions, norm_probes=5)
    options = {**OPTIONS, "probing": probing, "prior_precision": prior_precision}
    there = sluguq.score(*arguments, **options, execution=SMALL)
    assert set(widths) == {100, 60}
    assert there.converged.all()
    del widths[:]
    here = sluguq.score(*trained, **options)
    assert not widths
    same(there, here)
