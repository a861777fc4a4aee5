"""One page that a person opens first: what the papers claim, what this run found, and every figure.

The page needs no other file and no network: figures are inside it.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
import xarray as xr
import yaml

import sluguq
from sluguq.claims.rules import FAILS, HOLDS, OPEN
from sluguq.figures import FIGURES
from sluguq.figures.style import number
from sluguq.store import whole_file

KINDS: dict[str, str] = {HOLDS: "holds", FAILS: "fails", OPEN: "open"}

LARGEST_SVG = 600_000
"""A figure whose SVG has more bytes than this (pages of images) goes into the page as PNG."""

_INCH = 96
"""CSS pixels in an inch: figures are shown at the size that they are printed at."""


class Section(NamedTuple):
    """A part of the page: its name in the address, titles, the question it answers, its figures in order."""

    key: str
    short: str
    title: str
    question: str
    figures: tuple[str, ...]


SECTIONS = (
    Section(
        "fairness-paper",
        "Fairness paper",
        "Fairness paper: does the error depend on skin tone, and on who was trained on?",
        "López-Pérez, Hauberg and Feragen, Are generative models fair? (arXiv:2501.11752).",
        ("fst_distribution", "boxes_by_group", "boxes_by_group_seeds", "reconstructions"),
    ),
    Section(
        "slug-paper",
        "SLUG paper",
        "SLUG paper: does the model know where it fails?",
        "López-Pérez, Miani, Naranjo, Hauberg and Feragen, Bayesian generative models can flag performance loss, bias, "
        "and out-of-distribution image content.",
        ("boxes_by_fst", "slug_against_mse", "correlation_by_seed", "retention", "maps", "maps_page"),
    ),
    Section(
        "cost",
        "Worth its cost?",
        "Is SLUG worth its cost?",
        "The same tests for cheaper signals, and what SLUG knows of the error that they do not.",
        ("signals",),
    ),
    Section(
        "beyond-means",
        "Beyond means",
        "Fairness beyond means",
        "How large the gaps are with their uncertainty, and whose images are flagged when the most uncertain are.",
        ("group_gaps", "flagged"),
    ),
    Section(
        "objects",
        "Foreign objects",
        "Foreign objects, measured",
        "Objects drawn with exact masks, and real ones by their labels.",
        ("drawn_objects", "object_change", "object_maps", "labelled_objects"),
    ),
    Section(
        "sensitivity",
        "How sure?",
        "How sure is the score?",
        "How SLUG depends on rank, probes, training images and the rest.",
        ("sensitivity",),
    ),
    Section(
        "training",
        "Training",
        "What was trained",
        "The course of training, what was reconstructed on the way, the spectrum that SLUG projects away, what the "
        "decoders draw, and whose skin it is.",
        ("training_history", "snapshots", "spectrum", "samples", "sample_tones"),
    ),
)

LIMITS = (
    "Fitzpatrick types are a coarse and contested scale: made for the skin's reaction to sun, assigned here by people "
    "who look at photographs, and of low agreement between them.",
    "A group's error depends on how its images were taken and selected as much as on skin. A gap shows that the model "
    "serves one group worse on these photographs; it does not show why.",
    "Synthetic images prove nothing about people.",
    "SLUG is the uncertainty of one trained network under a low-rank Laplace approximation. It says nothing of errors "
    "that every network of this kind shares.",
    "SLUG maps glow along image borders where convolutions pad with zeros, and show the up-sampling's checkerboard: "
    "both are of the network, not of the skin.",
    "Claims are judged one by one; of those near their threshold some are decided wrongly by chance.",
    "Not for clinical use.",
)


def write_report(
    path: str | Path,
    *,
    claims: pd.DataFrame,
    datasets: Mapping[str, xr.Dataset],
    figures: Mapping[str, str | Path],
    cards: Mapping[str, str] | None = None,
) -> Path:
    """Write the page.

    path: the html file. claims: from `sluguq.claims.judge`, or read from its csv. datasets: the opened
    aggregated stores by name; only their attributes are read. figures: for every name (a data set, `models`)
    the folder with its figures as `sluguq.figures.save` left them; figures that are not there are passed over.
    cards: model cards by configuration, markdown.
    """
    attributes = [dict(store.attrs) for store in datasets.values()]
    first = next((a for a in attributes if a.get("role") == "training"), attributes[0] if attributes else {})
    rows = [_row(record) for record in claims.astype(object).where(claims.notna(), None).to_dict("records")]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("sluguq").joinpath("report.html.j2").read_text("utf-8"))
    page = template.render(
        experiment=first.get("experiment", "unnamed"),
        facts=_facts(first, datasets),
        synthetic=any(int(a.get("synthetic", 0)) for a in attributes),
        rows=rows,
        papers=list(dict.fromkeys(row["paper"] for row in rows)),
        kinds=KINDS,
        tally={verdict: sum(row["verdict"] == verdict for row in rows) for verdict in KINDS},
        sections=_sections(figures, {str(a.get("dataset")): str(a.get("role")) for a in attributes}),
        cards=cards or {},
        limits=LIMITS,
        provenance={
            name: first[key]
            for name, key in (("commit", "commit"), ("device", "device"), ("packages", "versions"))
            if first.get(key)
        },
        configuration=first.get("configuration", ""),
        version=sluguq.__version__,
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return Path(path)


def _row(record: Mapping[Any, Any]) -> dict[str, Any]:
    """A claim as the page shows it."""
    row = {key: "" if value is None else value for key, value in record.items()}
    known = isinstance(row["estimate"], int | float) and math.isfinite(row["estimate"])
    return {
        **row,
        "kind": KINDS[row["verdict"]],
        "number": number(row["estimate"]) if known else "",
        "interval": f"[{number(row['low'])}, {number(row['high'])}]" if known and row["low"] != row["high"] else "",
        "parts": str(row["parts"]).split("; ") if row["parts"] else [],
        **{name: int(row[name] or 0) for name in ("images", "patients", "seeds")},
    }


def _facts(attributes: Mapping[str, Any], datasets: Mapping[str, xr.Dataset]) -> dict[str, str]:
    """What a reader must know of the run before any number."""
    store = next((d for d in datasets.values() if d.attrs.get("role") == "training"), None)
    resolved = yaml.safe_load(attributes.get("configuration") or "{}") or {}
    facts = {"data sets": ", ".join(f"{n} ({d.attrs.get('role', '')})" for n, d in datasets.items())}
    if store is not None:
        facts["configurations"] = ", ".join(map(str, store["configuration"].values))
        facts["seeds"] = str(store.sizes["seed"])
        facts["test images of all seeds"] = f"{store.sizes['image']:,}"
    for name, section, key in (
        ("image size", "images", "size"),
        ("epochs", "training", "epochs"),
        ("rank", "eigenbasis", "rank"),
    ):
        if isinstance(resolved.get(section), dict) and key in resolved[section]:
            facts[name] = str(resolved[section][key]) + (" pixels" if key == "size" else "")
    return facts


def _sections(figures: Mapping[str, str | Path], roles: Mapping[str, str]) -> list[dict[str, Any]]:
    out = []
    for section in SECTIONS:
        blocks = []
        for source, folder in figures.items():
            shown = [_figure(source, Path(folder), name) for name in section.figures]
            present = [figure for figure in shown if figure]
            if present:
                role = roles.get(source, "")
                title = "Models" if source == "models" else f"{source}" + (f", {role} data" if role else "")
                blocks.append({"title": title, "figures": present})
        if blocks:
            out.append({**section._asdict(), "blocks": blocks})
    return out


def _figure(source: str, folder: Path, name: str) -> dict[str, Any] | None:
    """A figure as a data address, at its printed size; None where it was not drawn."""
    vector, raster = folder / f"{name}.svg", folder / f"{name}.png"
    if not vector.is_file():
        return None
    content = vector.read_bytes()
    width = re.search(rb'<svg[^>]*\swidth="([\d.]+)pt"', content)
    points = float(width.group(1)) if width else 500.0
    kind = "svg+xml"
    if len(content) > LARGEST_SVG and raster.is_file():
        content, kind = raster.read_bytes(), "png"
    specification = FIGURES.get(name)
    return {
        "anchor": f"{source}-{name}",
        "data": f"data:image/{kind};base64,{base64.b64encode(content).decode()}",
        "width": round(points / 72 * _INCH * 1.3),
        "caption": specification.caption if specification else name.replace("_", " "),
        "paper": specification.paper if specification else "",
        "csv": f"{source}/{name}.csv",
    }


def markdown_table(claims: pd.DataFrame, columns: Sequence[str] = ("statement", "estimate", "n", "verdict")) -> str:
    """The claims as a markdown table, for a readme or a note.

    columns: of `claims`, besides `estimate`, which comes with its interval, and `n`.
    """
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    for record in claims.astype(object).where(claims.notna(), None).to_dict("records"):
        row = _row(record)
        row["estimate"] = f"{row['number']} {row['interval']}".strip() or "–"
        row["n"] = f"{row['images']} images, {row['seeds']} seeds" if row["images"] else "–"
        lines.append("| " + " | ".join(str(row[c]).replace("|", "\\|") for c in columns) + " |")
    return "\n".join(lines) + "\n"
