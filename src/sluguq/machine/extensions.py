"""What users add from files of their own: figures, tables, claims, signals, kinds of artefacts, estimators.

An extension is a Python file named under the key ``extensions`` of the configuration. It calls the functions below at
its top level. It is run when the workflow is planned and again in every job, before the library's own lists are read,
so it imports what is heavy (NumPy, Matplotlib, JAX) inside its functions.

How each kind is added step by step: ``docs/extending``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from sluguq.machine.errors import SluguqError
from sluguq.machine.own_files import is_python_file, run_file

VARIABLE = "SLUGUQ_EXTENSIONS"
"""Environment variable through which jobs learn of the extension files."""

FIGURES: dict[str, dict[str, Any]] = {}
TABLES: dict[str, dict[str, Any]] = {}
CLAIMS: dict[str, dict[str, Any]] = {}
SIGNALS: dict[str, dict[str, Any]] = {}
ARTEFACTS: dict[str, Callable[..., Any]] = {}
ESTIMATORS: dict[str, Callable[[], Any]] = {}

_REGISTRIES: tuple[dict[str, Any], ...] = (FIGURES, TABLES, CLAIMS, SIGNALS, ARTEFACTS, ESTIMATORS)
_LOADED: dict[Path, set[str]] = {}
_loading: list[Path] = []


class ExtensionError(SluguqError, RuntimeError):
    """An extension file is not there, fails, or adds what there is already; the message names it."""


def add_figure(
    name: str,
    draw: Callable[..., Any],
    *,
    caption: str,
    of: str = "photographs",
    tables: Iterable[str] = (),
) -> None:
    """Add a figure.

    :param name: its name, and that of its files.
    :param draw: from the aggregated store (:class:`xarray.Dataset`) and the tables named below, in their order, to a
        Matplotlib figure and the table of the numbers in it (:class:`pandas.DataFrame`).
    :param caption: what it shows, in a sentence or two.
    :param of: of what it is drawn: every data set of ``photographs``, or ``artefacts``.
    :param tables: the tables that it is drawn from.
    """
    roles = _roles(of, "photographs", "artefacts")
    _note("figure", name, FIGURES)
    FIGURES[name] = {"function": draw, "caption": caption, "roles": roles, "tables": tuple(tables)}


def add_table(name: str, make: Callable[..., Any], *, caption: str, of: str = "photographs") -> None:
    """Add a table.

    :param name: its name, and that of its file.
    :param make: from the aggregated store and ``replicates=`` (of the bootstrap) to a :class:`pandas.DataFrame`.
    :param caption: what it says, in a sentence.
    :param of: of what it is made: every data set of ``photographs``, ``artefacts``, or ``models``.
    """
    roles = _roles(of, "photographs", "artefacts", "models")
    _note("table", name, TABLES)
    TABLES[name] = {"function": make, "caption": caption, "roles": roles}


def add_claim(key: str, parts: Callable[[Any], list[Any]], **words: str) -> None:
    """Add a claim that every run is asked about.

    :param key: its name in ``claims.csv``.
    :param parts: from a run (:class:`sluguq.claims.run.Run`) to parts (:class:`sluguq.claims.rules.Part`).
    :param words: the other fields of :class:`sluguq.claims.catalogue.Claim`: paper, where, statement, statistic, rule,
        and where there are any published, smallest.
    """
    _note("claim", key, CLAIMS)
    CLAIMS[key] = {"key": key, "parts": parts, "published": "", **words}


def add_signal(name: str, function: Callable[..., Any], *, long_name: str, source: str, units: str = "1") -> None:
    """Add a signal, which is then scored for every image and tested against the error as all others are.

    :param name: of the variable in stores.
    :param function: from a network (:class:`sluguq.networks.network.Network`) and its images, uint8
        (n, height, width, channels), to one number an image, (n,).
    :param long_name: what it is, in words.
    :param source: where it comes from.
    :param units: of the number.
    """
    _note("signal", name, SIGNALS)
    SIGNALS[name] = {"function": function, "long_name": long_name, "source": source, "units": units}


def add_artefact(name: str, paint: Callable[..., Any]) -> None:
    """Add a kind of artefact, which ``artefacts.kinds`` may then name.

    :param name: of the kind.
    :param paint: from a random generator and an image, uint8 (height, width, 3), to colours, float32
        (height, width, 3) from 0 to 255, and opacity, float32 (height, width) from 0 to 1.
    """
    _note("artefact", name, ARTEFACTS)
    ARTEFACTS[name] = paint


def add_estimator(name: str, make: Callable[[], Any]) -> None:
    """Add an estimator of SLUG, which ``eigenbasis.method`` may then name.

    :param name: of the estimator.
    :param make: gives the estimator, an object with the methods of :class:`sluguq.slug.estimators.Estimator`.
    """
    _note("estimator", name, ESTIMATORS)
    ESTIMATORS[name] = make


def load(files: Iterable[str | os.PathLike[str]]) -> None:
    """Run extension files, each once a process, and let the jobs that this process starts find them.

    :param files: Python sources.
    :raises ExtensionError: where a file is not there or fails.
    """
    paths = [Path(file).resolve() for file in files]
    for path in paths:
        if path not in _LOADED:
            _run(path)
    if _LOADED:
        os.environ[VARIABLE] = json.dumps(list(map(str, _LOADED)))


def load_announced() -> None:
    """Run the extension files that the process which started this one named."""
    load(json.loads(os.environ.get(VARIABLE) or "[]"))


def refuse_twice(kind: str, names: Collection[str], added: Iterable[str]) -> None:
    """Refuse an addition that the library has already, under a name that is its own.

    :param kind: of the additions, in words.
    :param names: that the library has.
    :param added: what extensions add, by name.
    :raises ExtensionError: naming it.
    """
    for name in added:
        if name in names:
            raise ExtensionError(f"extensions: the {kind} {name!r} is one of the library's: give yours another name")


def files_adding(*kinds: str) -> list[Path]:
    """The loaded files that add something of these kinds (figure, table, claim, signal, artefact, estimator)."""
    return [path for path, added in _LOADED.items() if added & set(kinds)]


def _run(path: Path) -> None:
    if not is_python_file(path):
        raise ExtensionError(f"extensions: there is no Python file {path}")
    before = [dict(registry) for registry in _REGISTRIES]
    _LOADED[path] = set()
    _loading.append(path)
    try:
        run_file(path, "extension")
    except BaseException as error:
        # What a file added before it failed is taken back: half of it would be in force.
        for registry, entries in zip(_REGISTRIES, before, strict=True):
            registry.clear()
            registry.update(entries)
        del _LOADED[path]
        if isinstance(error, ExtensionError | KeyboardInterrupt):
            raise
        raise ExtensionError(f"extensions: {path} fails: {type(error).__name__}: {error}") from error
    finally:
        _loading.pop()


def _roles(of: str, *choices: str) -> tuple[str, ...]:
    """Roles of the stores meant."""
    if of not in choices:
        raise ExtensionError(f"{_place()}: of={of!r} must be one of {', '.join(choices)}")
    return ("training", "external") if of == "photographs" else (of,)


def _note(kind: str, name: str, there: dict[str, Any]) -> None:
    """Remember what the file that is being run adds; refuse a name twice."""
    if name in there:
        raise ExtensionError(f"{_place()} adds the {kind} {name!r}, which there is already")
    if _loading:
        _LOADED[_loading[-1]].add(kind)


def _place() -> str:
    return f"extensions: {_loading[-1]}" if _loading else "this call"
