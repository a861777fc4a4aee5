"""The contact sheet of judged photographs: one page that needs no other file and no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image

import sluguq
from sluguq.figures.pictures import BRIGHTEST, scaled
from sluguq.figures.style import MAP_COLOURS
from sluguq.figures.words import number
from sluguq.flag.scores import Maps
from sluguq.flag.table import agreement
from sluguq.stores.files import whole_file
from sluguq.stores.provenance import commit, package_versions

if TYPE_CHECKING:
    from sluguq.flag.judges import Judges, Network

SHOWN = 200
"""Photographs on the page, the most suspect ones; the table has all."""

UNUSUAL = 95
"""From this percentile of the reference on, a photograph is marked."""


def write_page(
    path: Path,
    table: pd.DataFrame,
    pixels: np.ndarray,
    maps: Maps,
    judges: Judges,
    rejected: pd.DataFrame,
    settings: Mapping[str, Any],
) -> None:
    """Write the page.

    :param path: the html file.
    :param table: from :func:`sluguq.flag.table.judged_table`, most suspect first.
    :param pixels: uint8 (n, height, width, 3) of the first n rows of the table.
    :param maps: of the same photographs.
    :param judges: the networks and their reference.
    :param rejected: columns file and reason.
    :param settings: by which photographs and reference were scored, as the section ``score`` of the configuration.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("sluguq").joinpath("flag/page.html.j2").read_text("utf-8"))
    rows = table.head(len(pixels)).to_dict("records")
    page = template.render(
        judges=judges,
        mix=", ".join(f"{100 * share:.0f} % {group}" for group, share in judges.mix.items()),
        references=[_reference(network, judges) for network in judges.networks],
        group_types={group: ", ".join(map(str, types)) for group, types in judges.groups.items()},
        cards=[_card(place, row, pixels[place], maps, judges) for place, row in enumerate(rows)],
        total=len(table),
        ranked=len(judges.networks) == 1 or agreement([n.reference for n in judges.networks], "slug") is not None,
        marked=int((table["slug_percentile"] >= UNUSUAL).sum()),
        unusual=UNUSUAL,
        brightest=BRIGHTEST,
        rejected=rejected.to_dict("records"),
        probes=_probes_in_words(settings),
        with_slug_map=maps.slug_map is not None,
        provenance={"commit": commit(), **package_versions()},
        version=sluguq.__version__,
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _probes_in_words(settings: Mapping[str, Any]) -> str:
    if settings["probes"]:
        return f"{settings['probes']} probes"
    return (
        f"tolerance {settings['tolerance']}" if settings["tolerance"] else "as many as the default tolerance asks for"
    )


def _reference(network: Network, judges: Judges) -> dict[str, Any]:
    """One network's reference distribution, in all and by group."""
    parts = {"all": network.reference}
    parts |= {group: network.reference[network.reference["group"] == group] for group in judges.groups}
    return {
        "seed": network.seed,
        "rows": [
            {
                "name": name,
                "n": len(part),
                **{
                    f"{column}_{q}": number(float(part[column].quantile(q / 100))) if len(part) else "–"
                    for column in ("slug", "mse")
                    for q in (50, UNUSUAL)
                },
            }
            for name, part in parts.items()
        ],
    }


def _card(place: int, row: dict[Any, Any], picture: np.ndarray, maps: Maps, judges: Judges) -> dict[str, Any]:
    pictures = {"image": _photograph(picture), "reconstruction": _photograph(maps.reconstruction[place])}
    pictures["error map"] = _map(maps.error_map[place])
    if maps.slug_map is not None:
        pictures["SLUG map"] = _map(maps.slug_map[place])
    inside = {g: row[f"slug_percentile_{g}"] for g in judges.groups if f"slug_percentile_{g}" in row}
    return {
        "place": place + 1,
        "file": row["file"],
        "marked": row["slug_percentile"] >= UNUSUAL,
        "percentile": _per_cent(row["slug_percentile"]),
        "groups": {group: _per_cent(value) for group, value in inside.items()},
        "slug": number(row["slug"]),
        "slug_sem": number(row["slug_sem"]),
        "ratio": number(row["slug_ratio"]),
        "mse": number(row["mse"]),
        "mse_percentile": _per_cent(row["mse_percentile"]),
        "seeds": {n.seed: _per_cent(row[f"slug_percentile_seed-{n.seed}"]) for n in judges.networks},
        "pictures": pictures,
    }


def _per_cent(value: float) -> str:
    """A percentile; only what is truly at an end is written as the end."""
    return f"{value:.0f}" if value in (0, 100) or 0.5 <= value < 99.5 else f"{value:.2g}" if value < 1 else "> 99"


def _photograph(picture: np.ndarray) -> str:
    return _address(Image.fromarray(picture), "webp", quality=90)


def _map(values: np.ndarray) -> str:
    """A map in the colours of the figures, divided by its own `BRIGHTEST` percentile."""
    image = Image.fromarray(np.rint(255 * scaled(np.asarray(values, dtype=np.float32))).astype(np.uint8)).convert("P")
    image.putpalette(_palette())
    return _address(image, "png")


def _palette() -> bytes:
    return mpl.colormaps[MAP_COLOURS](np.arange(256), bytes=True)[:, :3].tobytes()


def _address(image: Image.Image, kind: str, **options: Any) -> str:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
