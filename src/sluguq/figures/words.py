"""Numbers, counts and groups in words, for figures, tables and pages alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any


def group_label(name: str, types: Sequence[int]) -> str:
    """A group's name with its skin types: `dark (FST 5, 6)`; long runs as a range."""
    types = sorted(types)
    run = len(types) > 2 and types == list(range(types[0], types[-1] + 1))
    return f"{name} (FST {f'{types[0]}–{types[-1]}' if run else ', '.join(map(str, types))})"


def span(counts: Iterable[float]) -> str:
    """A count, or the range of several: `512` or `498–512`."""
    values = sorted({int(c) for c in counts})
    if not values:
        return "0"
    return f"{values[0]:,}" if values[0] == values[-1] else f"{values[0]:,}–{values[-1]:,}"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def number(value: Any) -> str:
    """A number at three significant digits, with a true minus sign."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if 1000 <= abs(value) < 1e7:
        text = f"{float(f'{value:.3g}'):,.0f}"
    else:
        text = f"{value:.3g}" if 1e-4 <= abs(value) < 1000 or value == 0 else f"{value:.2e}"
    return text.replace("-", "−")
