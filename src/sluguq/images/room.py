"""A bound on how much memory decoded pictures take at a time, whatever the number of threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class SharedRoom:
    """Bytes that threads share; one that needs more than all of them has them to itself.

    :param size: bytes.
    """

    def __init__(self, size: int):
        self._size = size
        self._taken = 0
        self._free = threading.Condition()

    @contextlib.contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them within the block."""
        with self._free:
            self._free.wait_for(lambda: self._taken == 0 or self._taken + wanted <= self._size)
            self._taken += wanted
        try:
            yield
        finally:
            with self._free:
                self._taken -= wanted
                self._free.notify_all()
