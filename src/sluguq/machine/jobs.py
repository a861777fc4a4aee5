"""What a job of the workflow sets up before its work: its log and its threads."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from sluguq.machine.disk import gigabytes, occupied_bytes


@contextlib.contextmanager
def job(log: str | os.PathLike[str], *, threads: int = 1) -> Iterator[None]:
    """Run a job: what it prints goes to its log as well, and its libraries use its threads.

    Call it before JAX is imported: XLA reads the number of its threads and the visible devices once. The log says
    where the job ran and for how long. Where it fails and ends the program, the terminal shows the reason in words; the
    log has the traceback.

    :param log: file that receives everything written to stdout and stderr.
    :param threads: threads that the numerical libraries may use.
    """
    for variable in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(_Log(log)) as file:
        out, err = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = _Tee(out, file), _Tee(err, file)
        start = time.monotonic()
        try:
            yield
            where = f"{socket.gethostname()}, {threads} thread{'s' if threads > 1 else ''}"
            file.write(f"done in {time.monotonic() - start:.1f} s on {where}\n")
        except Exception as error:
            file.write(traceback.format_exc())
            sys.excepthook = _in_words_for(error, log)
            raise
        except BaseException:
            file.write(traceback.format_exc())
            raise
        finally:
            sys.stdout, sys.stderr = out, err


def in_words(error: BaseException) -> str:
    """What an error says, with its notes; its kind, too, unless it is of this library: those explain themselves.

    :param error: the error.
    """
    text = "\n".join([str(error) or "no further explanation", *getattr(error, "__notes__", [])])
    own = type(error).__module__.partition(".")[0] == "sluguq"
    return text if own else f"{type(error).__name__}: {text}"


def _in_words_for(
    error: BaseException, log: str | os.PathLike[str]
) -> Callable[[type[BaseException], BaseException, TracebackType | None], Any]:
    """Show one error in words where it ends the program; all others as before."""
    before = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if value is error:
            print(f"\n{in_words(error)}\n(where it happened: {log})", file=sys.stderr, flush=True)
        else:
            before(kind, value, trace)

    return hook


class _Log:
    """A log. Where it cannot be written, as on a full disk, the job goes on: the terminal shows why it ends."""

    def __init__(self, path: str | os.PathLike[str]):
        self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - close() does

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)
            self._file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


class _Tee:
    """A stream that writes to a terminal and to a log; progress bars reach the terminal alone."""

    def __init__(self, stream: TextIO, log: _Log):
        self._stream = stream
        self._log = log

    def write(self, text: str) -> int:
        if "\r" not in text:
            self._log.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def abandon_others(folder: Path) -> None:
    """Remove the states that killed runs left under other settings or code: nobody goes on with them.

    :param folder: where this run keeps its state; its name ends in a :func:`fingerprint`.
    """
    match = re.fullmatch(r"(.+-)[0-9a-f]{12}", folder.name)
    if not match or not folder.parent.is_dir():
        return
    own = re.compile(re.escape(match[1]) + "[0-9a-f]{12}")
    for other in list(folder.parent.iterdir()):
        if own.fullmatch(other.name) and other.name != folder.name:
            size = gigabytes(occupied_bytes(other.rglob("*")))
            print(f"{other} is of a run with other settings or code ({size}): removed")
            shutil.rmtree(other, ignore_errors=True)


def fingerprint(settings: Any, files: Iterable[str | os.PathLike[str]] = ()) -> str:
    """Twelve hexadecimal digits that change with the settings or with the content of any of the files.

    Checkpoints lie in folders of this name, so that one of another configuration or code is never taken up.

    :param settings: anything that JSON can hold.
    :param files: whose bytes count.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:12]
