"""Every command and Python snippet of README.md and of the pages on running is run here, planning in place of work."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflow.conftest import Checkout, copy_checkout, environment

pytestmark = pytest.mark.workflow

ROOT = Path(__file__).parent.parent.parent
# Photographs for config/own-data.yaml, kept outside the repository.
SHARED = ROOT.parent / "shared"
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("first-steps", "cluster", "troubleshooting"))]


def _blocks(page: Path, language: str) -> list[str]:
    """Contents of the page's fenced blocks of a language, the empty one for those of commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [content for of, content in found if of == language]


def _commands() -> list[str]:
    found = {line for page in PAGES for block in _blocks(page, "") for line in block.splitlines() if line.strip()}
    return sorted(found)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    checkout = copy_checkout(tmp_path_factory.mktemp("docs") / "my checkout")
    if SHARED.is_dir():
        (checkout.folder.parent / "shared").symlink_to(SHARED)
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "tools"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, checkout.folder / name)
    return checkout


@pytest.mark.parametrize("command", _commands())
def test_commands_are_understood(checkout, command, request, tmp_path):
    if "own-data" in command and not SHARED.is_dir():
        pytest.skip(f"no {SHARED}")
    words = shlex.split(command)
    folder = checkout.folder
    if words[:4] == [".venv/bin/python", "-m", "sluguq", "flag"]:
        folder = request.getfixturevalue("finished").folder
        stand_ins = {".venv/bin/python": sys.executable, "FOLDER": "data/raw/other", "results/demo": "results/tiny"}
        words = [*(stand_ins.get(word, word) for word in words), "--out", str(tmp_path)]
    elif words[0] == "make":
        words = ["make", "--dry-run", *words[1:]]
    else:
        assert words[0] == ".venv/bin/snakemake", f"no test knows how to run {command!r}"
        words = [sys.executable, "-m", "snakemake", *words[1:]]
        words += [] if "--unlock" in words else ["--dry-run", "--quiet", "all"]
        # No conda here: that the option is understood is all that can be seen.
        words = [word for word in words if word != "--use-conda"]
    run = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]


@pytest.mark.parametrize("page", [page for page in PAGES[:2] if _blocks(page, "python")], ids=lambda page: page.stem)
def test_snippets_run_on_a_finished_experiment(finished, page):
    (snippet,) = [block for block in _blocks(page, "python") if "open_zarr" in block]
    adapted = snippet.replace("results/demo/phantom.zarr", "results/tiny/skin.zarr")
    assert adapted != snippet
    subprocess.run([sys.executable, "-W", "error", "-c", adapted], cwd=finished.folder, check=True)
