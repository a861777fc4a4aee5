"""Pin the packages of workflow/envs/*.yaml to requirements.lock; `make lock` runs it."""

import re
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def locked(python: str) -> dict[str, str]:
    """Versions that the lock file installs under a version of Python."""
    context = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    requirements = [Requirement(line.removesuffix("\\")) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    return {
        canonicalize_name(requirement.name): next(iter(requirement.specifier)).version
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(context)
    }


def pinned(text: str, versions: dict[str, str]) -> str:
    """An environment file with the versions of its packages put in."""

    def line_of(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}{match[3] or ''}=={versions[canonicalize_name(match[2])]}"

    return re.sub(r"(?m)^(      - )([A-Za-z0-9._-]+)(\[[^\]]*\])?==.*$", line_of, text)


def main() -> None:
    """Write every environment file anew, with nothing but the versions changed."""
    for file in sorted((ROOT / "workflow" / "envs").glob("*.yaml")):
        text = file.read_text()
        python = re.search(r"- python *=+ *([\d.]+)", text)
        if python is None:
            raise SystemExit(f"{file} names no Python")
        file.write_text(pinned(text, locked(python[1])))


if __name__ == "__main__":
    main()
