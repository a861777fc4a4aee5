"""Which code and which packages a result comes from."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

VERSIONED_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "xarray", "zarr", "pillow", "scipy")


def provenance(title: str, source: str, configuration: str, device: str) -> dict[str, Any]:
    """Global attributes of every store: what it is, from what, by which code.

    There is no time stamp, so that the same configuration gives the same bytes.

    :param title: what it is.
    :param source: what made it.
    :param configuration: what it depends on, as YAML.
    :param device: that computed it, in words.
    """
    return {
        "title": title,
        "source": source,
        "configuration": configuration,
        "device": device,
        "versions": " ".join(f"{name}={version}" for name, version in package_versions().items()),
        "commit": commit(),
    }


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in VERSIONED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def commit() -> str:
    """Git commit of the code, with `-dirty` where tracked files were changed; `unknown` where git does not track it.

    A library that pip installed inside the repository of something else is not of that repository.
    """
    file = Path(__file__)
    try:
        _git(file, "ls-files", "--error-unmatch", file.name)
        return _git(file, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(file: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=file.parent, capture_output=True, text=True, check=True
    ).stdout.strip()
