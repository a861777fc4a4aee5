"""States of a Lanczos run: taken up by the run they belong to, and by no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.lanczos_state import Checkpoint, load_state, save_state
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)
PARAMS = mlp_params(dtype=jnp.float32)


@pytest.fixture(scope="module")
def images():
    return np.asarray(pictures(6, 4, 3, 2), np.float32)


def found(apply, params, images, checkpoint):
    return sluguq.eigenbasis(apply, params, images, rank=4, key=KEY, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def state(images):
    states = []
    found(mlp, PARAMS, images, Checkpoint(on_block=states.append, block=4))
    return states[0]


def test_a_network_in_bfloat16_takes_up_its_own_state(images):
    """Its products are linear to three digits only, so that one of a sum is not the sum of those that were stored."""

    def half(params, x):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
        return mlp(params, jnp.asarray(x, jnp.bfloat16)).astype(jnp.float32)

    states = []
    basis = found(half, PARAMS, images, Checkpoint(on_block=states.append, block=4))
    again = found(half, PARAMS, images, Checkpoint(states[0]))
    np.testing.assert_array_equal(again.eigenvalues, basis.eigenvalues)
    with pytest.raises(ValueError, match="other images"):
        found(half, PARAMS, images * 1.3, Checkpoint(states[0]))


def test_weights_that_moved_a_little_are_others(images, state):
    moved = jax.tree.map(lambda leaf: leaf * 1.0001, PARAMS)
    with pytest.raises(ValueError, match="other weights of the same architecture"):
        found(mlp, moved, images, Checkpoint(state))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state._replace(vectors=state.vectors[:-1]),
        lambda state: state._replace(lost=state.lost[:3]),
        lambda state: state._replace(projected=state.projected * np.nan),
        lambda state: state._replace(vectors=state.vectors * np.nan),
    ],
)
def test_a_damaged_state_is_told(images, state, change):
    with pytest.raises(ValueError, match="the state is damaged"):
        found(mlp, PARAMS, images, Checkpoint(change(state)))


def test_a_file_is_no_state(images):
    with pytest.raises(ValueError, match="the state is a str: load_state"):
        found(mlp, PARAMS, images, Checkpoint("state.npz"))


def test_a_file_keeps_the_whole_state(tmp_path, images, state):
    save_state(state, tmp_path / "state.npz")
    loaded = load_state(tmp_path / "state.npz")
    assert loaded.fingerprint == state.fingerprint != ""
    whole = (tmp_path / "state.npz").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.npz").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"cut\.npz holds no whole state"):
            load_state(tmp_path / "cut.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match=r"other\.npz holds no whole state"):
        load_state(tmp_path / "other.npz")
