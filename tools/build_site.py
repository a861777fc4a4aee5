"""Build the documentation as one site: the pages of docs/, a reference made from docstrings, and the demo's figures.

    python tools/build_site.py [--out build/site]

Every warning is an error, so a link to a page, heading or file that is not there ends the build. Nothing is fetched.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "src" / "sluguq"
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "docs", "config", "benchmarks")
PAGES += ("examples",)
GUIDES = {
    "Use it": (
        "docs/first-steps",
        "docs/datasets",
        "docs/cluster",
        "docs/troubleshooting",
        "docs/reliability",
        "config/README",
    ),
    "Understand it": (
        "docs/findings",
        "docs/reading-the-numbers",
        "docs/papers",
        "docs/training",
        "docs/accuracy",
        "benchmarks/RESULTS",
    ),
    "Your own": ("docs/your-own-analysis", "docs/your-own-model"),
    "Take part": ("CONTRIBUTING", "CHANGELOG"),
}
CONF = """
project = "sluguq"
author = "the sluguq developers"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
html_theme = "furo"
html_title = "sluguq"
templates_path = []
exclude_patterns = []
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_mock_imports = ["snakemake"]
suppress_warnings = ["myst.header", "misc.highlighting_failure"]


def setup(app):
    # Fields of named tuples are described in the docstring of their class.
    app.connect(
        "autodoc-skip-member",
        lambda app, what, name, thing, skip, options: skip or "Alias for field number" in (thing.__doc__ or ""),
    )
"""


def main() -> int:
    """Stage the sources, then run Sphinx over them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--demo", type=Path, default=ROOT / "results" / "demo", help="results of `make demo`")
    given = parser.parse_args()
    source = given.out.parent / f"{given.out.name}-source"
    for folder in (source, given.out):
        shutil.rmtree(folder, ignore_errors=True)
    stage(source, given.demo)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(source), str(given.out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    status = subprocess.run(command, env=environment, check=False).returncode
    broken = [] if status else broken_links(given.out)
    for link in broken:
        print(f"broken link: {link}", file=sys.stderr)
    if not status and not broken:
        print(f"{given.out / 'index.html'}")
    return status or bool(broken)


def stage(source: Path, demo: Path) -> None:
    """Write every page of the site in one tree that has the repository's layout, so that its own links hold."""
    for name in PAGES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        elif path.is_file():
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / name)
    registry = LIBRARY / "datasets" / "registry.yaml"
    (source / registry.relative_to(ROOT)).parent.mkdir(parents=True)
    shutil.copy(registry, source / registry.relative_to(ROOT))
    (source / "conf.py").write_text(CONF)
    packages = _write_reference(source / "reference")
    pictures = _write_gallery(source / "gallery", demo)
    _write_index(source, packages, pictures)


class _Page(HTMLParser):
    """The addresses that a page points to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.targets.add(value)
            elif value and name in ("id", "name"):
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Links within a built site to files or anchors that are not there; addresses elsewhere are not asked for."""
    pages = {file.resolve(): _Page(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}
    broken = []
    for file, page in pages.items():
        for target in sorted(page.targets):
            address = urlsplit(target)
            if address.scheme or address.netloc:
                continue
            path = (file.parent / unquote(address.path)).resolve() if address.path else file
            anchor = unquote(address.fragment)
            known = pages[path].anchors if path in pages else None
            if not path.exists() or (anchor and known is not None and anchor not in known):
                broken.append(f"{file.relative_to(site.resolve())}: {target}")
    return broken


def _write_reference(folder: Path) -> list[str]:
    """A page for each folder of the library, with all its modules; returns the pages."""
    folder.mkdir(parents=True)
    public = ast.literal_eval(re.search(r"__all__ = (\[.*?\])", (LIBRARY / "__init__.py").read_text(), re.DOTALL)[1])
    calls = "\n".join(
        f".. auto{'class' if name[0].isupper() else 'function'}:: sluguq.{name}\n   :no-index:\n" for name in public
    )
    (folder / "index.md").write_text(
        "# The library\n\nWhat `import sluguq` offers. Where each is at home, and all else, is on the pages of the "
        f"folders.\n\n```{{eval-rst}}\n{calls}```\n"
    )
    pages = ["reference/index"]
    for path in sorted(LIBRARY.iterdir()):
        modules = sorted(path.rglob("*.py")) if path.is_dir() else []
        names = [_module(file) for file in modules if file.name != "__init__.py" or file.read_text().strip()]
        if names:
            # What a package hands on is indexed where it is defined.
            handed_on = {_module(file) for file in modules if file.name == "__init__.py"}
            (folder / f"{path.name}.md").write_text(
                f"# {path.name}\n\n" + "\n".join(_automodule(name, indexed=name not in handed_on) for name in names)
            )
            pages.append(f"reference/{path.name}")
    return pages


def _automodule(name: str, *, indexed: bool) -> str:
    option = "" if indexed else "   :no-index:\n"
    return f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{option}```\n"


def _module(file: Path) -> str:
    parts = file.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _write_gallery(folder: Path, demo: Path) -> list[str]:
    """The demo's figures with their titles; nothing where the demo has not run."""
    figures = sorted(demo.glob("figures/*/*.png"))
    if not figures:
        return []
    folder.mkdir(parents=True)
    lines = ["# Figures of the demo", "", "Synthetic photographs: these pictures say nothing about people.", ""]
    for file in figures:
        name = f"{file.parent.name}-{file.name}"
        shutil.copy(file, folder / name)
        title = f"{file.parent.name}: {file.stem.replace('_', ' ')}"
        lines += [f"## {title}", "", f"![{title}]({name})", ""]
    (folder / "index.md").write_text("\n".join(lines))
    return ["gallery/index"]


def _write_index(source: Path, packages: list[str], pictures: list[str]) -> None:
    """The first page: the README, then lists of all other pages."""
    listed = {page for pages in GUIDES.values() for page in pages}
    others = sorted(
        page
        for path in source.rglob("*.md")
        if (page := path.relative_to(source).with_suffix("").as_posix()) not in {*listed, *packages, *pictures}
        and page != "README"
    )
    sections = {**GUIDES, "More": others, "Pictures": pictures, "Reference": packages}
    text = "# sluguq\n\n```{include} README.md\n:start-line: 1\n```\n"
    for caption, pages in sections.items():
        if pages:
            text += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
    (source / "index.md").write_text(text)
    (source / "README.md").rename(source / "README.txt")
    (source / "index.md").write_text(
        (source / "index.md").read_text().replace("include} README.md", "include} README.txt")
    )
    # Other pages link to the README, which is the first page here.
    for path in source.rglob("*.md"):
        content = path.read_text()
        if "](../README.md" in content:
            path.write_text(content.replace("](../README.md", "](../index.md"))


if __name__ == "__main__":
    raise SystemExit(main())
