"""Who is writing a result: a live process is never disturbed by another, and what a dead one left is told from it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sluguq.machine.errors import SluguqError

_HELD: dict[Path, int] = {}
"""Results that this process is writing, with how many blocks within each other do."""


class Occupied(SluguqError, RuntimeError):
    """Another live process is writing the same result; the message names it."""


@contextlib.contextmanager
def owned(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Be the only live process that writes a result; the claim ends with the process, however it ends.

    A scheduler that was killed leaves its jobs running, and its successor starts them again. The lock is a hidden file
    beside the result, held by the kernel for as long as the process lives. The same process may claim a result again
    inside the block.

    :param path: the file or folder that will be written; its folder must be there.
    :returns: whether the claim is certain: False on a file system that knows no locks.
    :raises Occupied: where another process holds it, with its number, machine and job.
    """
    result = Path(path).absolute()
    if result in _HELD:
        _HELD[result] += 1
        try:
            yield True
        finally:
            _HELD[result] -= 1
        return
    lock = result.with_name(f".{result.name}.owner")
    file = _claimed(lock, result)
    if file is None:
        yield False
        return
    _HELD[result] = 1
    try:
        yield True
    finally:
        del _HELD[result]
        lock.unlink(missing_ok=True)
        file.close()


def _claimed(lock: Path, result: Path) -> IO[str] | None:
    """The lock file, open and held; None where the file system has no locks."""
    while True:
        file = lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            text = file.read()
            file.close()
            raise Occupied(f"{result} is being written by {_in_words(text)}: {_ADVICE}") from None
        except OSError:  # a network file system without locks
            file.close()
            lock.unlink(missing_ok=True)
            return None
        if _is_at(lock, file):
            break
        file.close()  # its owner removed it between our opening and locking it
    file.truncate(0)
    file.write(json.dumps(_self()))
    file.flush()
    return file


_ADVICE = "wait until it has ended, or end it, and run again; what it finishes is taken up"


def _self() -> dict[str, str | int]:
    job = os.environ.get("SLURM_JOB_ID", "")
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"process": os.getpid(), "machine": socket.gethostname(), "job": job, "since": since}


def _in_words(text: str) -> str:
    try:
        owner = json.loads(text)
        job = f", job {owner['job']}" if owner["job"] else ""
        return f"process {owner['process']} on {owner['machine']}{job}, since {owner['since']}"
    except (ValueError, KeyError, TypeError):
        return "another live process"


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
