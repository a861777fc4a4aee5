"""The Workflow Run RO-Crate of a finished experiment, read back with the library of its authors."""

import hashlib
import shutil
import subprocess
import sys

import pytest

from sluguq.report.crate import PROFILES, CrateError, write_crate
from sluguq.stores.store import open_store
from tests.workflow.conftest import ROOT, environment

pytestmark = pytest.mark.workflow


@pytest.fixture
def results(finished, tmp_path):
    """A copy of the results of the tiny experiment, without what a crate does not look at."""
    folder = tmp_path / "tiny"
    shutil.copytree(finished.results, folder, ignore=shutil.ignore_patterns("scores", "eigenbases"))
    return folder


def test_a_crate_says_what_ran_on_what_and_what_came_of_it(results):
    rocrate = pytest.importorskip("rocrate.rocrate", reason="no rocrate: make plugins")
    # fmt: off
    run = subprocess.run(
        [sys.executable, "-m", "sluguq", "crate", str(results)], capture_output=True, text=True, check=False,
        env={**environment(), "PYTHONPATH": str(ROOT / "src")},
    )
    # fmt: on
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(results / "ro-crate-metadata.json")

    crate = rocrate.ROCrate(results)
    assert {profile.id for profile in crate.root_dataset["conformsTo"]} == set(PROFILES)
    assert "synthetic photographs" in crate.description
    store = open_store(results / "skin.zarr")
    workflow = crate.mainEntity
    assert workflow.id == "workflow/Snakefile"
    assert "ComputationalWorkflow" in workflow.type
    assert workflow["programmingLanguage"].id.endswith("#snakemake")
    assert workflow["version"] == store.attrs["commit"]
    software = {package["name"]: package["softwareVersion"] for package in workflow["softwareRequirements"]}
    assert " ".join(f"{name}={version}" for name, version in software.items()) == store.attrs["versions"]

    (action,) = crate.root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["instrument"] is workflow
    configuration, *datasets = action["object"]
    assert (results / configuration.id).read_text() == store.attrs["configuration"]
    assert {dataset["name"] for dataset in datasets} == {"skin", "other"}
    made = {entity.id: entity for entity in action["result"]}
    assert {"skin.zarr/", "models.zarr/", "figures/", "claims.csv", "index.html"} <= made.keys()
    weights = made["models/A/seed-0/weights.safetensors"]
    assert weights["sha256"] == hashlib.sha256((results / weights.id).read_bytes()).hexdigest()
    assert weights["sha256"] == store.weights_sha256.sel(configuration="A", seed=0).item()
    # All that is described is there.
    assert all((results / entity.id).exists() for entity in crate.data_entities)


def test_a_published_data_set_comes_with_licence_and_citation(results, monkeypatch):
    rocrate = pytest.importorskip("rocrate.rocrate", reason="no rocrate: make plugins")
    store = open_store(results / "skin.zarr")
    published = store.attrs["configuration"].replace("datasets:", "datasets:\n  isic: {source: isic, edition: 2017}", 1)
    monkeypatch.setattr("sluguq.report.crate.open_store", lambda path: store.assign_attrs(configuration=published))
    write_crate(results)
    (entity,) = [entity for entity in rocrate.ROCrate(results).get_entities() if entity.id == "#data-isic"]
    assert entity["license"].startswith("https://creativecommons.org/")
    assert entity["citation"]


def test_unfinished_results_are_refused(results):
    pytest.importorskip("rocrate", reason="no rocrate: make plugins")
    (results / "claims.csv").unlink()
    with pytest.raises(CrateError, match=r"no finished experiment in .*: it has no claims\.csv"):
        write_crate(results)
