"""Everything fenced in the documentation is run or read here; commands of long runs plan in place of work."""

import importlib.util
import itertools
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml
from flax import nnx

from sluguq.config import resolve
from tests.places import ROOT
from tests.workflow.conftest import Checkout, copy_checkout, environment

pytestmark = pytest.mark.workflow

# Pages that tests of their own follow: your-own-model wants models of several frameworks (tests/slug), your-own-network
# runs in the workflow (tests/workflow/test_own_networks.py). docs/extending is followed by test_extending.py.
FOLLOWED = {
    "your-own-model": "tests/slug/test_your_own_model.py",
    "your-own-network": "tests/workflow/test_own_networks.py",
}

# Programs that few machines have: the lines of theirs that are known, by program and command, with their options.
CONTAINER_OPTIONS = {
    ("podman", "build"): {"--tag", "--file"},
    ("podman", "save"): {"--format", "--output"},
    ("apptainer", "build"): set(),
}

PAGES = [*ROOT.glob("*.md"), *(ROOT / "config").glob("*.md"), *(ROOT / "docs").glob("*.md")]


def _blocks(page: Path, language: str) -> list[str]:
    """Contents of the page's fenced blocks of a language, the empty one for those of commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [content for of, content in found if of == language]


def _snippets(language: str) -> list:
    """The blocks that this file runs, with page and number."""
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in sorted(PAGES)
        if page.stem not in FOLLOWED
        for number, block in enumerate(_blocks(page, language))
    ]


def _commands() -> list[str]:
    found = {line for page in PAGES for block in _blocks(page, "") for line in block.splitlines() if line.strip()}
    return sorted(found)


def test_nothing_fenced_is_of_a_kind_that_no_test_runs():
    fences = [line for page in PAGES for line in re.findall(r"^ *```.*$", page.read_text(), flags=re.MULTILINE)]
    assert len(fences) > 40
    # Text is a drawing of folders, and a line for models that only another library has.
    assert set(fences) == {"```", "```python", "```yaml", "```text"}
    assert sum(len(_blocks(page, "text")) for page in PAGES) == 2
    # What is left out here is there, and the test that is named reads it.
    for stem, test in FOLLOWED.items():
        assert stem in {page.stem for page in PAGES}
        assert f"{stem}.md" in (ROOT / test).read_text(), f"{test} does not follow {stem}.md"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    checkout = copy_checkout(tmp_path_factory.mktemp("docs") / "my checkout")
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "tools"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, checkout.folder / name)
    return checkout


@pytest.mark.parametrize("command", _commands())
def test_commands_are_understood(checkout, command, request, tmp_path):
    # A configuration that `sluguq init` writes: any will do to see that the command is understood.
    words = [word.replace("config/mine.yaml", "config/demo.yaml") for word in shlex.split(command)]
    if words[0] in {program for program, _ in CONTAINER_OPTIONS}:
        _check_line_of_containers(words)
        return
    if "init" in words:
        words.append("--dry-run")
    if "s3" in words:
        request.getfixturevalue("bucket")
    folder, variables = checkout.folder, environment()
    if words[:3] == [".venv/bin/python", "-m", "sluguq"]:
        if "crate" in words and importlib.util.find_spec("rocrate") is None:
            pytest.skip("no rocrate: make plugins")
        folder, variables["PYTHONPATH"] = tmp_path, str(ROOT / "src")
        for name in ("config", "data", "results"):
            shutil.copytree(request.getfixturevalue("finished").folder / name, tmp_path / name)
        stand_ins = {".venv/bin/python": sys.executable, "FOLDER": "data/raw/other", "results/demo": "results/tiny"}
        words = [stand_ins.get(word, word) for word in words]
    elif words[0] == "make":
        words = ["make", "--dry-run", *words[1:]]
    else:
        assert words[0] == ".venv/bin/snakemake", f"no test knows how to run {command!r}"
        words = [sys.executable, "-m", "snakemake", *words[1:]]
        words += [] if "--unlock" in words else ["--dry-run", "--quiet", "all"]
        # No conda here: that the option is understood is all that can be seen.
        words = [word for word in words if word != "--use-conda"]
    run = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=300)
    if "config/pilot.yaml" in words:  # its photographs come from their owners: all that is missing is told at once
        assert run.returncode != 0
        assert "datasets.fitzpatrick17k.folder: there is no folder or archive data/own/fitzpatrick17k" in run.stdout
        return
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]


def _check_line_of_containers(words: list[str]) -> None:
    """As far as can be seen without building: options are known, files are there or made by a line before."""
    program, action, *arguments = words
    options = {word for word in arguments if word.startswith("--")}
    assert (program, action) in CONTAINER_OPTIONS, f"no test knows {program} {action}"
    assert options <= CONTAINER_OPTIONS[program, action], f"{program} {action}: unknown {options}"
    values = dict(itertools.pairwise(arguments))
    if action == "build" and program == "podman":
        folder = ROOT / arguments[-1]
        assert (ROOT / values["--file"]).is_file()
        copied = re.findall(r"^COPY (\S+) ", (ROOT / values["--file"]).read_text(), flags=re.MULTILINE)
        assert copied
        assert all((folder / name).exists() for name in copied)
    if shutil.which(program) is not None:
        helped = subprocess.run([program, action, "--help"], capture_output=True, text=True, check=True, timeout=60)
        assert all(option in helped.stdout for option in options)


def test_the_lines_of_containers_hand_on_what_they_make():
    lines = [shlex.split(line) for line in _blocks_of("cluster", "podman build")]
    build, save, convert, run = lines
    assert build[build.index("--tag") + 1] == save[2]
    assert convert[3] == f"{save[save.index('--format') + 1]}://{save[save.index('--output') + 1]}"
    assert convert[2] in (ROOT / "workflow" / "Snakefile").read_text()
    assert run[:3] == [".venv/bin/snakemake", "--sdm", "apptainer"]


def _blocks_of(stem: str, start: str) -> list[str]:
    """Lines of the page's only block of commands that starts so."""
    (block,) = [block for block in _blocks(ROOT / "docs" / f"{stem}.md", "") if block.startswith(start)]
    return block.splitlines()


@pytest.mark.parametrize("text", _snippets("yaml"))
def test_configurations_are_understood(text):
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    written = yaml.safe_load(text)
    datasets = {**demo["datasets"], **written.get("datasets", {})}
    experiment = resolve({**demo, **written, "datasets": datasets})
    assert written.keys() <= experiment.model_dump().keys()


def _adapted(snippet: str, results: Path) -> str:
    """The snippet on the results of the tiny experiment."""
    snippet = snippet.replace("s3://my-bucket/sluguq/results/slug/fitzpatrick17k.zarr", str(results / "skin.zarr"))
    return snippet.replace("results/demo", str(results)).replace("phantom", "skin")


@pytest.mark.parametrize("snippet", _snippets("python"))
def test_snippets_run(snippet, request, tmp_path):
    if "module skin:" in snippet:
        _plan_as_a_module(snippet, tmp_path)
    elif ".zarr" in snippet or "results/demo" in snippet:
        for package in ("duckdb", "fiftyone"):
            if f"import {package}" in snippet and importlib.util.find_spec(package) is None:
                pytest.skip(f"no {package}: pip install {package}")
        finished = request.getfixturevalue("finished")
        adapted = _adapted(snippet, finished.results)
        assert adapted != snippet
        command = [sys.executable, "-W", "error", "-c", adapted]
        subprocess.run(command, cwd=tmp_path, env={**environment(), "PYTHONPATH": str(ROOT / "src")}, check=True)
    else:
        _run_on_a_model(snippet)


def _plan_as_a_module(snippet: str, folder: Path) -> None:
    """The snippet as somebody else's Snakefile, beside a clone."""
    clone = copy_checkout(folder / "sluguq")
    skin = yaml.safe_load((clone.folder / "config" / "tiny.yaml").read_text())
    (folder / "outer.yaml").write_text(yaml.safe_dump({"skin": skin}))
    (folder / "Snakefile").write_text(f'configfile: "outer.yaml"\n\n\n{snippet}')
    command = [sys.executable, "-m", "snakemake", "--dry-run", "skin/results/tiny/claims.csv"]
    run = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    assert "skin_train" in run.stdout + run.stderr


def _run_on_a_model(snippet: str) -> None:
    """The snippet with a network of one convolution and noise for images."""
    model = nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0))
    graph, params = nnx.split(model, nnx.Param)
    images = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)).astype(np.float32)
    given = {
        "model": model,
        "apply": lambda params, images: nnx.merge(graph, params)(images),
        "params": params,
        "train_images": images,
        "training_images": images,
        "images": images[:2],
        "new_images": images[:2],
    }
    exec(compile(snippet, "snippet", "exec"), given)
    scores = given["scores"]
    assert scores.slug.shape == scores.slug_sem.shape == (2,)
    assert scores.maps.shape == (2, 8, 8)
    assert jax.numpy.isfinite(scores.slug).all()
