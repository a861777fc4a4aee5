"""One page that a person opens first: what the papers claim, what this run found, and every figure.

The page needs no other file and no network: figures are inside it. Links lead to the files beside it.
"""

from __future__ import annotations

import base64
import html
import itertools
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
import xarray as xr
import yaml
from markupsafe import Markup

import sluguq
from sluguq.analysis.aggregated import FITZPATRICK, scale_of
from sluguq.claims.registration import UNREGISTERED
from sluguq.claims.rules import FAILS, HOLDS, OPEN, UNASKED, UNDECIDED
from sluguq.figures import FIGURES
from sluguq.figures.words import number
from sluguq.report.answers import answers, unsaid
from sluguq.report.folded import Folded
from sluguq.report.limits import limits
from sluguq.stores.files import whole_file

KINDS: dict[str, str] = {HOLDS: "holds", FAILS: "fails", OPEN: "open", UNASKED: "unasked"}

LARGEST_SVG = 600_000
"""A figure whose SVG has more bytes than this (pages of images) goes into the page as PNG."""

_TITLES = {
    "models": "Models",
    "sensitivity": "One setting at a time",
    "artefacts": "Test images with artefacts drawn on them",
}

_INCH = 96
"""CSS pixels in an inch: figures are shown at the size that they are printed at."""


_ABSENT = {
    "sensitivity": "Not run. `snakemake --cores all sensitivity`, with the configuration file of this report, varies "
    "one setting at a time, those under `sensitivity` in the configuration, and adds the figure here. Training-set and "
    "image size need networks of their own, so it takes longer than all the rest where they are asked for.",
}
"""What a section says where it has no figure; other sections without one are left out."""


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
        ("error_by_group", "fst_distribution", "boxes_by_group", "boxes_by_group_seeds", "reconstructions"),
    ),
    Section(
        "slug-paper",
        "SLUG paper",
        "SLUG paper: does the model know where it fails?",
        "López-Pérez, Miani, Naranjo, Hauberg and Feragen, Bayesian generative models can flag performance loss, bias, "
        "and out-of-distribution image content.",
        ("slug_knows", "slug_against_mse", "boxes_by_fst", "correlation_by_seed", "retention", "maps", "maps_page"),
    ),
    Section(
        "cost",
        "Worth its cost?",
        "Is SLUG worth its cost?",
        "The same tests for cheaper signals, and what SLUG knows of the error that they do not.",
        ("signals", "signals_by_group", "labels_by_signal"),
    ),
    Section(
        "beyond-means",
        "Beyond means",
        "Fairness beyond means",
        "How large the gaps are with their uncertainty, at the upper end of each group and within conditions and body "
        "sites, and whose images are flagged when the most uncertain are.",
        ("group_gaps", "levels_by_group", "gaps_within_labels", "whose_labels", "flagged"),
    ),
    Section(
        "artefacts",
        "Artefacts",
        "Artefacts, measured",
        "Artefacts drawn with exact masks, and images by their labels: of known artefacts, and any other yes or no.",
        ("drawn_artefacts", "artefact_change", "artefact_maps", "labelled_artefacts"),
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


def write_report(
    path: str | Path,
    *,
    claims: pd.DataFrame,
    datasets: Mapping[str, xr.Dataset],
    figures: Mapping[str, str | Path],
    cards: Mapping[str, str] | None = None,
    links: Mapping[str, Any] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    shown: Mapping[str, Sequence[Folded]] | None = None,
    costs: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Write the page.

    :param path: the html file.
    :param claims: from :func:`sluguq.claims.judge`, or read from its csv.
    :param datasets: the opened aggregated stores by name; only their attributes are read.
    :param figures: for every name (a data set, ``models``) the folder with its figures as
        :func:`sluguq.figures.save` left them; figures that are not there are passed over.
    :param cards: model cards by configuration, markdown.
    :param links: addresses, relative to the page, of the ``datasheets`` by data set, of the ``cards`` by
        configuration, of the ``tables`` by data set and name, of the ``claims``, and of the page to ``explore`` images.
    :param tables: ``gaps`` and ``signals`` of the data set that was trained on, which the answers are made from.
    :param shown: tables of every data set that no figure is drawn from, from `sluguq.report.folded`.
    :param costs: by stage, what was planned and what it took, from :func:`sluguq.stages.taken.plan_and_taken`.
    """
    attributes = [dict(store.attrs) for store in datasets.values()]
    first = next((a for a in attributes if a.get("role") == "training"), attributes[0] if attributes else {})
    home = next((store for store in datasets.values() if store.attrs.get("role") == "training"), None)
    scale = scale_of(home) if home is not None else FITZPATRICK
    synthetic = any(int(a.get("synthetic", 0)) for a in attributes)
    both = _answers(home, tables or {}, figures, Path(path))
    above = {answer["picture"]["anchor"] for answer in both if answer["picture"]}
    rows = [_row(record) for record in claims.astype(object).where(claims.notna(), None).to_dict("records")]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("sluguq").joinpath("report/page.html.j2").read_text("utf-8"))
    page = template.render(
        experiment=first.get("experiment", "unnamed"),
        facts=_facts(first, datasets),
        scale=scale,
        synthetic=synthetic,
        answers=both,
        unsaid=unsaid(home, tables or {}) if home is not None else [],
        rows=rows,
        unasked=[row for row in rows if not row["asked"]],
        papers=[_paper(name, rows) for name in dict.fromkeys(row["paper"] for row in rows)],
        kinds=KINDS,
        registered=any(row["registered"] not in ("", UNREGISTERED) for row in rows),
        unregistered=UNREGISTERED,
        spoken=_spoken,
        tally={verdict: sum(row["verdict"] == verdict for row in rows) for verdict in KINDS},
        sections=_sections(figures, {str(a.get("dataset")): str(a.get("role")) for a in attributes}, Path(path), above),
        cards={name: _html(text) for name, text in (cards or {}).items()},
        links={"datasheets": {}, "cards": {}, "tables": {}, "claims": "", "split_sizes": "", "explore": ""}
        | dict(links or {}),
        shown=shown or {},
        versions=sorted({str(row["rules_version"]) for row in rows if row.get("rules_version")}),
        limits=limits(scale, synthetic=synthetic),
        costs=costs if any(row["hours taken"] for row in costs) else (),
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
    has_value = isinstance(row["estimate"], int | float) and math.isfinite(row["estimate"])
    # A count rests on no seed and has no interval.
    is_count = row["low"] == row["high"] and not row["seeds"]
    return {
        **row,
        "kind": KINDS[row["verdict"]],
        "number": number(row["estimate"]) if has_value else "",
        "interval": f"[{number(row['low'])}, {number(row['high'])}]" if has_value and not is_count else "",
        "parts": re.sub(r"(?<!\w)-(?=\d)", "−", str(row["parts"])).split("; ") if row["parts"] else [],
        **{name: int(row[name] or 0) for name in ("images", "distinct_images", "seeds")},
        "patients": "" if row["patients"] == "" else int(row["patients"]),
        "counted": is_count,
        **{name: row.get(name, "") for name in ("decides", "registered", "scope", "adjusted")},
        "p_adjusted": number(row["p_adjusted"], 2) if isinstance(row.get("p_adjusted"), float) else "",
        "asked": KINDS[row["verdict"]] != "unasked",
        "reason": "" if row["reason"] == UNDECIDED else row["reason"],
    }


def _paper(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A paper with its verdicts counted in words."""
    verdicts = [row["verdict"] for row in rows if row["paper"] == name and row["asked"]]
    counts = [(verdict, verdicts.count(verdict)) for verdict in KINDS]
    return {
        "name": name,
        "tally": ", ".join(f"{count} {_spoken(verdict, count)}" for verdict, count in counts if count),
    }


def _spoken(verdict: str, count: int) -> str:
    """A verdict after a count: 1 holds, 2 hold."""
    if KINDS[verdict] == "unasked":
        return "cannot be asked"
    return verdict if count == 1 else {"holds": "hold", "does not hold": "do not hold"}.get(verdict, verdict)


def _answers(
    home: xr.Dataset | None, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, str | Path], page: Path
) -> list[dict[str, Any]]:
    """Both answers with their figures, where these were drawn."""
    if home is None:
        return []
    source = str(home.attrs.get("dataset", ""))
    out = []
    for answer in answers(home, tables):
        folder = Path(figures.get(source, ""))
        has_figure = source in figures and (folder / f"{answer.figure}.svg").is_file()
        address = Path(os.path.relpath(folder, page.parent)).as_posix()
        out.append(
            {**answer._asdict(), "picture": _figure(source, folder, answer.figure, address) if has_figure else None}
        )
    return out


def _facts(attributes: Mapping[str, Any], datasets: Mapping[str, xr.Dataset]) -> dict[str, str]:
    """What a reader must know of the run before any number."""
    store = next((d for d in datasets.values() if d.attrs.get("role") == "training"), None)
    resolved = yaml.safe_load(attributes.get("configuration") or "{}") or {}
    roles = {"training": "", "external": " (not trained on)", "artefacts": " drawn on its test images"}
    facts = {"data": ", ".join(n + roles.get(str(d.attrs.get("role")), "") for n, d in datasets.items())}
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


def _html(markdown: str) -> Markup:
    """The markdown that model cards are written in: headings, lists, tables and paragraphs in bold."""
    parts: list[Markup] = []
    for kind, lines in itertools.groupby(filter(None, map(str.strip, markdown.splitlines())), _kind_of):
        rows = [Markup.escape(line) for line in lines]
        if kind == "#":
            levels = ((line, 2 + len(line) - len(line.lstrip("#"))) for line in rows)
            parts += [Markup("<h{1}>{0}</h{1}>").format(line.lstrip("# "), level) for line, level in levels]
        elif kind == "-":
            items = (Markup("<li>{}</li>").format(line.removeprefix("- ")) for line in rows)
            parts.append(Markup("<ul>{}</ul>").format(Markup("").join(items)))
        elif kind == "|":
            cells = [line.strip("|").split("|") for line in rows if set(line) - set("|- ")]
            table = (
                Markup("<tr>{}</tr>").format(
                    Markup("").join(Markup("<{1}>{0}</{1}>").format(c.strip(), "td" if i else "th") for c in line)
                )
                for i, line in enumerate(cells)
            )
            parts.append(Markup("<table>{}</table>").format(Markup("").join(table)))
        else:
            parts += [
                Markup("<p><strong>{}</strong></p>" if line.startswith("**") else "<p>{}</p>").format(line.strip("*"))
                for line in rows
            ]
    return Markup("\n").join(parts)


def _kind_of(line: str) -> str:
    return line[0] if line[0] in "#|" or line.startswith("- ") else ""


def _sections(
    figures: Mapping[str, str | Path], roles: Mapping[str, str], page: Path, above: Collection[str]
) -> list[dict[str, Any]]:
    """The sections with their figures, but for those that stand above them already."""
    out: list[dict[str, Any]] = []
    addresses = {source: Path(os.path.relpath(folder, page.parent)).as_posix() for source, folder in figures.items()}
    for section in SECTIONS:
        blocks = []
        for source, folder in figures.items():
            names = [name for name in section.figures if f"{source}-{name}" not in above]
            there = [name for name in names if (Path(folder) / f"{name}.svg").is_file()]
            empty = [name for name in there if _is_empty(Path(folder) / f"{name}.csv")]
            present = [_figure(source, Path(folder), name, addresses[source]) for name in there if name not in empty]
            if present:
                role = roles.get(source, "")
                title = _TITLES.get(source) or source + (f", {role} data" if role else "")
                nothing = ", ".join(name.replace("_", " ") for name in empty)
                blocks.append({"title": title, "figures": present, "empty": nothing})
        absent = _ABSENT.get(section.key, "") if not blocks else ""
        if blocks or absent:
            out.append({**section._asdict(), "blocks": blocks, "absent": absent})
    return [{**entry, "also": _elsewhere(entry, out)} for entry in out]


def _elsewhere(section: Mapping[str, Any], sections: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Figures in other sections that answer to the paper of this one: what they answer to, where, their anchors."""
    links: list[dict[str, str]] = []
    for other in sections:
        for block, figure in ((b, f) for b in other["blocks"] for f in b["figures"] if other is not section):
            for part in figure["paper"].split("; "):
                paper, _, which = part.partition(", ")
                same = any((link["which"], link["where"]) == (which, block["title"]) for link in links)
                if paper.casefold() == section["short"].casefold() and not same:
                    links.append({"which": which, "where": block["title"], "anchor": figure["anchor"]})
    return links


def _words(vector: bytes) -> str:
    """Title and note of a figure, as `sluguq.figures.drawing.save` left them in its SVG; empty where there are none."""
    match = re.search(rb"<dc:title>(.*?)</dc:title>", vector[:20_000], re.DOTALL)
    return html.unescape(match.group(1).decode()) if match else ""


def _is_empty(numbers: Path) -> bool:
    """Whether a figure has no numbers behind it: it only says that there was nothing to draw."""
    return numbers.is_file() and len(numbers.read_bytes().splitlines()) < 2


def _figure(source: str, folder: Path, name: str, address: str) -> dict[str, Any]:
    """A figure as a data address, at its printed size; `address` is that of its folder."""
    vector, raster = folder / f"{name}.svg", folder / f"{name}.png"
    content = vector.read_bytes()
    words = _words(content)
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
        "words": words or (specification.caption if specification else name),
        "caption": specification.caption if specification else name.replace("_", " "),
        "paper": specification.paper if specification else "",
        "address": f"{address}/{name}",
    }
