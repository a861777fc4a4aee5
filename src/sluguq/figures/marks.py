"""One interval with its mark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes


def percent(share: float) -> float:
    """A share in percent."""
    return 100 * share


def interval(
    axes: Axes,
    row: Mapping[Any, Any],
    place: float,
    colour: str,
    marker: str,
    *,
    along: bool = False,
    scale: Callable[[float], float] = float,
    line: float = 1.1,
    line_colour: str | None = None,
    size: float = 3.6,
    **mark: Any,
) -> None:
    """Draw an estimate of a table, its interval as a line and its value as a mark.

    :param row: with `value`, `low` and `high`.
    :param place: where it stands on the other axis.
    :param along: the interval runs along x, not along y.
    :param scale: from the table's numbers to those drawn.
    :param line: width of the interval's line; `line_colour` where it has not the mark's.
    :param mark: further properties of the mark.
    """
    value, low, high = (scale(float(row[name])) for name in ("value", "low", "high"))
    (axes.hlines if along else axes.vlines)(place, low, high, color=line_colour or colour, lw=line)
    axes.plot(*((value, place) if along else (place, value)), marker, ms=size, color=colour, **mark)
