"""Which files of the library a script depends on, and whether an edit of them can change what it computes.

Imports are followed through the source, so nothing is run and no package needs to be there.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "sluguq"
LIBRARY = Path(__file__).resolve().parents[1]


def imported_names(file: Path) -> set[str]:
    """Full names in the import statements of a file, also of those inside functions; relative names resolved.

    Left out is what only type checkers read (under ``if TYPE_CHECKING``). For ``from a import b`` both ``a`` and
    ``a.b`` are given, as ``b`` may be a module.

    :param file: Python source.
    """
    names: set[str] = set()
    for node in _statements(file):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            base = _absolute(node, file)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def library_files(*roots: Path) -> set[Path]:
    """Files of the library that these files import, also through others, with the templates and tables they read.

    A module in a package depends on the package's ``__init__.py`` too. A template or table is taken to be read by the
    module beside it that has its name (``page.py``, ``page.html.j2``).

    :param roots: scripts, or modules of the library.
    """
    files: set[Path] = set()
    pending = list(roots)
    while pending:
        for name in imported_names(pending.pop()):
            for module in _modules(name):
                if module not in files:
                    files.update(path for path in module.parent.glob(f"{module.stem}.*") if path.is_file())
                    pending.append(module)
    return files


def packages_needed(*roots: Path) -> dict[str, Path]:
    """Top-level modules from outside the library that these files need, each with a file that imports it.

    :param roots: scripts, or modules of the library.
    """
    packages: dict[str, Path] = {}
    for file in [*roots, *sorted(path for path in library_files(*roots) if path.suffix == ".py")]:
        for name in imported_names(file):
            packages.setdefault(name.split(".")[0], file)
    packages.pop(PACKAGE, None)
    return packages


def fingerprint_of_code(*roots: Path, without: Collection[str] = ()) -> str:
    """Twelve hexadecimal digits that change when what these files compute can have changed, and only then.

    Of Python the syntax tree counts, without docstrings: comments, layout and documentation change nothing. Of
    other files (templates, tables) every byte counts.

    :param roots: scripts, or modules of the library; they and all that they import count.
    :param without: folders of the library, or files in it, that change no result, such as ``machine`` (logs, devices).
    """
    digest = hashlib.sha256()
    exempt = [LIBRARY / name for name in without]
    for file in sorted({*roots, *library_files(*roots)}):
        if not any(file.is_relative_to(path) for path in exempt):
            name = file.relative_to(LIBRARY).as_posix() if file.is_relative_to(LIBRARY) else file.name
            digest.update(f"{name}\0{_content(file)}\0".encode())
    return digest.hexdigest()[:12]


@cache
def _content(file: Path) -> str:
    if file.suffix != ".py":
        return hashlib.sha256(file.read_bytes()).hexdigest()
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A string that stands alone is documentation, of a module, a function, a class or the name before it.
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _statements(file: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(_walk(ast.parse(file.read_bytes())))


def _walk(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children: Iterable[ast.AST] = node.orelse
    elif isinstance(node, ast.Try) and any("ImportError" in ast.unparse(h.type) for h in node.handlers if h.type):
        # What may fail to be imported is not needed.
        children = [*node.orelse, *node.finalbody, *(part for handler in node.handlers for part in handler.body)]
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _walk(child)


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    if not node.level:
        return node.module or ""
    package = [PACKAGE, *file.relative_to(LIBRARY).parent.parts]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _modules(name: str) -> list[Path]:
    """The files of the library that importing a name runs."""
    top, *inside = name.split(".")
    if top != PACKAGE:
        return []
    folders = [LIBRARY.joinpath(*inside[:depth]) for depth in range(len(inside) + 1)]
    candidates = [*(folder / "__init__.py" for folder in folders), folders[-1].with_suffix(".py")]
    return [path for path in candidates if path.is_file()]
