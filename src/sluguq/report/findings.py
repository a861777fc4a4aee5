"""What a run found, as a page of its own: claims with their verdicts, what SLUG adds, where maps find what is not skin.

Every number comes from the run's tables, and no photograph is on the page, so that it may be published where the data
set's licence forbids pictures.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import groups_of, scale_of
from sluguq.analysis.drawn_artefacts import MAPS, MASKED
from sluguq.analysis.results import Results, open_results
from sluguq.analysis.signals import ENSEMBLE
from sluguq.analysis.tables import signal_label
from sluguq.claims.registration import read_registration
from sluguq.claims.rules import OPEN, UNASKED
from sluguq.claims.run import NotInRun, Run
from sluguq.config.paths import ResultPaths
from sluguq.figures.words import bracketed, group_label, listed, number, percentage, plural
from sluguq.report.against import against
from sluguq.report.answers import answers, unsaid
from sluguq.report.differences import differences
from sluguq.report.doubts import confounding, other_ways, whose_labels
from sluguq.report.limits import limits
from sluguq.report.registered import entries_in_words, standing_of_claims
from sluguq.stores.files import whole_file

PAGE = "findings.md"
FIGURES = ("signals", "group_gaps", "signals_by_group")
"""Figures of the training data set that follow what SLUG adds: none on the page shows a photograph."""

_TESTS = {
    "spearman": "rank correlation with the error",
    "caught": "share of the worst tenth that its highest tenth catches",
    "retention_gain": "retention gain",
    "partial": "SLUG's rank correlation, with this signal held constant",
    "partial_reverse": "its own, with SLUG held constant",
}
_SHARES = ("caught",)  # of these tests the values are shares
_MASKS = {"lesion_mask", "artefact_mask"}


def write_findings(
    experiment: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    paper: Mapping[str, Any] | None = None,
    configfile: str = "",
) -> Path:
    """Write the page and its figures.

    :param experiment: folder of a finished experiment, results/<name>.
    :param folder: where to write ``findings.md`` and a folder ``findings`` of figures.
    :param paper: the resolved configuration of the paper's experiment; what differs from it is listed.
    :param configfile: the file of the run's configuration, for the commands at the end; by default that of its name.
    :returns: the page.
    :raises StoreError: where there are no results.
    :raises FileNotFoundError: where the claims have not been judged.
    """
    results, folder = open_results(experiment), Path(folder)
    pictures = folder / "findings"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [
        *_head(results),
        *_short(results),
        *_figures(results, pictures, ("error_by_group", "slug_knows")),
        *_what_was_run(results, paper),
        *_claims(results, pictures),
        *_beyond(results),
        *_figures(results, pictures, FIGURES),
        *_content(results),
        *whose_labels(results.tables(), masks=_MASKS & set(results.training.variables)),
        *_figures(results, pictures, ("whose_labels",)),
        *confounding(results.tables()),
        *_figures(results, pictures, ("gaps_within_labels",)),
        *other_ways(results.tables()),
        *_limits(results, configfile),
    ]
    with whole_file(folder / PAGE) as partial:
        partial.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return folder / PAGE


def _head(results: Results) -> list[str]:
    lines = [
        f"# Findings of the experiment {_name(results)}",
        "",
        f"Made from the tables of the run by `snakemake findings`; no number is typed. Code: commit "
        f"{results.training.attrs.get('commit') or 'unknown'}, on "
        f"{results.training.attrs.get('device') or 'a device not named'}.",
        "",
    ]
    if int(results.training.attrs.get("synthetic", 0)):
        lines += ["**The photographs are synthetic: nothing here is about people.**", ""]
    return lines


def _name(results: Results) -> str:
    return str(results.training.attrs.get("experiment", results.folder.name))


def _short(results: Results) -> list[str]:
    """Both questions answered, then the tally of verdicts and what does not hold."""
    lines = ["## In short", ""]
    for answer in answers(results.training, results.tables()):
        lines += [f"**{answer.question}** {answer.lead}", "", *(f"- {sentence}" for sentence in answer.sentences), ""]
    rows = results.claims[results.claims["verdict"] != UNASKED]
    counts = rows["verdict"].value_counts()
    lines += [
        f"Of {plural(len(rows), 'claim')} of the two papers that this run can be asked about, "
        + ", ".join(f"{count} {_verb(str(verdict), count)}" for verdict, count in counts.items())
        + f".{_adjusted(rows)}",
        "",
    ]
    refuted = rows[~rows["verdict"].isin(["holds", OPEN])]
    if len(refuted):
        lines += ["What contradicts the papers here, with the statistic that decides:", ""]
        lines += [
            f"- {row.statement} ({row.paper}, {row.where}) Here: {row.statistic}: {_estimate(row)}."
            for row in refuted.itertuples()
        ]
        lines += [""]
    said = against(results.tables(), {name: results.tables(name) for name in results})
    if said:
        lines += ["What speaks against SLUG here:", "", *(f"- {sentence}" for sentence in said), ""]
    return lines


def _adjusted(rows: pd.DataFrame) -> str:
    """The tally where every claim is adjusted for the number of them, in words."""
    if "adjusted" not in rows:
        return ""
    counts = rows["adjusted"].value_counts()
    tally = ", ".join(f"{count} {_verb(str(verdict), count)}" for verdict, count in counts.items())
    return f" Adjusted for how many are judged (Holm, within each paper): {tally}."


def _verb(verdict: str, count: int) -> str:
    if verdict == OPEN:
        return f"{'is' if count == 1 else 'are'} {verdict}"
    if count == 1:
        return verdict
    return {"holds": "hold", "does not hold": "do not hold"}.get(verdict, verdict)


def _what_was_run(results: Results, paper: Mapping[str, Any] | None) -> list[str]:
    training = results.training
    groups = groups_of(training)
    lines = [
        "## What was run",
        "",
        f"{plural(training.sizes['configuration'] * training.sizes['seed'], 'network')}: "
        f"{plural(training.sizes['seed'], 'seed')} of the "
        f"configuration{'' if training.sizes['configuration'] == 1 else 's'} "
        + ", ".join(
            f"{name} ({', '.join(f'{percentage(share)} {group_label(g, groups)}' for g, share in mix.items())})"
            for name, mix in results.configuration["configurations"].items()
        )
        + ".",
        "",
        "| data set | role | images scored by any network |",
        "| --- | --- | --- |",
        *(f"| {name} | {results[name].attrs.get('role', '')} | {results[name].sizes['image']:,} |" for name in results),
        "",
    ]
    if paper is not None:
        lines += ["What differs from the SLUG paper's experiment:", "", "| key | paper | here |", "| --- | --- | --- |"]
        lines += [f"| `{key}` | {there} | {here} |" for key, there, here in differences(paper, results.configuration)]
        lines += [""]
    return lines


def _claims(results: Results, pictures: Path) -> list[str]:
    claims = results.claims
    versions = sorted({str(version) for version in claims.get("rules_version", pd.Series(dtype=str)).dropna()})
    path = results.folder / "registration.json"
    entries = read_registration(path) if path.is_file() else []
    where = "`claims.csv` of the run"
    if entries:
        copy = f"{_name(results)}-registration.json"
        shutil.copyfile(path, pictures / copy)
        where += f" and, as they were registered, in [{copy}](findings/{copy})"
    about = [f"Rules and smallest effects of interest are in {where}."]
    if versions:
        about.append(f"Version of the rules: {', '.join(versions)}.")
    about.append(standing_of_claims(claims))
    names = _names(results.training)
    if names:
        about.append(names)
    lines = ["## Every claim of the papers", "", " ".join(about)]
    lines += entries_in_words(entries, versions, results.training.attrs.get("configuration"))
    for paper, part in claims.groupby("paper", sort=False):
        judged = part[part["verdict"] != UNASKED]
        lines += [
            "",
            f"### {str(paper)[:1].upper()}{str(paper)[1:]}",
            "",
            "| claim | where | statistic, in the deciding case | n | verdict |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {row.statement} | {row.where} | {_cell(row.statistic)}: {_estimate(row)} | {_count(row)} | "
            f"**{row.verdict}** |"
            for row in judged.itertuples()
        ]
        others = part[part["verdict"] == UNASKED]
        if len(others):
            lines += ["", "Not to be asked of this run:", ""]
            lines += [f"- {row.statement} ({row.reason})" for row in others.itertuples()]
    return [*lines, ""]


def _names(training: xr.Dataset) -> str:
    """Whom and what the claims mean by light, dark, A, B and C, where the run calls them otherwise."""
    run, groups = Run({"": training}), groups_of(training)
    words = {"light": "light", "dark": "dark", "light_only": "A", "both": "B", "dark_only": "C"}
    meant = {}
    for key, word in words.items():
        try:
            name = getattr(run, key)
        except NotInRun:
            continue
        if name != word:
            meant[word] = group_label(name, groups) if name in groups else name
    pairs = [f"{word} is {name}" for word, name in meant.items()]
    return f"In the claims {listed(pairs)}." if pairs else ""


def _estimate(row: Any) -> str:
    if not np.isfinite(row.estimate):
        return "no estimate"
    about = f" ({row.about})" if isinstance(row.about, str) and row.about else ""
    interval = "" if row.low == row.high else f" [{number(row.low)}, {number(row.high)}]"
    return f"{number(row.estimate)}{interval}{about}"


def _count(row: Any) -> str:
    if not row.seeds:
        return "a count" if row.low == row.high else plural(int(row.distinct_images), "image")
    images = f"{int(row.images):,} images per seed" if row.images else ""
    return ", ".join(filter(None, [images, plural(int(row.seeds), "seed")]))


def _cell(text: object) -> str:
    """Text as a cell of a table, where a bar would end it."""
    return str(text).replace("|", "\\|")


def _beyond(results: Results) -> list[str]:
    """SLUG beside every other signal, under the same tests."""
    tables = results.tables()
    if "signals" not in tables:
        return []
    everything = tables["signals"]
    signals = everything[everything["among"] == "all"]
    lines = ["## What SLUG adds beyond cheaper signals", "", *_words_of_tests(signals, everything)]
    for configuration, part in signals.groupby("configuration", sort=False):
        tests = [test for test in _TESTS if (part["test"] == test).any()]
        lines += [
            f"Configuration {configuration}:",
            "",
            "| signal | forward passes an image | " + " | ".join(_TESTS[test] for test in tests) + " |",
            "| --- | --- |" + " --- |" * len(tests),
        ]
        for name in dict.fromkeys(part["signal"]):
            rows = part[part["signal"] == name].set_index("test")
            passes = number(float(rows["passes"].iloc[0]), 2)
            cells = " | ".join(_interval(rows, test) for test in tests)
            lines.append(f"| {signal_label(str(name))} | {passes} | {cells} |")
        lines += [""]
    return lines


def _words_of_tests(signals: pd.DataFrame, everything: pd.DataFrame) -> list[str]:
    """What the columns are, what was not counted, and SLUG on the images of the ensemble."""
    of_slug = signals[(signals["signal"] == "slug") & (signals["test"] == "spearman")]
    sentences = [
        f"{int(of_slug['images'].max()):,} images per seed, {plural(int(of_slug['seeds'].max()), 'seed')}, 95 % "
        "intervals. A tenth is a tenth of a seed's test images. Retention gain: 1 where images are removed as the "
        "error itself would remove them, 0 where at random. Held constant: partial rank correlations."
    ]
    if signals["passes"].isna().any():
        sentences.append(
            "A dash: nobody counted the passes; `score.rivals` of the configuration has SLUG's counted, beside SLUG of "
            "some of the weights alone."
        )
    lines = [" ".join(sentences), ""]
    there = everything[(everything["signal"] == "slug") & (everything["among"] == ENSEMBLE)]
    if len(there):
        same = [
            f"{configuration} {_interval(rows, 'spearman')} and {_interval(rows, 'retention_gain')}"
            for configuration, rows in (
                (c, part.set_index("test")) for c, part in there.groupby("configuration", sort=False)
            )
        ]
        lines += [
            f"The ensemble's rows are of fewer images, those that several seeds tested: up to "
            f"{int(there['images'].max()):,} a seed. On these images SLUG's rank correlation and retention gain are "
            f"{'; '.join(same)}. An image's variance is over the networks that tested it, so many as the table has "
            "passes on average; each is a training of its own.",
            "",
        ]
    return lines


def _interval(rows: pd.DataFrame, test: str) -> str:
    if test not in rows.index:
        return ""
    value, low, high = (float(rows[name].loc[test]) for name in ("value", "low", "high"))
    if test in _SHARES and np.isfinite(value):
        return f"{percentage(value)} [{percentage(low, False)}, {percentage(high)}]"
    return bracketed(value, low, high)


def _content(results: Results) -> list[str]:
    """Where the maps find what is not skin: drawn, and outlined by people."""
    lines: list[str] = []
    for name in results:
        tables = results.tables(name)
        scores = tables["drawn_artefacts"] if "drawn_artefacts" in tables else pd.DataFrame()
        if not len(scores):
            continue
        scores = scores[scores["measure"] == "auroc"]
        maps = [key for key in MAPS if (scores["map"] == key).any()]
        for kind, part in scores.groupby("artefact", sort=False):
            what = f"{name}: content that is not skin, outlined by people" if kind == MASKED else f"{name}: {kind}"
            lines += [
                f"{what[:1].upper()}{what[1:]}.",
                "",
                "| configuration | images per seed | " + " | ".join(MAPS[key] for key in maps) + " |",
                "| --- | --- |" + " --- |" * len(maps),
            ]
            for configuration, rows in part.groupby("configuration", sort=False):
                cells = [_interval(rows.assign(test=rows["map"]).set_index("test"), key) for key in maps]
                lines.append(f"| {configuration} | {int(rows['images'].max())} | " + " | ".join(cells) + " |")
            lines += [""]
    if not lines:
        return []
    head = [
        "## Where maps find what is not skin",
        "",
        "Mean area under the ROC curve of pixels of the artefact against the rest of the image, with 95 % intervals; "
        "0.5 knows nothing.",
        "",
    ]
    return head + lines


def _figures(results: Results, pictures: Path, names: Sequence[str]) -> list[str]:
    """Copies of the training data set's figures, and lines that show them."""
    source = Path(ResultPaths(results.folder).figures(str(results.training.attrs.get("dataset", ""))))
    lines = []
    for name in names:
        if (source / f"{name}.svg").is_file():
            shutil.copyfile(source / f"{name}.svg", pictures / f"{name}.svg")
            lines += [f"![{name.replace('_', ' ')}](findings/{name}.svg)", ""]
    return lines


def _limits(results: Results, configfile: str) -> list[str]:
    training = results.training
    sentences = unsaid(training, results.tables())
    always = limits(scale_of(training), synthetic=bool(int(training.attrs.get("synthetic", 0))))
    file = configfile or f"config/{_name(results)}.yaml"
    return [
        "## What this run cannot say",
        "",
        *(f"- {sentence}" for sentence in (*sentences, *always)),
        "",
        "## Do it again",
        "",
        "With the photographs where the configuration looks for them; the first line registers what is planned, and "
        "the last writes this page.",
        "",
        "```",
        f".venv/bin/snakemake register --cores 1 --configfile {file}",
        f".venv/bin/snakemake --cores 8 --configfile {file}",
        f".venv/bin/snakemake findings --cores 1 --configfile {file}",
        "```",
    ]
