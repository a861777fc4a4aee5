"""The workflow as a part of another one: from a clone or from a tag, with a prefix and a configuration of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, TINY, Checkout, copy_checkout, environment

pytestmark = pytest.mark.workflow

OUTER = """
configfile: "outer.yaml"


module skin:
    snakefile:
        {snakefile}
    config:
        config["skin"]
    prefix:
        "part"


use rule * from skin as skin_*


rule summary:
    default_target: True
    input:
        "part/results/tiny/claims.csv",
    output:
        "summary.csv",
    shell:
        "cp {{input}} {{output}}"
"""


class Outer(Checkout):
    """A workflow that takes this one as a module."""

    def __init__(self, folder: Path, snakefile: str):
        super().__init__(folder)
        folder.mkdir(exist_ok=True)
        (folder / "Snakefile").write_text(OUTER.format(snakefile=snakefile))
        (folder / "outer.yaml").write_text(yaml.safe_dump({"skin": yaml.safe_load(TINY), "other": "untouched"}))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *arguments, "--cores", "2"]


@pytest.fixture(scope="module")
def outer(tmp_path_factory) -> Outer:
    """An outer workflow beside a clone."""
    folder = tmp_path_factory.mktemp("outer")
    copy_checkout(folder / "a clone")
    return Outer(folder, '"a clone/workflow/Snakefile"')


def test_every_rule_is_planned_under_the_outer_names_and_prefix(outer):
    run = outer.snakemake("--dry-run")
    listed = run.stdout + run.stderr
    jobs = outer.planned()
    assert jobs["summary"] == 1
    assert (jobs["skin_train"], jobs["skin_score"], jobs["skin_claims"]) == (2, 6, 1)
    assert all(rule.startswith("skin_") for rule in set(jobs) - {"summary", "total"})
    outputs = [
        path for line in listed.splitlines() if "output: " in line for path in line.split("output: ")[1].split(", ")
    ]
    assert len(outputs) > 20
    assert all(path.startswith("part/") for path in outputs if path != "summary.csv")


def test_jobs_run_with_the_library_of_the_clone(outer):
    library = outer.folder / "a clone" / "src" / "sluguq" / "datasets" / "splits.py"
    library.write_text(library.read_text() + 'print("this is the clone")\n')
    run = outer.snakemake("part/results/tiny/splits/seed-0.csv")
    assert "this is the clone" in run.stdout + run.stderr
    assert (outer.folder / "part" / "results" / "tiny" / "splits" / "seed-0.csv").is_file()
    assert (outer.folder / "part" / "logs" / "tiny" / "split" / "seed-0.log").is_file()
    assert not (outer.folder / "a clone" / "results").exists()
    assert not (outer.folder / "results").exists()


def test_the_report_page_finds_its_figures_under_the_prefix(outer, finished):
    part = outer.folder / "part"
    for name in ("data", "results"):
        shutil.copytree(finished.folder / name, part / name, dirs_exist_ok=True)
    page = part / "results" / "tiny" / "index.html"
    page.unlink()
    shutil.rmtree(part / "results" / "tiny" / "model_cards")
    outer.snakemake(
        str(page.relative_to(outer.folder)), "--allowed-rules", "skin_report_page", "--rerun-triggers", "mtime"
    )
    original = (finished.results / "index.html").read_text()
    assert original.count("data:image/svg+xml") > 10
    assert page.read_text().count("data:image/svg+xml") == original.count("data:image/svg+xml")
    assert {file.name for file in (page.parent / "model_cards").iterdir()} == {"A.md", "B.md"}


def test_a_mistake_in_its_configuration_is_named(outer):
    run = outer.snakemake("--dry-run", "--config", "skin={experiment: tiny, traning: {}}", check=False)
    assert run.returncode != 0
    assert "traning: unknown key" in run.stdout + run.stderr


def test_a_tag_is_taken_from_git(tmp_path):
    """`module` with a version: Snakemake clones the repository at the tag, whatever its work tree holds by then."""
    clone = copy_checkout(tmp_path / "repository").folder
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-C", str(clone)]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    shutil.rmtree(clone / "workflow")
    subprocess.run([*git, "commit", "-q", "-a", "-m", "two"], check=True)
    checked_out = tmp_path / "outer" / "v1"
    checked_out.parent.mkdir()
    subprocess.run(
        ["git", "clone", "-q", "--branch", "v1", str(clone), str(checked_out)], check=True, env=environment()
    )
    outer = Outer(tmp_path / "outer", '"v1/workflow/Snakefile"')
    assert outer.planned()["skin_train"] == 2


def test_the_catalogue_finds_what_it_looks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["report"] is True
    assert (ROOT / "workflow" / "Snakefile").is_file()
    assert (ROOT / "config" / "README.md").is_file()
