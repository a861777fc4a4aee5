"""How far a long loop is: a bar on a terminal, and one line per minute where output goes to a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any

from tqdm import tqdm

SECONDS = 60.0
"""Between two lines where there is no terminal."""


class Progress:
    """Counts what is done, and shows it on stderr.

    On a terminal that is tqdm's bar. Elsewhere (a scheduler's log) it is a line at most every `SECONDS`, and one at
    the end if there was any before, so that short loops leave no trace. Use it as a context manager and call `update`,
    or iterate over it.

    :param items: what to iterate over; None where `update` is called instead.
    :param total: how many there are; the length of `items` where it has one, else unknown.
    :param initial: how many were done by an earlier run.
    :param desc: what is counted.
    :param unit: what one of them is called.
    :param shown: False shows nothing at all.
    """

    def __init__(
        self,
        items: Iterable[Any] | None = None,
        *,
        total: int | None = None,
        initial: int = 0,
        desc: str,
        unit: str,
        shown: bool = True,
    ) -> None:
        if total is None and isinstance(items, Sized):
            total = len(items)
        terminal = sys.stderr.isatty()
        self._items, self._done, self._initial, self._total = items, initial, initial, total
        self._desc, self._unit, self._note = desc, unit, ""
        self._bar = tqdm(total=total, initial=initial, desc=desc, unit=unit, disable=not (shown and terminal))
        self._lines = shown and not terminal
        self._started = self._told_at = time.monotonic()
        self._told = initial if self._lines else None
        self._first: tuple[float, int] | None = None  # when the first of this run was done, and how many then

    def update(self, count: int = 1) -> None:
        """`count` more are done.

        :param count: since the last call.
        """
        self._done += count
        self._bar.update(count)
        if self._first is None:
            self._first = time.monotonic(), self._done
        if self._lines and time.monotonic() - self._told_at >= SECONDS:
            self._tell()

    def set_postfix(self, **values: Any) -> None:
        """Further values to show behind the count."""
        self._note = ", ".join(f"{name}={value}" for name, value in values.items())
        self._bar.set_postfix_str(self._note)

    def _tell(self) -> None:
        self._told_at, self._told = time.monotonic(), self._done
        counts = " {unit}s, {elapsed} elapsed"
        if self._total is not None:
            counts = f"/{{total_fmt}} {{unit}}s, {{elapsed}} elapsed, {tqdm.format_interval(self._left())} left"
        line = tqdm.format_meter(
            self._done,
            self._total,
            self._told_at - self._started,
            prefix=self._desc,
            unit=self._unit,
            initial=self._initial,
            postfix=self._note or None,
            bar_format="{desc}: {n_fmt}" + counts + "{postfix}",
        )
        print(line, file=sys.stderr, flush=True)

    def _left(self) -> float:
        """Seconds that are left, by the pace since the first was done: compiling, which comes before it, comes once."""
        start, before = self._first or (self._started, self._initial)
        if self._done == before:  # only the first is done
            start, before = self._started, self._initial
        return (self._told_at - start) * ((self._total or 0) - self._done) / max(1, self._done - before)

    def close(self) -> None:
        """Nothing more will come."""
        self._bar.close()
        if self._lines and self._told_at > self._started and self._told != self._done:
            self._tell()
        self._lines = False

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in () if self._items is None else self._items:
                yield item
                self.update()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
