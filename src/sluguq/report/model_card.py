"""A model card for each trained configuration (Mitchell et al., Model cards for model reporting, 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from sluguq.analysis.aggregated import Groups, Scale, groups_of, mixes_of
from sluguq.figures.words import group_label, number, plural
from sluguq.report.limits import limits

_LEVELS = {"mean": "mean", "q50": "median", "q90": "90th percentile", "q99": "99th percentile"}


_SECTIONS = {"model": "Network", "training": "Training", "eigenbasis": "Eigenbasis", "score": "Score"}


def model_card(
    dataset: xr.Dataset,
    configuration: str,
    tables: Mapping[str, pd.DataFrame],
    external: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """The card of one configuration's models as markdown.

    Says what was trained on what, how well each group is reconstructed, and each skin type of other data sets (with
    95 % intervals over seeds and patients), whom SLUG flags, what the models are for and what they are not for.

    :param dataset: the aggregated store of the training data set.
    :param configuration: name of the configuration.
    :param tables: the tables ``levels`` and ``flagging`` of that store.
    :param external: the table ``skin_types`` of external data sets, by name.
    :raises ValueError: the store has no such configuration.
    """
    names = [str(c) for c in dataset["configuration"].values]
    if configuration not in names:
        raise ValueError(f"the store has no configuration {configuration!r}; it has {', '.join(names)}")
    levels, flagging = (_of(tables[name], configuration) for name in ("levels", "flagging"))
    resolved = yaml.safe_load(dataset.attrs.get("configuration") or "{}") or {}
    groups = groups_of(dataset)
    mix = mixes_of(dataset).get(configuration, {})
    mixture = ", ".join(f"{100 * s:.0f} % {group_label(g, groups)}" for g, s in mix.items() if g in groups)
    synthetic = bool(int(dataset.attrs.get("synthetic", 0)))
    lines = [
        f"# Model card: configuration {configuration} of {dataset.attrs.get('experiment', 'an experiment')}",
        "",
        "**Synthetic images: these models know nothing about people.**\n" if synthetic else "",
        "## Models",
        "",
        f"- {plural(dataset.sizes['seed'], 'variational autoencoder')} (one per seed), each with its own training "
        "images, test images and initial weights.",
        *_settings(resolved),
        f"- Made by commit {dataset.attrs.get('commit', 'unknown')} on {dataset.attrs.get('device') or 'no device'}.",
        "",
        "## Trained on",
        "",
        f"- Data set {dataset.attrs.get('dataset', '')}: {mixture or 'mix not recorded'}.",
        *_training_size(resolved),
        "",
        "## How well each group is reconstructed",
        "",
        _table(levels, groups, "mse"),
        "",
        "## How uncertain it says it is (SLUG)",
        "",
        _table(levels, groups, "slug"),
        "",
        "## Whom it flags",
        "",
        _flags(flagging, groups),
        "",
        *_elsewhere(external or {}, configuration, groups.scale),
        "## For what",
        "",
        "- For research on fairness and uncertainty of generative models.",
        "- Not for diagnosis, triage, or any decision about a person; not for making images that pass as patients'.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in limits(groups.scale, synthetic=bool(int(dataset.attrs.get("synthetic", 0))))),
        "",
    ]
    return "\n".join(lines)


def _settings(resolved: Mapping[str, Any]) -> list[str]:
    lines = []
    for section, words in _SECTIONS.items():
        values = resolved.get(section)
        if isinstance(values, dict):
            plain = {k: v for k, v in values.items() if not isinstance(v, dict | list) and v is not None}
            lines.append(f"- {words}: " + ", ".join(f"{k} {v}" for k, v in plain.items()) + ".")
    return lines


def _training_size(resolved: Mapping[str, Any]) -> list[str]:
    split = resolved.get("split")
    if not isinstance(split, dict) or "train_images" not in split:
        return []
    how = "with" if split.get("replacement") else "without"
    return [f"- {split['train_images']:,} training images per model, drawn {how} replacement."]


def _table(table: pd.DataFrame, groups: Groups, variable: str) -> str:
    """Mean and quantiles by group, markdown."""
    if table.empty or not (table["variable"] == variable).any():
        return "Not scored."
    levels = table[table["variable"] == variable]
    lines = ["| group | " + " | ".join(_LEVELS.values()) + " | n |", "| --- |" + " --- |" * (len(_LEVELS) + 1)]
    for group in dict.fromkeys(levels["group"]):
        rows = levels[levels["group"] == group].set_index("measure")
        cells = [_cell(rows.loc[measure]) for measure in _LEVELS]
        count = f"{int(rows['images'].iloc[0])} images per seed, {int(rows['seeds'].iloc[0])} seeds"
        lines.append(f"| {group_label(group, groups)} | " + " | ".join(cells) + f" | {count} |")
    return "\n".join(lines)


def _of(table: pd.DataFrame, configuration: str) -> pd.DataFrame:
    return table[table["configuration"].astype(str) == configuration]


def _elsewhere(external: Mapping[str, pd.DataFrame], configuration: str, scale: Scale) -> list[str]:
    """Mean error and SLUG by skin type of data sets that were not trained on, markdown."""
    lines: list[str] = []
    for name, table in external.items():
        means = _of(table, configuration)
        if means.empty:
            continue
        lines += [f"### {name}", "", "| skin type | mean MSE | mean SLUG | n |", "| --- | --- | --- | --- |"]
        for skin_type in dict.fromkeys(means["fst"]):
            rows = means[means["fst"] == skin_type].set_index("variable")
            cells = [_cell(rows.loc[v]) if v in rows.index else "not scored" for v in ("mse", "slug")]
            count = f"{int(rows['images'].max())} images per seed, {plural(int(rows['seeds'].max()), 'seed')}"
            words = f"{scale.name} {skin_type}" if skin_type >= 1 else "not known"
            lines.append(f"| {words} | " + " | ".join(cells) + f" | {count} |")
        lines.append("")
    return ["## On data sets that it was not trained on", "", *lines] if lines else []


def _cell(row: pd.Series) -> str:
    return f"{number(row['value'])} [{number(row['low'])}, {number(row['high'])}]"


def _flags(table: pd.DataFrame, groups: Groups) -> str:
    if table.empty:
        return "Not scored."
    lines = ["When the tenth of test images with the highest SLUG is flagged:", ""]
    for group in dict.fromkeys(table["group"]):
        rows = table[table["group"] == group].set_index("measure")["value"]
        text = f"- {group_label(group, groups)}: {100 * rows['flagged']:.0f} % of its images are flagged"
        if np.isfinite(rows["caught"]):
            text += f", and with them {100 * rows['caught']:.0f} % of its worst errors"
        lines.append(text + ".")
    return "\n".join(lines)
