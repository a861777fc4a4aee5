"""What a disk has free, and what files take on it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def free_bytes(folder: str | os.PathLike[str]) -> int:
    """Free bytes of the disk on which `folder` lies, or will lie.

    :param folder: need not be there yet.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def occupied_bytes(files: Iterable[Path]) -> int:
    """Bytes that files take on their disk, which is less than their length where they have holes.

    :param files: one that is gone meanwhile takes none.
    """
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, by whoever owns it
            total += file.stat().st_blocks * 512
    return total


def gigabytes(count: int) -> str:
    """Bytes in words.

    :param count: of bytes.
    """
    return f"{count / 1e9:.1f} GB"


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def full_disk_told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say with the error of a full disk what was being written, and what to do.

    :param path: file or folder that the block writes.
    """
    try:
        yield
    except OSError as error:
        tell_full_disk(error, path)
        raise


def tell_full_disk(error: BaseException | None, path: str | os.PathLike[str]) -> None:
    """Note with an error, if it is that of a full disk, what was being written, and what to do.

    :param error: any error; None passes.
    :param path: file or folder that was being written.
    """
    if isinstance(error, OSError) and error.errno in _FULL and not hasattr(error, "__notes__"):
        free = free_bytes(Path(path).absolute().parent)
        error.add_note(
            f"{path} could not be written, as its disk, with {free / 1e6:,.0f} MB free, has no room for it (or a quota "
            "is used up): make room, and run the same command again; nothing half-written is left"
        )


def reserve(path: Path, count: int) -> None:
    """Make a file of so many bytes that are all there on the disk.

    A file that is mapped into memory without them ends the process with a bus error where the disk runs full.

    :param path: of the file.
    :param count: of bytes.
    :raises OSError: where the disk has no room for it, with what lacks; nothing is left behind then.
    """
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, count)
        except OSError as error:
            free = free_bytes(path.parent)
            path.unlink(missing_ok=True)
            raise OSError(
                error.errno,
                f"{path} takes {gigabytes(count)}, but its disk has {gigabytes(free)} ({error.strerror}): make room, "
                "or let fewer eigenbases be computed at once (--resources gpu=1)",
            ) from None
