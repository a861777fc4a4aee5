"""What a disk has free, and what files take on it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def free_bytes(folder: str | os.PathLike[str]) -> int:
    """Free bytes of the disk on which `folder` lies, or will lie."""
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def occupied_bytes(files: Iterable[Path]) -> int:
    """Bytes that files take on their disk, which is less than their length where they have holes."""
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile, by whoever owns it
            total += file.stat().st_blocks * 512
    return total


def gigabytes(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB"
