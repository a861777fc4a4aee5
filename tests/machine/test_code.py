"""Imports followed through the source, and fingerprints of what code computes."""

import shutil
from pathlib import Path

import pytest

from sluguq.machine import code


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small library in place of this one."""
    folder = tmp_path / "sluguq"
    for name, text in {
        "__init__.py": "",
        "numbers/__init__.py": "from . import addition\n",
        "numbers/addition.py": "import numpy as np\n\n\ndef add(a, b):\n    return np.add(a, b)\n",
        "pages/__init__.py": "",
        "pages/page.py": "from sluguq.numbers.addition import add\n",
        "pages/page.html.j2": "<p></p>",
        "pages/unused.py": "import torch\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(code, "LIBRARY", folder)
    code._content.cache_clear()
    code._statements.cache_clear()
    return folder


def script(folder: Path, text: str) -> Path:
    file = folder.parent / "script.py"
    file.write_text(text)
    code._content.cache_clear()
    code._statements.cache_clear()
    return file


def names(files, library):
    return {file.relative_to(library).as_posix() for file in files}


def test_imports_are_followed_with_packages_and_templates(library):
    file = script(library, "def run():\n    from sluguq.pages.page import add\n")
    assert names(code.library_files(file), library) == {
        "__init__.py", "pages/__init__.py", "pages/page.py", "pages/page.html.j2", "numbers/__init__.py",
        "numbers/addition.py",
    }  # fmt: skip
    assert code.packages_needed(file) == {"numpy": library / "numbers" / "addition.py"}


def test_relative_imports_are_followed(library):
    assert names(code.library_files(library / "numbers" / "__init__.py"), library) == {
        "__init__.py", "numbers/__init__.py", "numbers/addition.py",
    }  # fmt: skip


def test_what_only_type_checkers_read_is_not_needed(library):
    text = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sluguq.pages.unused\nelse:\n    import json\n"
    )
    assert set(code.packages_needed(script(library, text))) == {"typing", "json"}


def test_what_may_fail_to_be_imported_is_not_needed(library):
    text = "try:\n    import torch\nexcept ImportError:\n    import math\n"
    assert set(code.packages_needed(script(library, text))) == {"math"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# What it does.\ndef f(x):\n    return x + 1\n", True),
        ('"""What it does."""\n\n\ndef f(x):\n    """One more."""\n    return (x + 1)\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x, y=0):\n    return x + 1\n", False),
        ("import sluguq.pages.page\n\n\ndef f(x):\n    return x + 1\n", False),
    ],
)
def test_only_what_computes_changes_the_fingerprint(library, text, same):
    before = code.fingerprint_of_code(script(library, "def f(x):\n    return x + 1\n"))
    assert (code.fingerprint_of_code(script(library, text)) == before) == same


def test_a_template_counts_to_the_byte_and_what_is_without_effect_does_not(library):
    file = script(library, "import sluguq.pages.page\n")
    before = code.fingerprint_of_code(file), code.fingerprint_of_code(file, without=["pages"])
    (library / "pages" / "page.html.j2").write_text("<p> </p>")
    file = script(library, file.read_text())
    assert code.fingerprint_of_code(file) != before[0]
    assert code.fingerprint_of_code(file, without=["pages"]) == before[1]


def test_a_moved_library_has_the_same_fingerprint(library, monkeypatch):
    file = script(library, "import sluguq.pages.page\n")
    before = code.fingerprint_of_code(file)
    shutil.move(library.parent, library.parent.with_name("elsewhere"))
    moved = library.parent.with_name("elsewhere")
    monkeypatch.setattr(code, "LIBRARY", moved / "sluguq")
    assert code.fingerprint_of_code(moved / "script.py") == before
