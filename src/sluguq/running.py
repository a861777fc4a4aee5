"""What a job of the workflow sets up before its work: log, threads, device, compilation cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TextIO

_HELD: list[IO[str]] = []
"""Lock files of claimed devices, open as long as the process lives."""


@contextlib.contextmanager
def job(log: str | os.PathLike[str], *, threads: int = 1) -> Iterator[None]:
    """Run a job: what it prints goes to its log as well, and its libraries use its threads.

    Call it before JAX is imported: XLA reads the number of its threads and the visible devices once.

    Args:
        log: File that receives everything written to stdout and stderr.
        threads: Threads that the numerical libraries may use.
    """
    for variable in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("w", encoding="utf-8") as file:
        out, err = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = _Tee(out, file), _Tee(err, file)
        try:
            yield
        except BaseException as error:
            file.write(f"{type(error).__name__}: {error}\n")
            raise
        finally:
            sys.stdout, sys.stderr = out, err


class _Tee:
    """A stream that writes to a terminal and to a file; progress bars reach the terminal alone."""

    def __init__(self, stream: TextIO, file: TextIO):
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        if "\r" not in text:
            self._file.write(text)
            self._file.flush()
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def claim_device() -> None:
    """Take one GPU of this machine that no other job of this user holds, if there are several.

    Snakemake counts GPUs but hands out no numbers. Schedulers such as Slurm set CUDA_VISIBLE_DEVICES to what a job
    may use; outside them every job would open the first card. The claim ends with the process.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = visible.split(",") if visible else [str(i) for i in range(_number_of_gpus())]
    if len(cards) < 2 or "SLURM_JOB_ID" in os.environ:
        return
    for card in cards:
        path = Path(tempfile.gettempdir()) / f"sluguq-{os.getuid()}-gpu-{card}.lock"
        file = path.open("w")
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


def _number_of_gpus() -> int:
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def prepare_networks() -> None:
    """Claim a device and share compiled code between jobs, before networks run."""
    claim_device()
    # A card is shared with nobody, but JAX would take three quarters of it whatever the job needs.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from sluguq.compilation import enable_compilation_cache

    enable_compilation_cache(os.environ.get("JAX_COMPILATION_CACHE_DIR", ".cache/jax"))


def device_in_words() -> str:
    """The device that JAX computes on, for the attributes of stores."""
    import jax

    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def fingerprint(settings: Any, files: Iterable[str | os.PathLike[str]]) -> str:
    """Twelve hexadecimal digits that change with the settings or with the content of any of the files.

    Checkpoints lie in folders of this name, so that one of another configuration or code is never taken up.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:12]
