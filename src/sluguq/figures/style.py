"""One style for all figures: sizes, colours, the order of skin types and groups, notes and marks."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sluguq.analysis.aggregated import FITZPATRICK, Groups, Scale
from sluguq.datasets.units import named
from sluguq.figures.marks import mark_clipped
from sluguq.figures.words import number, times

_EDGE = 0.06
WIDTH = 6.9
"""Width of a full-width figure in inches: the text width of an A4 page."""

# From light to dark in lightness, so that the order survives any colour blindness and print in grey.
_TONES = LinearSegmentedColormap.from_list("tones", ["#f6d7a7", "#eab676", "#d18c4f", "#a8623a", "#70402f", "#3a2326"])
UNLABELLED = "#9aa3ab"
# Okabe and Ito's colour-blind-safe set (https://jfly.uni-koeln.de/color/), without yellow and black.
_CONFIGURATIONS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
ACCENT = "#0072b2"
SECOND = "#d55e00"
THIRD = "#56b4e9"
QUIET = "#6b7480"
EDGE = "#33383d"
"""Outlines of marks and bars, and lines of reference."""
INK = "#1c1f22"
"""What stands out as text does."""
MUTED = "#50565c"
"""Axes, notes, and outlines in legends."""
WHISKER = "#7d8790"
"""Intervals on bars."""
FAINT = "#aab2b9"
"""Lines behind everything else."""
PALE = "#a1a9b2"
"""A baseline among signals."""
MAP_COLOURS = "inferno"

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.bottom": True,
    "ytick.left": True,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.3,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    # Identifiers inside an SVG come from this, so that the same figure is the same file.
    "svg.hashsalt": "sluguq",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """The style, for the time of a `with` block."""
    settings: dict[Any, Any] = {**sns.axes_style("whitegrid"), **_SETTINGS}
    with mpl.rc_context(settings):
        yield


def figure(width: float = WIDTH, height: float = 2.8) -> Figure:
    """An empty figure of this size in inches, with a layout that leaves room for what is written on it.

    :param width: of the figure.
    :param height: of the figure.
    """
    return Figure(figsize=(width, height), layout="constrained")


def group_colours(groups: Groups) -> dict[str, str]:
    """The colour of every group, by its mean skin type: one group has one colour in all figures.

    :param groups: of an experiment.
    """
    return {name: _tone(float(np.mean(types)), groups.scale) for name, types in groups.items()}


def fst_colours(types: Iterable[int], scale: Scale = FITZPATRICK) -> dict[int, str]:
    """The colour of every skin type of a scale; grey for -1, unlabelled.

    :param types: which skin types.
    :param scale: that they are of.
    """
    return {int(t): UNLABELLED if t < 1 else _tone(int(t), scale) for t in types}


def _tone(level: float, scale: Scale) -> str:
    return to_hex(_TONES((level - 1) / (scale.levels - 1)))


def configuration_colours(configurations: Iterable[str]) -> dict[str, str]:
    """The colour of every configuration, by its place in the experiment.

    :param configurations: all of the experiment, in order.
    """
    return {str(c): _CONFIGURATIONS[i % len(_CONFIGURATIONS)] for i, c in enumerate(configurations)}


def marker_of(place: int) -> str:
    """The marker of what stands at this place in its order; after the eighth they begin again.

    :param place: from 0.
    """
    return MARKERS[place % len(MARKERS)]


def legend_of(
    names: Iterable[str], colours: Mapping[str, str], *, size: float = 3.6, label: Callable[[str], str] = str
) -> list[Line2D]:
    """Handles of lines with marks, in the order of their names.

    :param names: of the lines.
    :param colours: of each.
    :param size: of the marks, in points.
    :param label: what the legend says of a name.
    """
    return [
        Line2D([], [], color=colours[name], marker=marker_of(j), ms=size, label=label(name))
        for j, name in enumerate(names)
    ]


def _names_no_patient(dataset: xr.Dataset) -> bool:
    return "patient" in dataset.variables and not named(dataset["patient"].values).any()


def finish(
    fig: Figure,
    title: str,
    note: str,
    dataset: xr.Dataset | None = None,
    *,
    handles: Sequence[Artist] = (),
    columns: int = 3,
    heading: str = "",
) -> Figure:
    """Write title, mark of synthetic data, legend and note, each in a band of its own height; mark what is clipped.

    Title and note together are the figure's label (`Figure.get_label`), which says in words what is compared.

    The panels get the height between the bands, so nothing overlaps whatever the number of lines.

    :param fig: the figure, with its panels drawn.
    :param title: above the panels.
    :param note: below them; it is wrapped.
    :param dataset: store that says whether its images are synthetic; None for no mark.
    :param handles: what the legend shows, below the title.
    :param columns: of the legend, at most.
    :param heading: before the legend.
    :returns: the same figure.
    """
    for axes in fig.axes:
        mark_clipped(axes)
    if "patients" in note and dataset is not None and _names_no_patient(dataset):
        note += " Patients are not known here: images stand in their place, near duplicates together."
    fig.set_label(" ".join(f"{title}{'' if title.endswith('?') else '.'} {note}".split()))
    height = fig.get_figheight()
    synthetic = dataset is not None and bool(int(dataset.attrs.get("synthetic", 0)))
    room = fig.get_figwidth() - (1.35 if synthetic else 0.1)
    top = fig.text(
        _EDGE / fig.get_figwidth(),
        1 - 0.05 / height,
        textwrap.fill(title, max(int(room / 0.088), 16)),
        ha="left",
        va="top",
        fontsize=10,
        fontweight="bold",
        linespacing=1.1,
    )
    if synthetic:
        mark_synthetic(fig)
    height_used = 0.05 + max(_tall(fig, top), 0.2) + 0.05
    if handles:
        legend = fig.legend(
            handles=by_lines(handles, min(len(handles), columns)),
            loc="upper left",
            bbox_to_anchor=(_EDGE / fig.get_figwidth(), 1 - height_used / height),
            ncols=min(len(handles), columns),
            borderaxespad=0,
            borderpad=0.1,
            columnspacing=1.4,
            handletextpad=0.5,
            title=heading or None,
            alignment="left",
        )
        legend.set_in_layout(False)
        height_used += _tall(fig, legend) + 0.06
    below = 0.04
    if note:
        # A number stays with its per cent sign.
        note = note.replace(" %", "\N{NO-BREAK SPACE}%")
        lines = [textwrap.fill(part, int((fig.get_figwidth() - 0.1) / 0.0505)) for part in note.split("\n")]
        foot = fig.text(
            _EDGE / fig.get_figwidth(),
            0.05 / height,
            "\n".join(lines),
            ha="left",
            va="bottom",
            fontsize=7,
            color=MUTED,
            linespacing=1.3,
        )
        below += _tall(fig, foot) + 0.06
    for text in fig.texts:
        text.set_in_layout(False)
    engine = fig.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, below / height, 1, 1 - (below + height_used) / height), w_pad=0.03, h_pad=0.03)
    return fig


def by_lines(handles: Sequence[Artist], columns: int) -> list[Artist]:
    """Handles in the order in which a legend, which fills column by column, shows them line by line.

    :param handles: line by line.
    :param columns: of the legend.
    """
    lines = -(-len(handles) // columns)
    # The first columns have one more where the last line is short.
    full = len(handles) % columns or columns
    out: list[Artist] = []
    for column in range(columns):
        out += [handles[line * columns + column] for line in range(lines if column < full else lines - 1)]
    return out


def _tall(fig: Figure, artist: Artist) -> float:
    """The height of a text or legend in inches."""
    return float(artist.get_window_extent(FigureCanvasAgg(fig).get_renderer()).height / fig.dpi)


def mark_synthetic(fig: Figure) -> None:
    """A visible mark that the images are no photographs of people.

    :param fig: to be marked.
    """
    mark = fig.text(
        1 - 0.08 / fig.get_figwidth(),
        1 - 0.08 / fig.get_figheight(),
        "SYNTHETIC IMAGES",
        ha="right",
        va="top",
        fontsize=7,
        fontweight="bold",
        color="#8a1c1c",
        bbox={"boxstyle": "round,pad=0.28", "facecolor": "#fdeaea", "edgecolor": "#c94f4f", "linewidth": 0.7},
    )
    mark.set_in_layout(False)


def empty(title: str, reason: str, dataset: xr.Dataset | None = None) -> Figure:
    """A figure that says why there is nothing to draw.

    :param title: of the figure.
    :param reason: why there is nothing.
    :param dataset: a store, for the mark of synthetic data.
    """
    fig = figure(height=1.4)
    axes = fig.subplots()
    axes.axis("off")
    axes.text(0.5, 0.5, reason, ha="center", va="center", color=QUIET)
    return finish(fig, title, "", dataset)


def is_wide(values: np.ndarray, ratio: float = 20.0) -> bool:
    """Whether values are all positive and their 1st and 99th percentile lie a factor `ratio` apart.

    :param values: of any shape; NaN do not count.
    :param ratio: the least factor.
    """
    values = values[np.isfinite(values)]
    if not len(values) or values.min() <= 0:
        return False
    low, high = np.percentile(values, [1, 99])
    return bool(high / low >= ratio)


def logarithmic(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 where it spans little, at powers of ten else.

    :param axes: with its data on it.
    :param which: of its two axes.
    """
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = sorted(axis.get_data_interval())
    decades = np.log10(high / low) if low > 0 else 3
    if decades < 3.2:
        # Fewer labels along x, where they stand side by side.
        few = (1.0, 2.0, 5.0) if which == "y" or decades <= 1 else (1.0, 3.0) if decades <= 2 else (1.0,)
        axis.set_major_locator(LogLocator(subs=few))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())


def ratio_axis(
    axes: Axes,
    which: Literal["x", "y"],
    logarithms: np.ndarray,
    *,
    margin: float,
    ticks: int = 3,
    least: float = 1.0,
    finest: float = 1.0,
) -> None:
    """An axis of ratios, logarithmic and as wide below 1 as above, with a line at 1 and ticks at powers of two.

    :param axes: to be given the axis.
    :param which: of its two axes.
    :param logarithms: natural ones of the ratios, which must have room.
    :param margin: the axis goes so many times as far as the largest of them.
    :param ticks: at most so many on either side.
    :param least: powers of two that it goes at least.
    :param finest: powers of two between two ticks where it goes no further than 1.5.
    """
    powers_of_two = np.abs(logarithms) / np.log(2)
    reach = float(np.clip(margin * np.nanmax(powers_of_two, initial=0.0), least, 12.0))
    getattr(axes, f"set_{which}scale")("log", base=2)
    getattr(axes, f"set_{which}lim")(2**-reach, 2**reach)
    step = finest if reach < 1.5 else max(int(np.ceil(reach / ticks)), 1)
    powers = np.arange(-step * int(reach // step), reach + 0.01, step)
    getattr(axes, f"set_{which}ticks")(2.0**powers, [times(2.0**p) for p in powers])
    (axes.axvline if which == "x" else axes.axhline)(1, color=EDGE, lw=0.7)
