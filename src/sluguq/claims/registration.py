"""What was planned, and by which rules it would be judged, written down before the run.

A registration is a list that only grows: the first entry is what was registered, later ones are amendments. Nothing in
it is ever replaced, so rules that changed after a run show.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sluguq.claims.catalogue import CLAIMS, Claim, added_claims
from sluguq.claims.version import rules_version
from sluguq.machine.errors import SluguqError
from sluguq.stores.files import whole_file

UNREGISTERED = "not registered"
_WRITTEN = ("statement", "statistic", "rule", "smallest")
"""What of a claim is registered."""


class RegistrationError(SluguqError, ValueError):
    """A registration that is none, or was edited by hand; the message names the file."""


def entry(configuration: str, planned: Mapping[str, Any], date: str, commit: str) -> dict[str, Any]:
    """One registration.

    :param configuration: the resolved configuration, YAML.
    :param planned: sizes as planned: seeds, test and training images and the like.
    :param date: when, ISO 8601.
    :param commit: git commit of the code.
    """
    content = {
        "date": date,
        "commit": commit,
        "rules_version": rules_version(),
        "planned": dict(planned),
        "configuration_sha256": _sha256(configuration),
        "configuration": configuration,
        "claims": {claim.key: _written(claim) for claim in (*CLAIMS, *added_claims())},
    }
    return {**content, "sha256": _sha256(json.dumps(content, sort_keys=True))}


def register(path: str | os.PathLike[str], new: Mapping[str, Any]) -> bool:
    """Append an entry to the registration at a path, unless rules and configuration are those of the last one.

    :returns: whether it was appended.
    :raises RegistrationError: the file is no registration.
    """
    entries = list(read_registration(path)) if Path(path).exists() else []
    same = ("rules_version", "configuration_sha256", "claims")
    if entries and all(entries[-1][key] == new[key] for key in same):
        return False
    with whole_file(path) as partial:
        partial.write_text(json.dumps([*entries, dict(new)], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return True


def read_registration(path: str | os.PathLike[str]) -> Sequence[dict[str, Any]]:
    """The entries of a registration, the first one first.

    :raises RegistrationError: the file is no registration, or an entry does not bear its own hash.
    """
    try:
        entries: list[dict[str, Any]] = list(json.loads(Path(path).read_text("utf-8")))
        for one in entries:
            content = {key: value for key, value in one.items() if key != "sha256"}
            if one["sha256"] != _sha256(json.dumps(content, sort_keys=True)):
                raise RegistrationError(f"{path}: the entry of {one['date']} was edited after it was written")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, RegistrationError):
            raise
        raise RegistrationError(f"{path} is no registration: {error}") from error
    return entries


def standing(claim: Claim, entries: Sequence[Mapping[str, Any]], configuration: str) -> str:
    """How a claim, as it is judged now, stands to the registration, in words.

    :param entries: from `read_registration`; none where nothing was registered.
    :param configuration: the resolved configuration of the run.
    """
    if not entries:
        return UNREGISTERED
    first = entries[0]
    day = first["date"][:10]
    written = first["claims"].get(claim.key)
    if written is None:
        return f"added since the registration of {day}"
    if written != _written(claim):
        return f"rule changed since the registration of {day}"
    changed = [
        words
        for words, key, value in (
            ("the code of the rules", "rules_version", rules_version()),
            ("the configuration", "configuration_sha256", _sha256(configuration)),
        )
        if first[key] != value
    ]
    since = f"; changed since: {' and '.join(changed)}" if changed else ""
    return f"registered {day}{since}"


def _written(claim: Claim) -> dict[str, str]:
    return {name: getattr(claim, name) for name in _WRITTEN}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
