"""What all threads that download know of one host: when the next may start, and whether it is worth it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Host:
    """Manners towards one host.

    :ivar interval: seconds between the starts of two requests.
    :ivar strikes_allowed: failures in a row after which the host is given up.
    """

    interval: float
    strikes_allowed: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    next_start: float = 0.0
    strikes: int = 0

    def reserve(self) -> float:
        """Take the next place in the queue: the time at which this thread may start."""
        with self.lock:
            start = max(time.monotonic(), self.next_start)
            self.next_start = start + self.interval
            return start

    def hold(self, seconds: float) -> None:
        """Nobody starts before so many seconds from now."""
        with self.lock:
            self.next_start = max(self.next_start, time.monotonic() + seconds)

    @property
    def dead(self) -> bool:
        """Whether so many attempts failed in a row that no further one is made."""
        return self.strikes >= self.strikes_allowed

    def struck(self) -> None:
        """An attempt failed for a reason that lies with the host."""
        with self.lock:
            self.strikes += 1

    def answered(self) -> None:
        """The host gave an answer of any lasting kind, so it lives."""
        with self.lock:
            self.strikes = 0
