"""Numbers, counts and groups in words, for figures, tables and pages alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from sluguq.analysis.aggregated import Groups


def group_label(name: str, groups: Groups) -> str:
    """A group's name with its skin types: `dark (FST 5, 6)`; long runs as a range.

    :param name: of the group.
    :param groups: of the experiment.
    """
    types = sorted(groups[name])
    run = len(types) > 2 and types == list(range(types[0], types[-1] + 1))
    return f"{name} ({groups.scale.name} {f'{types[0]}–{types[-1]}' if run else ', '.join(map(str, types))})"


def span(counts: Iterable[float]) -> str:
    """A count, or the range of several: `512` or `498–512`.

    :param counts: whole numbers.
    """
    values = sorted({int(c) for c in counts})
    if not values:
        return "0"
    return f"{values[0]:,}" if values[0] == values[-1] else f"{values[0]:,}–{values[-1]:,}"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`.

    :param count: how many.
    :param noun: that takes an s.
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: `A, B and C`.

    :param words: one or more.
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def images_and_seeds(table: pd.DataFrame) -> str:
    """What estimates rest on: `512 images per seed, 10 seeds`.

    :param table: with the columns `images` and `seeds`, one row per estimate.
    """
    return f"{span(table['images'])} images per seed, {plural(int(table['seeds'].max()), 'seed')}"


def number(value: Any, digits: int = 3) -> str:
    """A number at this many significant digits, with a true minus sign.

    :param value: NaN, infinity and what is no number become a dash.
    :param digits: significant ones.
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if 1000 <= abs(value) < 1e9:
        text = f"{float(f'{value:.{digits}g}'):,.0f}"
    elif 10 ** (digits - 1) <= abs(value) < 1000:
        text = f"{value:.0f}"
    else:
        text = f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1000 or value == 0 else f"{value:.{digits - 1}e}"
    return text.replace("-", "−")


def significant(value: float, digits: int = 2) -> str:
    """A measured number at this many significant digits, zeros at its end among them: `0.80`, `1.0`, `19`.

    :param value: a finite number.
    :param digits: significant ones.
    """
    if value == 0 or not 1e-3 <= abs(value) < 10 ** (digits - 1):
        return number(value, digits)
    return f"{value:#.{digits}g}".removesuffix(".").replace("-", "−")


def decimal(value: float, places: int = 2) -> str:
    """A number at this many decimal places, with a true minus sign.

    :param value: a finite number.
    :param places: after the point.
    """
    return f"{value:.{places}f}".replace("-", "−")


def bracketed(value: float, low: float, high: float) -> str:
    """An estimate with its interval, `0.61 [0.55, 0.67]`; empty where it is not known.

    :param value: the estimate.
    :param low: end of its interval.
    :param high: its other end.
    """
    return f"{decimal(value)} [{decimal(low)}, {decimal(high)}]" if math.isfinite(value) else ""


def percentage(share: float, sign: bool = True) -> str:
    """A share as `62 %`, with a space that does not break, or without the sign.

    :param share: 0 to 1.
    :param sign: whether the sign follows.
    """
    return f"{100 * share:.0f}" + ("\N{NO-BREAK SPACE}%" if sign else "")


def times(ratio: float) -> str:
    """A ratio as `4×`, below one as `1/4×`.

    :param ratio: positive.
    """
    if 0 < ratio < 0.995 and abs(1 / ratio - round(1 / ratio)) < 1e-6:
        return f"1/{round(1 / ratio):,}×"
    return f"{number(ratio)}×"
