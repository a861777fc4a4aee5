"""The device that a job of the workflow computes on: which one it takes, and what it is called."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

_HELD: list[IO[str]] = []
"""Lock files of claimed devices, open as long as the process lives."""

_DRIVER = Path("/proc/driver/nvidia/gpus")
"""The NVIDIA driver has a folder here for every card."""


def prepare_networks(*, gpu: bool) -> None:
    """Claim a device and share compiled code between jobs; call it before JAX is imported.

    :param gpu: compute on a GPU, where there is one; otherwise on the CPU, even where there is one.
    :raises RuntimeError: where every card is taken by another job of this user.
    """
    if gpu:
        claim_device()
    else:
        os.environ["JAX_PLATFORMS"] = "cpu"
    # JAX would take three quarters of a card's memory at its start, whatever the job needs.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from sluguq.machine.compilation import enable_compilation_cache

    enable_compilation_cache(os.environ.get("JAX_COMPILATION_CACHE_DIR", ".cache/jax"))


def claim_device() -> None:
    """Take one of the GPUs that this process may use, one that no other job of this user has taken.

    Snakemake counts GPUs but hands out no numbers, so every job would open the first card. Where a scheduler has
    already chosen one card, or there is none, nothing is done. The claim ends with the process, however it ends.

    :raises RuntimeError: where every card is taken.
    """
    cards = visible_cards()
    if len(cards) < 2:
        return
    # Inside an allocation of Slurm cards may be numbered from 0 anew.
    owner = f"{os.getuid()}-{os.environ.get('SLURM_JOB_ID', 'machine')}"
    for card in cards:
        path = Path(tempfile.gettempdir()) / f"sluguq-{owner}-gpu-{card.replace('/', '-')}.lock"
        file = path.open("w", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _HELD.append(file)
        os.environ["CUDA_VISIBLE_DEVICES"] = card
        return
    raise RuntimeError(
        f"every one of the {len(cards)} GPUs ({', '.join(cards)}) is taken by another job; "
        f"run with --resources gpu={len(cards)} or less"
    )


def visible_cards() -> list[str]:
    """The GPUs that this process may use, as CUDA names them: those of CUDA_VISIBLE_DEVICES, or all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [card.strip() for card in visible.split(",") if card.strip()]
    return [str(card) for card in range(len(list(_DRIVER.iterdir())))] if _DRIVER.is_dir() else []


def device_in_words() -> str:
    """The device that JAX computes on, for the attributes of stores."""
    import jax

    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
