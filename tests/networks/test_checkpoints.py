import os
import signal

import jax.numpy as jnp
import numpy as np
import pytest

from sluguq.networks import weights
from sluguq.networks.checkpoints import (
    Checkpoint,
    CheckpointError,
    Termination,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)

STATE = {"weights": {"blocks": {0: {"kernel": jnp.arange(6.0).reshape(2, 3)}}}, "step": jnp.int32(7)}
HISTORY = [{"epoch": 1, "loss": 0.1 + 0.2}]
SNAPSHOTS = {1: {"samples": np.arange(4, dtype=np.uint8)}, 12: {"a.b": np.ones((1, 2))}}


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    save_checkpoint(tmp_path, Checkpoint(STATE, HISTORY, SNAPSHOTS), "me")
    state, history, snapshots = load_checkpoint(tmp_path, STATE, "me")
    np.testing.assert_array_equal(state["weights"]["blocks"][0]["kernel"], np.arange(6.0).reshape(2, 3))
    assert (state["step"].shape, state["step"].dtype, int(state["step"])) == ((), jnp.int32, 7)
    assert history == HISTORY
    assert snapshots.keys() == SNAPSHOTS.keys()
    np.testing.assert_array_equal(snapshots[12]["a.b"], np.ones((1, 2)))


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "absent", STATE, "me") is None


@pytest.mark.parametrize(
    ("template", "identity", "message"),
    [
        (STATE, "other", "of a training with other settings, seed or images"),
        ({**STATE, "more": jnp.zeros(1)}, "me", "has no more"),
        ({"step": jnp.int32(0)}, "me", r"holds weights\.blocks\.0\.kernel"),
        ({**STATE, "step": jnp.float32(0)}, "me", r"step is int32 \(\), this network has float32"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, template, identity, message):
    save_checkpoint(tmp_path, Checkpoint(STATE, HISTORY, {}), "me")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path, template, identity)


def test_no_flipped_bit_in_the_head_is_taken_up(tmp_path):
    file = save_checkpoint(tmp_path, Checkpoint(STATE, HISTORY, {}), "me")
    content = file.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    refused = 0
    for position in range(head):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        file.write_bytes(flipped)
        try:
            loaded = load_checkpoint(tmp_path, STATE, "me")
        except CheckpointError:
            refused += 1
            continue
        # White space, or a name in other letters for the same: what is read is what was written.
        assert loaded.history == HISTORY
        np.testing.assert_array_equal(loaded.state["weights"]["blocks"][0]["kernel"], np.arange(6.0).reshape(2, 3))
    assert refused > 0.9 * head


def test_a_single_changed_bit_is_noticed(tmp_path):
    file = save_checkpoint(tmp_path, Checkpoint(STATE, HISTORY, {}), "me")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="its checksum differs"):
        load_checkpoint(tmp_path, STATE, "me")


def test_a_failed_write_leaves_the_old_checkpoint_and_no_debris(tmp_path, monkeypatch):
    file = save_checkpoint(tmp_path, Checkpoint(STATE, HISTORY, {}), "me")
    before = file.read_bytes()

    def full(arrays, path, metadata):
        path.write_bytes(b"part")
        raise OSError("no space left on device")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tmp_path, Checkpoint(STATE, [], {}), "me")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_fingerprints_follow_settings_and_arrays():
    images = np.zeros((2, 2), np.uint8)
    same = fingerprint({"a": 1, "b": 2}, {"images": images})
    assert same == fingerprint({"b": 2, "a": 1}, {"images": images.copy()})
    others = [
        fingerprint({"a": 1, "b": 3}, {"images": images}),
        fingerprint({"a": 1, "b": 2}, {"images": images + 1}),
        fingerprint({"a": 1, "b": 2}, {"images": images.reshape(1, 4)}),
        fingerprint({"a": 1, "b": 2}, {"images": images.astype(np.int8)}),
        fingerprint({"a": 1, "b": 2}),
    ]
    assert len({same, *others}) == 6


def test_sigterm_is_noted_and_the_former_handler_restored():
    before = signal.getsignal(signal.SIGTERM)
    with Termination() as termination:
        assert not termination.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert termination.requested
    assert signal.getsignal(signal.SIGTERM) is before
