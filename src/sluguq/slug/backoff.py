"""Less at a time when memory runs out: the one place that catches such an error and goes on."""

from collections.abc import Callable
from typing import TypeVar

from sluguq.slug.placement import is_out_of_memory

Result = TypeVar("Result")


def until_it_fits(attempt: Callable[[], Result], take_less: Callable[[], bool]) -> Result:
    """The result of ``attempt``, which is tried again with less while the device's memory is full.

    :param attempt: does one piece of work; it must leave nothing half done where it fails.
    :param take_less: halves what the next attempt takes; False when it takes the least already.
    :raises Exception: whatever ``attempt`` raised, where that was no lack of memory or less cannot be taken.
    """
    while True:
        try:
            return attempt()
        except Exception as error:
            if not is_out_of_memory(error) or not take_less():
                raise
