"""The state of a training on disk, so that it goes on where it stopped.

A checkpoint lies outside a workflow rule's outputs, in a folder of the caller's choice, and is one file that
is replaced whole. It carries a fingerprint of everything the training depends on.
"""

import json
import signal
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import jax
import numpy as np

from sluguq.machine.errors import SluguqError
from sluguq.networks.weights import WeightsError, named, read_arrays, restored, write_arrays

_FILE = "checkpoint.safetensors"
_FORMAT = 1


class CheckpointError(SluguqError, ValueError):
    """A checkpoint that cannot be continued from: damaged, or of another training."""


class Checkpoint(NamedTuple):
    """What a training needs to go on.

    :ivar state: pytree of arrays: weights, statistics, optimiser, step, sums of the epoch under way.
    :ivar history: one row for every finished epoch.
    :ivar snapshots: epoch to named arrays kept for the caller.
    """

    state: Any
    history: list[dict[str, float]]
    snapshots: dict[int, dict[str, np.ndarray]]


def fingerprint(settings: Mapping[str, Any], *trees: Any) -> str:
    """A hash of settings (anything JSON can hold) and of pytrees of arrays (values, types, shapes)."""
    digest = sha256(json.dumps([_FORMAT, settings], sort_keys=True).encode())
    for tree in trees:
        for name, leaf in named(tree).items():
            array = np.asarray(leaf, order="C")
            digest.update(f"{name} {array.dtype} {array.shape};".encode())
            digest.update(array.data)
    return digest.hexdigest()


def save_checkpoint(folder: str | Path, checkpoint: Checkpoint, identity: str) -> Path:
    """Write a checkpoint to `folder`, in place of the one there; `identity` is the training's fingerprint.

    :param folder: of the checkpoint.
    :param checkpoint: what is written.
    :param identity: of the training.
    """
    path = Path(folder) / _FILE
    arrays = {f"state.{name}": leaf for name, leaf in named(checkpoint.state).items()}
    for epoch, snapshot in checkpoint.snapshots.items():
        arrays |= {f"snapshots.{epoch}.{name}": array for name, array in snapshot.items()}
    description = {"kind": "checkpoint", "fingerprint": identity, "history": checkpoint.history}
    write_arrays(path, jax.device_get(arrays), description)
    return path


def load_checkpoint(folder: str | Path, template: Any, identity: str) -> Checkpoint | None:
    """Read the checkpoint in ``folder``, or None where there is none.

    :param template: a pytree like the state, of arrays or ``jax.ShapeDtypeStruct``.
    :param identity: the fingerprint that the checkpoint must carry.
    :raises CheckpointError: naming the file, where it is damaged or of another training.
    """
    path = Path(folder) / _FILE
    if not path.exists():
        return None
    try:
        arrays, description = read_arrays(path)
    except WeightsError as error:
        raise CheckpointError(str(error)) from error
    if description.get("kind") != "checkpoint" or description.get("fingerprint") != identity:
        raise CheckpointError(f"{path}: of a training with other settings, seed or images")
    snapshots: dict[int, dict[str, np.ndarray]] = {}
    for name in [name for name in arrays if name.startswith("snapshots.")]:
        _, epoch, key = name.split(".", 2)
        snapshots.setdefault(int(epoch), {})[key] = arrays.pop(name)
    state = {name.removeprefix("state."): array for name, array in arrays.items()}
    try:
        return Checkpoint(restored(template, state, str(path)), description["history"], snapshots)
    except WeightsError as error:
        raise CheckpointError(str(error)) from error


class Termination:
    """Context in which SIGTERM is noted, for a loop to stop at a place of its own choosing.

    :ivar requested: whether the signal has come. In threads other than the main one it is never noticed, since
        Python delivers signals to the main thread alone.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> "Termination":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
