"""Where a Lanczos run stands, in memory and on disk."""

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np


class LanczosState(NamedTuple):
    """All that is needed to go on with a run, with the same result to the bit.

    :ivar vectors: (step + b, p) the basis so far and the next block. With a folder as ``storage``
        this is a read-only map of a file there, which stays true until the second restart from now or the end.
    :ivar projected: (m, m) Qᵀ G Q so far, float64.
    :ivar step: how many of the vectors have been multiplied by G.
    :ivar products: how many products have been spent, restarts included.
    :ivar passes: how many passes over the images.
    :ivar lost: (m,) norms of what was given up of each vector's image.
    :ivar stricter: how many times tolerance and accuracy have become ten times stricter.
    :ivar fingerprint: of the weights, see :mod:`sluguq.slug.fingerprint`; empty in states of earlier versions.
    """

    vectors: np.ndarray
    projected: np.ndarray
    step: int
    products: int
    passes: int
    lost: np.ndarray
    stricter: tuple[int, int] = (0, 0)
    fingerprint: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """How an interrupted run goes on.

    :ivar state: a state handed to ``on_block`` by a run with the same arguments, to go on from there.
    :ivar on_block: called with a :class:`LanczosState` after every ``block`` products and every restart;
        :func:`save_state` writes it to a file. Such states stay good after the end, until
        the result is safe: where ``storage`` is a folder, ``lanczos-*.bin`` in it are then the caller's to remove.
    :ivar block: products between two states.
    """

    state: LanczosState | None = None
    on_block: Callable[[LanczosState], None] | None = None
    block: int = 10


def save_state(state: LanczosState, path: str | Path) -> None:
    """Write a state, whole or not at all; vectors that are mapped from a file are named, not copied.

    :param state: as ``on_block`` was given it.
    :param path: a file name ending in ``.npz``.
    """
    path = Path(path)
    vectors: np.ndarray = state.vectors
    mapped = isinstance(vectors, np.memmap) and vectors.filename is not None
    partial = path.with_name(f"{path.stem}.partial.npz")
    with partial.open("wb") as file:
        np.savez(
            file,
            vectors=np.zeros(0) if mapped else vectors,
            mapped_file=str(vectors.filename) if mapped else "",  # type: ignore[attr-defined]
            dtype=str(vectors.dtype),
            shape=np.array(vectors.shape),
            projected=state.projected,
            step=state.step,
            products=state.products,
            passes=state.passes,
            lost=state.lost,
            stricter=state.stricter,
            fingerprint=state.fingerprint,
        )
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_state(path: str | Path) -> LanczosState:
    """Read what :func:`save_state` wrote.

    :raises FileNotFoundError: where the file, or the file of vectors that it names, is gone.
    :raises ValueError: where either is cut off or damaged, or the file is another.
    """
    try:
        with Path(path).open("rb") as file, np.load(file) as archive:
            return _state_of(archive)
    except (EOFError, BadZipFile, KeyError, ValueError, zlib.error) as error:
        raise ValueError(f"{path} holds no whole state ({error}): remove it and start without the state") from error


def _state_of(archive: Any) -> LanczosState:
    vectors = archive["vectors"]
    if str(archive["mapped_file"]):
        vectors = np.memmap(
            str(archive["mapped_file"]), str(archive["dtype"]), mode="r", shape=tuple(archive["shape"].tolist())
        )
    step, products, passes = (int(archive[name]) for name in ("step", "products", "passes"))
    tolerance, accuracy = archive["stricter"].tolist()
    return LanczosState(
        vectors,
        archive["projected"],
        step,
        products,
        passes,
        archive["lost"],
        (int(tolerance), int(accuracy)),
        str(archive["fingerprint"]) if "fingerprint" in archive else "",
    )
