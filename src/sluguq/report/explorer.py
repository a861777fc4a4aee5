"""The explorer, one component of two pages: thumbnails, a linked scatter, an image under every configuration.

The page needs no network. What it shows lies beside it, as scripts (a browser loads them from files, which it refuses
to data in any other form) and as sheets of tiles, each loaded when it comes into sight; or all of it inside the page.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from sluguq.analysis.percentiles import UNUSUAL
from sluguq.figures.pictures import BRIGHTEST
from sluguq.report.sheets import ACROSS, brightest, coloured, sheet
from sluguq.stores.files import whole_file

KINDS = {
    "photograph": "photograph",
    "mask": "drawn artefact",
    "reconstruction": "reconstruction",
    "error_map": "error map",
    "slug_map": "SLUG map",
}
"""Pictures of an image, by their names for people."""

_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

Pictures = Callable[[np.ndarray], np.ndarray]
"""Of rows, their pictures: uint8 (n, height, width, 3), or maps (n, height, width)."""


class Signal(NamedTuple):
    """A number of every image, by its name for people; percentiles are written without decimals."""

    label: str
    percentile: bool = False


class Column(NamedTuple):
    """What is known of every image: its name for people, a text an image, and the order of the texts where they have
    one of their own (else numbers by size, words by letter)."""

    label: str
    values: Sequence[str]
    order: Sequence[str] = ()


@dataclass(frozen=True)
class Network:
    """What one network made of the images.

    rows: places of its images in the collection. signals: a number for each of these. pictures: by kind, of places in
    `rows`. drawn: the places in `rows` that have pictures on the page, by default all.
    """

    configuration: str
    seed: str
    rows: np.ndarray
    signals: Mapping[str, np.ndarray]
    pictures: Mapping[str, Pictures] = field(default_factory=dict)
    drawn: np.ndarray | None = None


@dataclass(frozen=True)
class Collection:
    """The images of one data set. first: the configuration that is shown first; all_seeds: whether all seeds are."""

    name: str
    title: str
    about: str
    ids: Sequence[str]
    columns: Mapping[str, Column]
    signals: Mapping[str, Signal]
    networks: Sequence[Network]
    pictures: Mapping[str, Pictures]
    first: str
    all_seeds: bool = True


@dataclass(frozen=True)
class Look:
    """How a page begins: the signals of the axes and of the order, colours of groups and skin types, mixes in words."""

    colours: Mapping[str, Mapping[str, str]]
    mixes: Mapping[str, str]
    x: str = "mse"
    y: str = "slug"
    sort: str = "slug_percentile"
    verdict: str = "slug_percentile"
    rim: bool = False
    scale: str = "FST"


def write_explorer(
    path: Path, collections: Sequence[Collection], look: Look, *, template: str, files: Path | None, **words: Any
) -> None:
    """Write the page, and what it shows.

    :param path: the html file.
    :param collections: what it shows, in this order.
    :param look: how it begins.
    :param template: name of a template in the library that extends ``report/explorer.html.j2``.
    :param files: folder beside the page for what it shows, replaced if it exists; None puts all into the page.
    :param words: what else the template says.
    """
    inside = files is None
    chunks: dict[str, str] = {}
    sheets: dict[str, str] = {}
    partial = None
    if files is not None:
        partial = files.with_name(f".{files.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
    try:
        for collection in collections:
            for name, content in _files(collection):
                if partial is not None:
                    target = partial / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
                elif name.endswith(".js"):
                    chunks[name] = content.decode()
                else:
                    address = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
                    sheets[name.removesuffix(".webp")] = address
        if partial is not None and files is not None:
            shutil.rmtree(files, ignore_errors=True)
            partial.rename(files)
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    if inside:
        chunks["sheets"] = _script("sheets", sheets)
    page = (
        _environment()
        .get_template(template)
        .render(
            css=Markup(_text("explorer.css")),
            script=Markup(_text("explorer.js")),
            data=Markup(safe_json(_meta(collections, look, "" if files is None else files.name))),
            chunks=[Markup(chunk) for chunk in chunks.values()],
            brightest=f"{BRIGHTEST:g}",
            rim=look.rim,
            **words,
        )
    )
    with whole_file(path) as target:
        target.write_text(page, encoding="utf-8")


def safe_json(content: Any) -> str:
    """JSON that nothing in it can end: no tag, no comment and no line end of JavaScript inside a script element.

    Numbers that are none become null.

    :param content: plain numbers, texts, lists and mappings; NaN becomes null.
    """
    text = json.dumps(_plain(content), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _environment() -> jinja2.Environment:
    def source(name: str) -> str:
        return resources.files("sluguq").joinpath(name).read_text("utf-8")

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(source), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def _text(name: str) -> str:
    return resources.files("sluguq").joinpath(f"report/{name}").read_text("utf-8")


def _files(collection: Collection) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of a collection."""
    base = collection.name
    everyone = np.arange(len(collection.ids))
    for kind, pictures in collection.pictures.items():
        yield from _sheets(f"{base}/{kind}", pictures, everyone)
    content: dict[str, Any] = {
        "ids": list(map(str, collection.ids)),
        "columns": {key: _coded(column) for key, column in collection.columns.items()},
        "sheets": {kind: f"{base}/{kind}" for kind in collection.pictures},
    }
    yield f"{base}/images.js", _script(f"{base}/images", content).encode()
    for network in collection.networks:
        name = _name(collection, network)
        places = np.arange(len(network.rows)) if network.drawn is None else network.drawn
        bright: dict[str, list[float | None]] = {}
        for kind, pictures in network.pictures.items():
            peaks: list[float | None] = [None] * len(network.rows)
            yield from _sheets(f"{name}-{kind}", pictures, places, peaks)
            if any(value is not None for value in peaks):
                bright[kind] = peaks
        content = {
            "configuration": network.configuration,
            "seed": network.seed,
            "rows": network.rows.tolist(),
            "signals": {key: _rounded(values) for key, values in network.signals.items()},
            "tiles": None if network.drawn is None else network.drawn.tolist(),
            "sheets": {kind: f"{name}-{kind}" for kind in network.pictures if len(places)},
            "brightest": bright,
        }
        yield f"{name}.js", _script(name, content).encode()


def _sheets(
    name: str, pictures: Pictures, places: np.ndarray, bright: list[float | None] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Sheets of the pictures at these places; `bright` is filled where they are maps."""
    for number, start in enumerate(range(0, len(places), ACROSS**2)):
        some = places[start : start + ACROSS**2]
        content = pictures(some)
        if content.ndim == 3:
            if bright is not None:
                for place, value in zip(some, _rounded(brightest(content)), strict=True):
                    bright[int(place)] = value
            content = coloured(content)
        yield f"{name}-{number}.webp", sheet(content)


def _name(collection: Collection, network: Network) -> str:
    return f"{collection.name}/{network.configuration}-{network.seed}"


def _script(name: str, content: Any) -> str:
    return f"SluguqExplorer.put({safe_json(name)},{safe_json(content)});"


def _coded(column: Column) -> dict[str, Any]:
    """A column as its distinct values, in order, and the place of each image's value among them."""
    own = {value: place for place, value in enumerate(column.order)}
    values = sorted(set(column.values), key=lambda value: (own.get(value, len(own)), _order(value)))
    places = {value: place for place, value in enumerate(values)}
    return {"label": column.label, "values": values, "codes": [places[value] for value in column.values]}


def _order(value: str) -> tuple[bool, bool, float, str]:
    """Numbers by size before words by letter; what is not known last."""
    try:
        return (False, False, float(value), "")
    except ValueError:
        return (not value, True, 0.0, value)


def _rounded(values: Any) -> list[float | None]:
    """Numbers at five significant digits, None where there is none."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]


def _plain(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content


def _meta(collections: Sequence[Collection], look: Look, folder: str) -> dict[str, Any]:
    return {
        "folder": folder,
        "sheet": {"across": ACROSS},
        "kinds": KINDS,
        "mixes": dict(look.mixes),
        "scale": look.scale,
        "colours": {key: dict(colours) for key, colours in look.colours.items()},
        "palette": list(_PALETTE),
        "verdict": {"signal": look.verdict, "from": UNUSUAL},
        "start": {"x": look.x, "y": look.y, "sort": look.sort},
        "collections": [
            {
                "name": c.name,
                "title": c.title,
                "about": c.about,
                "first": c.first,
                "all_seeds": c.all_seeds,
                "signals": [{"key": k, "label": s.label, "percentile": s.percentile} for k, s in c.signals.items()],
                "pictures": list(dict.fromkeys(kind for n in c.networks for kind in n.pictures)),
                "networks": [
                    {"name": _name(c, n), "configuration": n.configuration, "seed": n.seed} for n in c.networks
                ],
            }
            for c in collections
        ],
    }
