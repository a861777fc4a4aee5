"""How a run stands to its registration, in words: which entries there are, and what each changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from sluguq.report.differences import differences

_LISTED = 12  # keys of a change that are named


def standing_of_claims(claims: pd.DataFrame) -> str:
    """How the claims stand to the registration; claims whose rule is another are named.

    :param claims: the table of claims, with the columns ``registered`` and ``claim``.
    """
    sentences = []
    for standing, part in claims.groupby("registered", sort=False):
        whose = f"All {len(part)}" if len(part) == len(claims) else f"{len(part)} of {len(claims)}"
        names = f" (`{'`, `'.join(part['claim'])}`)" if len(part) < len(claims) / 2 else ""
        sentences.append(f"{whose} claims{names}: {standing}.")
    return " ".join(sentences)


def entries_in_words(entries: Sequence[Mapping[str, Any]], versions: Sequence[str], configuration: object) -> list[str]:
    """Lines of a page: a table of the entries, and which of them has the run's rules and configuration.

    :param entries: of the registration, the first one first.
    :param versions: of the rules that judged the run.
    :param configuration: the resolved configuration of the run, YAML.
    """
    if not entries:
        return []
    lines = ["| entry | registered | commit | what it changed |", "| --- | --- | --- | --- |"]
    for place, entry in enumerate(entries):
        changed = "the first" if not place else _changes(entries[place - 1], entry)
        lines.append(f"| {place + 1} | {entry['date'][:16].replace('T', ' ')} | `{entry['commit'][:7]}` | {changed} |")
    same = [
        place
        for place, entry in enumerate(entries, 1)
        if [entry["rules_version"]] == list(versions) and entry["configuration"] == configuration
    ]
    judged = (
        f"Entry {same[-1]} has the code of the rules and the configuration of this run."
        if same
        else "No entry has both the code of the rules and the configuration of this run."
    )
    return [
        "",
        f"Times are UTC. {judged} No entry is ever taken out. A registration shows that rules stood before these "
        "verdicts, not who had seen what of the run when an entry was made.",
        "",
        *lines,
    ]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between two entries, in words."""
    changes = []
    first, second = (yaml.safe_load(entry["configuration"]) or {} for entry in (before, after))
    keys = [f"`{key}` {there} → {here}" for key, there, here in differences(first, second, sections=tuple(second))]
    if keys:
        more = f" and {len(keys) - _LISTED} more keys" if len(keys) > _LISTED else ""
        changes.append(f"{', '.join(keys[:_LISTED])}{more}")
    elif before["configuration"] != after["configuration"]:
        changes.append("keys of the configuration that were not there before")
    rules = [key for key, claim in after["claims"].items() if before["claims"].get(key) not in (None, claim)]
    if rules:
        changes.append(f"what is written of `{'`, `'.join(rules)}`")
    added = [key for key in after["claims"] if key not in before["claims"]]
    if added:
        changes.append(f"added: `{'`, `'.join(added)}`")
    if before["rules_version"] != after["rules_version"]:
        changes.append("the code of the rules")
    return "; ".join(changes) or "nothing that was compared"
