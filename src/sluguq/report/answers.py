"""The two questions answered in sentences, with this run's numbers and its own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import Groups, groups_of, mixes_of
from sluguq.analysis.tables import SIGNALS
from sluguq.claims.rules import SMALLEST_CORRELATION, STRONG
from sluguq.figures.words import bracketed, group_label, listed, percentage, plural, significant

CHEAP = ("latent_std", "kl", "total_variation", "compressed_size")
"""Signals that cost a forward pass or less."""

FEW_SEEDS = 5
"""With fewer trainings than this, intervals over them are wide."""


class Answer(NamedTuple):
    """A question, its answer in one sentence, the same for every configuration, and the figure that shows it."""

    key: str
    question: str
    lead: str
    sentences: tuple[str, ...]
    figure: str


def answers(dataset: xr.Dataset, tables: Mapping[str, pd.DataFrame]) -> list[Answer]:
    """What this run says to both questions.

    :param dataset: the aggregated store of the data set that was trained on; only what it says of itself is read.
    :param tables: its tables ``gaps`` and ``signals``; a question whose table is missing or empty is left out.
    """
    out = []
    if len(tables.get("gaps", ())):
        out.append(_who(dataset, tables["gaps"]))
    if len(tables.get("signals", ())):
        out.append(_knows(dataset, tables["signals"]))
    return out


def unsaid(dataset: xr.Dataset, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What this run cannot say, and why.

    :param dataset: the aggregated store of the data set that was trained on.
    :param tables: ``gaps`` and ``signals`` of that store.
    """
    sentences = []
    if int(dataset.attrs.get("synthetic", 0)):
        sentences.append("Anything about people: the images were made by a program.")
    ratios = _ratios(tables["gaps"]) if len(tables.get("gaps", ())) else pd.DataFrame()
    rows = ratios.to_dict("records")
    uncertain = [row for row in rows if row["low"] <= 1 <= row["high"]]
    unknown = [row for row in rows if not _known(row)]
    for cases, reason in (
        (uncertain, "the interval of the ratio contains 1. More seeds or test images would narrow it."),
        (unknown, "the ratio is not known in this run."),
    ):
        if cases:
            where = listed([f"{row['group']} under {row['configuration']}" for row in cases])
            sentences.append(f"Whether the error differs from that of {cases[0]['reference']}, for {where}: {reason}")
    seeds = dataset.sizes["seed"]
    if seeds < FEW_SEEDS:
        sentences.append(
            f"How much other trainings would differ, except roughly: {plural(seeds, 'seed')} "
            f"{'is' if seeds == 1 else 'are'} few"
            + ("; intervals are over images alone." if seeds == 1 else ", so intervals are wide.")
        )
    sentences.append("Why the model fails a group: how its photographs were taken and chosen counts as much as skin.")
    return sentences


def _ratios(gaps: pd.DataFrame) -> pd.DataFrame:
    """Ratios of mean errors to the lightest group's, by configuration and group."""
    ratios = gaps[(gaps["variable"] == "mse") & (gaps["measure"] == "log_ratio")].copy()
    ratios[["value", "low", "high"]] = np.exp(ratios[["value", "low", "high"]].astype(float))
    return ratios


def _known(row: Mapping[Any, Any]) -> bool:
    return bool(np.isfinite([row[name] for name in ("value", "low", "high")]).all())


def _who(dataset: xr.Dataset, gaps: pd.DataFrame) -> Answer:
    groups, mixes = groups_of(dataset), mixes_of(dataset)
    ratios = _ratios(gaps).to_dict("records")
    sentences = []
    for row in ratios:
        whom, reference = (_label(row[name], groups) for name in ("group", "reference"))
        factor = f"{significant(row['value'])} times [{significant(row['low'])}, {significant(row['high'])}]"
        if not _known(row):
            verdict = f"how the error of {whom} compares with that of {reference} is not known"
        elif row["low"] > 1:
            verdict = f"the error of {whom} is {factor} that of {reference}"
        elif row["high"] < 1:
            verdict = f"the error of {whom} is smaller than that of {reference}, {factor}"
        else:
            verdict = f"a difference between {whom} and {reference} is not certain: {factor}"
        sentences.append(f"{_trained(row['configuration'], mixes)}, {verdict}.")
    certain = [row for row in ratios if row["low"] > 1 or row["high"] < 1]
    if certain:
        most = max(certain, key=lambda row: abs(np.log(row["value"])))
        worse, better = (most["group"], most["reference"])[:: 1 if most["value"] > 1 else -1]
        times = max(most["value"], 1 / most["value"])
        lead = (
            f"Most for {_label(worse, groups)}, where training had {_mix(most['configuration'], mixes)}: "
            f"{significant(times)} times the error of {better}."
        )
    else:
        lead = "No difference between groups is certain at the size of this run."
    return Answer("fails", "For whom does it fail?", lead, tuple(sentences), "error_by_group")


def _knows(dataset: xr.Dataset, signals: pd.DataFrame) -> Answer:
    table = signals[signals["among"] == "all"]
    configurations = list(dict.fromkeys(table["configuration"]))
    sentences: list[str] = []
    ranks: dict[str, tuple[float, float]] = {}
    for configuration in configurations:
        records = table[table["configuration"] == configuration].to_dict("records")
        here = {(row["signal"], row["test"]): row for row in records}
        rank = here["slug", "spearman"]
        ranks[configuration] = (rank["low"], rank["high"])
        sentence = f"Under {configuration}, SLUG's rank correlation with the error is {_rank(rank)}"
        best = _best_cheap(here, "spearman")
        if best:
            sentence += f", that of the best cheap signal, {SIGNALS[best]}, {_rank(here[best, 'spearman'])}"
        if ("slug", "caught") in here and np.isfinite(here["slug", "caught"]["value"]):
            sentence += (
                f"; the tenth of images with the highest SLUG holds {_share(here['slug', 'caught'])} of the worst "
                "tenth of errors"
            )
            best = _best_cheap(here, "caught")
            if best:
                sentence += f", the tenth with the highest {SIGNALS[best]} {_share(here[best, 'caught'])}"
        sentences.append(sentence + ".")
    return Answer("knows", "Does it know?", _verdict(ranks), tuple(sentences), "slug_knows")


def _best_cheap(here: Mapping[tuple[str, str], Mapping[Any, Any]], test: str) -> str:
    """The cheap signal with the highest value in a test; empty where none has any."""
    values = {name: float(here[name, test]["value"]) for name in CHEAP if (name, test) in here}
    values = {name: value for name, value in values.items() if np.isfinite(value)}
    return max(values, key=lambda name: values[name]) if values else ""


def _rank(row: Mapping[Any, Any]) -> str:
    return bracketed(row["value"], row["low"], row["high"])


def _share(row: Mapping[Any, Any]) -> str:
    return f"{percentage(row['value'])} [{percentage(row['low'], False)}, {percentage(row['high'])}]"


def _verdict(ranks: Mapping[str, tuple[float, float]]) -> str:
    """The answer by the intervals of the rank correlations."""
    if all(low > STRONG for low, _ in ranks.values()):
        return f"Yes: SLUG orders images much as their errors do. {_CHANCE}"
    names: dict[str, list[str]] = {}
    for name, interval in ranks.items():
        names.setdefault(_direction(*interval), []).append(name)
    if len(names) == 1:
        return _EVERYWHERE[next(iter(names))]
    clauses = [f"under {listed(names[way])} {words}" for way, words in _SOMEWHERE.items() if way in names]
    clauses += ["under the rest this run cannot tell"] if "unknown" in names else []
    sentence = "; ".join(clauses)
    return f"{sentence[0].upper()}{sentence[1:]}."


_CHANCE = "A tenth picked at random would hold a tenth of the worst errors."
_EVERYWHERE = {
    "rises": f"In part: SLUG rises with the error. {_CHANCE}",
    "falls": "No: SLUG falls as the error rises.",
    "hardly": f"No: SLUG hardly follows the error, with a rank correlation of less than {SMALLEST_CORRELATION:g}.",
    "unknown": "This run cannot tell whether SLUG rises with the error.",
}
_SOMEWHERE = {
    "rises": "SLUG rises with the error",
    "falls": "SLUG falls as the error rises",
    "hardly": f"SLUG hardly follows the error, with a rank correlation of less than {SMALLEST_CORRELATION:g}",
}


def _direction(low: float, high: float) -> str:
    """What the interval of a rank correlation says."""
    if low > -SMALLEST_CORRELATION and high < SMALLEST_CORRELATION:
        return "hardly"
    return "rises" if low > 0 else "falls" if high < 0 else "unknown"


def _trained(configuration: str, mixes: Mapping[str, Mapping[str, float]]) -> str:
    if configuration not in mixes:
        return f"Under {configuration}"
    return f"Trained on {_mix(configuration, mixes)} ({configuration})"


def _mix(configuration: str, mixes: Mapping[str, Mapping[str, float]]) -> str:
    """`light only`, or `50 % light and 50 % dark`."""
    mix = {group: share for group, share in mixes.get(configuration, {}).items() if share > 0}
    if not mix:
        return configuration
    if len(mix) == 1:
        return f"{next(iter(mix))} only"
    return listed([f"{percentage(share)} {group}" for group, share in mix.items()])


def _label(group: str, groups: Groups) -> str:
    return group_label(group, groups) if group in groups else group
