"""How often a data set was asked for in vain: a number by which the workflow knows that it is to ask again.

It takes the number for a setting. One that differs from the one that a data set was acquired with has it acquired
again: after an acquisition that did not come to its end, and after one whose losses may pass, such as those to a server
that was out of order. Once images have been drawn from what there is, such losses ask for nothing any more: what came
later would change the results.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

_NOTE = ".failures"


def attempt(raw_folder: Path, *, drawn_from: bool = False) -> int:
    """The number of the next acquisition.

    :param raw_folder: folder of a data set's originals.
    :param drawn_from: whether images have been drawn from what was acquired.
    """
    numbers = _numbers(raw_folder)
    return numbers[-1] if drawn_from else numbers[0]


def has_passing_losses(raw_folder: Path) -> bool:
    """Whether the last acquisition came to its end, with losses that may pass."""
    return len(_numbers(raw_folder)) > 1


@contextlib.contextmanager
def counted(raw_folder: Path, number: int) -> Iterator[Callable[[], None]]:
    """Count an acquisition that does not come to its end, even where it is killed, or that is to be asked for again.

    :param raw_folder: folder of a data set's originals.
    :param number: its number, see :func:`attempt`.
    :returns: what to call where its losses may pass.
    """
    note, again = raw_folder / _NOTE, []
    note.write_text(f"{number + 1}")
    yield lambda: again.append(True)
    # Two numbers: one that asks again, and the one that leaves what there is as it is.
    note.write_text(f"{number + 1} {number}" if again else f"{number}")


def _numbers(raw_folder: Path) -> list[int]:
    try:
        return [int(number) for number in (raw_folder / _NOTE).read_text().split()] or [0]
    except FileNotFoundError:
        return [0]
