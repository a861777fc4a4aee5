"""What an explorer page shows, read as its script reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PUT = re.compile(r'SluguqExplorer\.put\(("(?:[^"\\]|\\.)*"),(.*)\);')


def contents(text: str) -> dict[str, Any]:
    """Everything that a page, or a script beside it, hands to the explorer, by name."""
    found = (_PUT.search(line) for line in text.splitlines())
    return {json.loads(match.group(1)): json.loads(match.group(2)) for match in found if match}


def contents_of(folder: Path) -> dict[str, Any]:
    """Everything that the scripts of a folder hand to the explorer, by name."""
    return {name: value for path in sorted(folder.rglob("*.js")) for name, value in contents(path.read_text()).items()}
