"""What acquiring a data set reads from this machine: whether it is there, and whether it has changed.

Looked at while an experiment is planned, so that a corrected table, a converted picture or a new file is taken up by
the next plain run, and a mistyped path is refused before anything is touched.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluguq.config.loading import ConfigurationError
from sluguq.config.sources import Source

WITHOUT_EFFECT = frozenset({"downloads", "accept_licence", "sample"})
"""Options of a source that decide how it is acquired, not what comes of it."""

_TABLES = frozenset({".csv", ".tsv", ".txt", ".json", ".xlsx", ".parquet"})
_READ = 2**26  # bytes: a table as large is known by its size and time alone


def fingerprint_of_sources(options: Source) -> str:
    """Twelve hexadecimal digits that change when something that a source reads from this machine does.

    Tables count by their content. Of folders the names, sizes and times of all files count, of archives size and time.

    :param options: of a data set.
    """
    digest = hashlib.sha256()
    for path in local_paths(options).values():
        for line in _listing(path):
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:12]


def local_paths(options: Source) -> dict[str, Path]:
    """The files and folders that a source names, by key; a relative table may lie in the source's folder.

    :param options: of a data set.
    """
    folder = getattr(options, "folder", None)
    paths: dict[str, Path] = {}
    for key in type(options).model_fields:
        value = getattr(options, key)
        if isinstance(value, Path):
            inside = folder.expanduser() / value if folder is not None and key != "folder" else value
            paths[key] = inside if inside.exists() else value.expanduser()
    return paths


def _listing(path: Path) -> Iterator[str]:
    """One line per file: its name, and what tells a changed one from an unchanged one."""
    if not path.is_dir():
        yield f"{path.name} {_state(path)}"
        return
    for parent, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            file = Path(parent, name)
            yield f"{file.relative_to(path)} {_state(file)}"


def _state(file: Path) -> str:
    try:
        state = file.stat()
        if file.suffix.lower() in _TABLES and state.st_size <= _READ and file.is_file():
            return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:  # a link that leads nowhere or in a circle, or what may not be read: acquiring it says so
        return "absent"
    return f"{state.st_size} {state.st_mtime_ns}"


def settled(options: Source) -> dict[str, Any]:
    """The options that decide what is acquired.

    :param options: of a data set.
    """
    return {key: value for key, value in options.model_dump(mode="json").items() if key not in WITHOUT_EFFECT}


def claim(record: Path, experiment: str, settings: dict[str, Any]) -> None:
    """Write down for which experiment, and with which settings, shared data were made.

    :param record: file to write.
    :param experiment: its name.
    :param settings: plain numbers, texts, lists and mappings.
    """
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"experiment": experiment, "settings": settings}, sort_keys=True), encoding="utf-8")


def check_claim(record: Path, what: str, experiment: str, settings: dict[str, Any]) -> None:
    """Refuse to overwrite shared data that another experiment had made with other settings.

    :param record: as :func:`claim` wrote it.
    :param what: the shared data, in words.
    :param experiment: the experiment that asks.
    :param settings: what it would have them made with.
    :raises ConfigurationError: with the keys that differ and what to do.
    """
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        other, theirs = str(content["experiment"]), dict(content["settings"])
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not ours
        return
    mine = json.loads(json.dumps(settings))
    if other == experiment or theirs == mine:
        return
    differing = sorted(key for key in {*theirs, *mine} if theirs.get(key) != mine.get(key))
    differences = "; ".join(f"{key}: {theirs.get(key)!r} there, {mine.get(key)!r} here" for key in differing)
    raise ConfigurationError(
        f"{what} was made for the experiment {other!r} with other settings ({differences}): call it by another name "
        f"under datasets, or delete {record.parent if record.name.startswith('.made') else record} to give it up"
    )
