"""The version of the rules that verdicts are judged by."""

from __future__ import annotations

from pathlib import Path

from sluguq.machine import extensions
from sluguq.machine.code import LIBRARY, fingerprint_of_code

NUMBER = 3
"""Raised where a claim, a threshold or a smallest effect of interest changes on purpose."""

_WITHOUT = ("__init__.py", "machine", "config", "datasets", "images", "stores")


def rules_version() -> str:
    """``3-`` and twelve digits of the rules' code, with that of the statistics they rest on.

    The digits change with everything that can change a verdict, so that a verdict and a registration that bear the same
    version were made by the same rules. Files of extensions that add claims count.
    """
    return f"{NUMBER}-{fingerprint_of_code(*_rooms(), without=_WITHOUT)}"


def _rooms() -> list[Path]:
    return [*sorted((LIBRARY / "claims").glob("*.py")), *extensions.files_adding("claim")]
