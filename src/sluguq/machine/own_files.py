"""Python files of the user's own, run as modules: extensions, adapters of data sets, networks."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


def is_python_file(path: Path) -> bool:
    """Whether there is a file of this name that ends in ``.py``.

    :param path: of the file.
    """
    return path.suffix == ".py" and path.is_file()


def run_file(path: Path, purpose: str, *, neighbours: bool = False) -> ModuleType:
    """Run a Python file as a module of a name that no other file has, also where two files are called alike.

    :param path: the file.
    :param purpose: what it is run for, a word of the module's name.
    :param neighbours: whether it may import the files beside it.
    :returns: the module. One that fails is forgotten, and what it raises is raised.
    :raises FileNotFoundError: where there is no such file, or its name does not end in ``.py``.
    """
    path = path.resolve()
    name = f"sluguq_{purpose}_{path.stem}_{zlib.crc32(str(path).encode(errors='surrogateescape')):08x}"
    specification = importlib.util.spec_from_file_location(name, path) if is_python_file(path) else None
    if specification is None or specification.loader is None:
        raise FileNotFoundError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with _importable(path.parent) if neighbours else contextlib.nullcontext():
            specification.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
