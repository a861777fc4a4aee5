"""One interval with its mark, and what lies off its axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes

from sluguq.figures.words import number


class _Drawn(NamedTuple):
    place: float
    value: float
    ends: tuple[float, float]
    along: bool
    colour: str


_drawn: WeakKeyDictionary[Axes, list[_Drawn]] = WeakKeyDictionary()


def percent(share: float) -> float:
    """A share in percent.

    :param share: 0 to 1.
    """
    return 100 * share


def beside(place: int, count: int, width: float) -> float:
    """How far from its tick one of several marks stands that share it.

    :param place: its place among them, from 0.
    :param count: how many they are.
    :param width: that they take together.
    """
    return width * ((place + 0.5) / count - 0.5)


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

    :param axes: to draw on.
    :param row: with `value`, `low` and `high`.
    :param place: where it stands on the other axis.
    :param colour: of the mark.
    :param marker: its shape, as Matplotlib calls it.
    :param along: the interval runs along x, not along y.
    :param scale: from the table's numbers to those drawn.
    :param line: width of the interval's line.
    :param line_colour: where it has not the mark's.
    :param size: of the mark.
    :param mark: further properties of the mark.
    """
    value, low, high = (scale(float(row[name])) for name in ("value", "low", "high"))
    _drawn.setdefault(axes, []).append(_Drawn(place, value, (low, high), along, line_colour or colour))
    (axes.hlines if along else axes.vlines)(place, low, high, color=line_colour or colour, lw=line)
    axes.plot(*((value, place) if along else (place, value)), marker, ms=size, color=colour, **mark)


def mark_clipped(axes: Axes) -> None:
    """At the edge of the axis an arrow and the number, where an estimate or an end of its interval lies beyond it.

    Call it when the limits of the axis stand.

    :param axes: with intervals that :func:`interval` drew.
    """
    for mark in _drawn.pop(axes, []):
        low, high = sorted(axes.get_xlim() if mark.along else axes.get_ylim())
        for above, edge in ((False, low), (True, high)):
            beyond = [v for v in (mark.value, mark.ends[above]) if np.isfinite(v) and (v > high if above else v < low)]
            if beyond:
                _arrow(axes, mark, edge, above, beyond)


def _arrow(axes: Axes, drawn: _Drawn, edge: float, above: bool, beyond: list[float]) -> None:
    """An arrow that points off the axis, with the number of the estimate, or else of its interval's end."""
    at = (edge, drawn.place) if drawn.along else (drawn.place, edge)
    marker = (">" if above else "<") if drawn.along else ("^" if above else "v")
    axes.plot(*at, marker, ms=3.4, color=drawn.colour, clip_on=False, zorder=6)
    inward = -4 if above else 4
    offset, across = ((inward, 1.5), "right" if above else "left") if drawn.along else ((2, inward), "left")
    upright = "bottom" if drawn.along or not above else "top"
    axes.annotate(
        number(beyond[0]),
        at,
        offset,
        textcoords="offset points",
        ha=across,
        va=upright,
        fontsize=5.2,
        color=drawn.colour,
        zorder=6,
    )
