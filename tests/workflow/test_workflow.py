"""The whole chain on a tiny experiment: what it leaves, what reruns, what survives a kill."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sluguq.config.paths import ResultPaths
from sluguq.stores.store import open_store
from tests.workflow.conftest import SIDE_BY_SIDE, copy_checkout, environment

pytestmark = pytest.mark.workflow


def test_everything_is_there_and_explains_itself(finished):
    dataset = open_store(finished.results / "skin.zarr")
    assert dict(dataset.sizes) | {"configuration": 2, "seed": 1, "image": 12, "y": 32, "x": 32} == dict(dataset.sizes)
    for variable in dataset.variables.values():
        assert {"long_name", "units", "source"} <= set(variable.attrs)
    assert "epistemic uncertainty" in dataset.slug.attrs["long_name"]
    assert dataset.attrs["synthetic"] == 1
    assert json.loads(dataset.attrs["groups"]) == {"light": [1, 2], "dark": [5, 6]}
    assert "experiment: tiny" in dataset.attrs["configuration"]
    assert set(dataset.group.values) == {"light", "dark"}
    assert not np.isnan(dataset.slug.values).any()
    external = open_store(finished.results / "other.zarr")
    assert external.sizes["image"] == 6
    assert set(external.group.values) == {"", "dark"}
    artefacts = open_store(finished.results / "artefacts.zarr")
    assert set(artefacts.artefact.values) == {"", "ruler", "patch"}
    models = open_store(finished.results / "models.zarr")
    assert models.loss.dims == ("configuration", "seed", "epoch")
    claims = pd.read_csv(finished.results / "claims.csv").set_index("claim")
    assert "store of models" not in str(claims.loc["loss_converged", "reason"])
    card = (finished.results / "model_cards" / "A.md").read_text()
    assert "### other" in card.split("## On data sets that it was not trained on")[1]
    assert models.samples.shape == (2, 1, 4, 32, 32, 3)
    assert models.training_ita.shape == (2, 1, 16)
    assert set(models.training_fst.sel(configuration="A").values.ravel()) <= {1, 2}


def test_scores_are_consistent(finished):
    dataset = open_store(finished.results / "skin.zarr").load()
    np.testing.assert_allclose(dataset.slug_map.sum(("y", "x")), dataset.slug, rtol=2e-3)
    np.testing.assert_allclose(dataset.error_map.sum(("y", "x")) / (32 * 32 * 3), dataset.mse, rtol=2e-3)
    assert (dataset.slug >= 0).all()
    difference = dataset.pixels.astype(float) - dataset.reconstruction.astype(float)
    from_pixels = ((difference / 127.5) ** 2).mean(("y", "x", "channel")).transpose(*dataset.mse.dims)
    np.testing.assert_allclose(from_pixels, dataset.mse, rtol=0.02, atol=1e-4)


def test_splits_part_no_patient(finished):
    images = open_store(finished.folder / "data" / "images" / "skin-32px.zarr")
    patient = dict(zip(images.id.values, images.patient.values, strict=True))
    split = pd.read_csv(finished.results / "splits" / "seed-0.csv")
    tested = {patient[i] for i in split.id[split.role.str.startswith("test")]}
    trained = {patient[i] for i in split.id[split.role.str.startswith("train")]}
    assert tested
    assert not tested & trained


def test_all_results_lie_where_the_path_grammar_says(finished):
    paths = ResultPaths(finished.results)
    methods = inspect.getmembers(paths, inspect.ismethod)
    spelt = [
        Path(method(*("*" for _ in inspect.signature(method).parameters)))
        for name, method in methods
        if not name.startswith("_") and name != "variant"
    ]
    patterns = [path.relative_to(finished.results).as_posix() for path in spelt]
    left = [
        file
        for file in finished.results.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(finished.results).parts)
    ]
    assert len(left) > 50
    for file in left:
        name = file.relative_to(finished.results).as_posix()
        assert any(fnmatch(name, pattern) or fnmatch(name, f"{pattern}/*") for pattern in patterns), name


def test_a_second_run_does_nothing(finished):
    assert finished.planned() == {}


def test_touching_a_file_changes_nothing(copy_of_finished):
    for name in ("src/sluguq/networks/training.py", "src/sluguq/stores/store.py", "scripts/train.py"):
        os.utime(copy_of_finished.folder / name)
    # Scripts are compared by time of modification, libraries by content.
    jobs = copy_of_finished.planned("--rerun-triggers", "mtime", "params", "input", "software-env")
    assert jobs == {}


def test_more_probes_score_again_and_train_nothing(finished):
    jobs = finished.planned("--config", "score={probes: 9}")
    assert jobs["score"] == 6
    assert not {"train", "eigenbasis", "prepare", "acquire", "split"} & set(jobs)


def test_another_seed_adds_its_jobs_alone(finished):
    jobs = finished.planned("--config", "seeds=2")
    assert (jobs["split"], jobs["train"], jobs["eigenbasis"]) == (1, 2, 2)
    assert "prepare" not in jobs


def test_the_inner_snakefile_and_another_directory_plan_the_same(finished, tmp_path):
    def jobs(*arguments):
        command = finished.command("--dry-run", "--quiet", "host", *arguments)
        command[command.index("--configfile") + 1] = str(finished.folder / "config" / "tiny.yaml")
        run = subprocess.run(
            command, cwd=finished.folder, env=environment(), capture_output=True, text=True, check=True
        )
        return run.stdout.split("Job stats:")[1].split("total")[1].split()[0]

    outer = jobs("--forceall")
    assert jobs("--forceall", "--snakefile", "workflow/Snakefile") == outer
    assert jobs("--directory", str(tmp_path)) == outer


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("traning={}", r"traning: unknown key; did you mean 'training'\?"),
        ("eigenbasis={rank: 999999}", "exceeds the"),
        ("split={test_images: 50}", "has 28 images"),
        ("images={size: 50}", "cannot be halved"),
    ],
)
def test_mistakes_stop_before_any_job(finished, setting, message):
    run = finished.snakemake("--config", setting, check=False)
    assert run.returncode != 0
    assert "Select jobs to execute" not in run.stderr + run.stdout
    assert re.search(message, run.stderr + run.stdout)


def test_a_disk_too_small_for_the_eigenbases_stops_before_any_job(tmp_path):
    """Terabytes of vectors, of a network that fits the tiny experiment's images."""
    checkout = copy_checkout(tmp_path / "checkout")
    large = ("model={width: 64, depth: 4, latent_channels: 64}", "eigenbasis={rank: 20000}")
    run = checkout.snakemake("--config", *large, check=False)
    assert run.returncode != 0
    assert "2 eigenbases of 20000 vectors of 50,439,619 weights" in run.stderr + run.stdout
    assert not checkout.results.exists()


def _tree(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".snakemake_timestamp"
    }


def test_same_configuration_same_bytes(finished, tmp_path):
    again = copy_checkout(tmp_path / "another place")
    again.snakemake("stores", *SIDE_BY_SIDE)
    for name in ("skin.zarr", "artefacts.zarr", "models.zarr", "other.zarr"):
        first, second = _tree(finished.results / name), _tree(again.results / name)
        assert first.keys() == second.keys()
        assert [str(path) for path in first if first[path] != second[path]] == []


@pytest.mark.parametrize("rule", ["prepare", "train", "eigenbasis", "score", "aggregate"])
def test_a_killed_job_leaves_no_half_result_and_the_next_run_finishes(copy_of_finished, rule):
    target = {
        "prepare": "data/images/skin-32px.zarr",
        "train": "results/tiny/models/A/seed-0/weights.safetensors",
        "eigenbasis": "results/tiny/eigenbases/A/seed-0.zarr",
        "score": "results/tiny/scores/A/seed-0/skin.zarr",
        "aggregate": "results/tiny/skin.zarr",
    }[rule]
    # Slow enough to be caught in the middle: the job sleeps where it has begun to write.
    marker = copy_of_finished.folder / "begun"
    slow = f"import pathlib, time\npathlib.Path({str(marker)!r}).touch(); time.sleep(60)\n"
    script = copy_of_finished.folder / "scripts" / f"{rule}.py"
    original = script.read_text()
    script.write_text(slow + original)
    run = subprocess.Popen(
        copy_of_finished.command(target, "--forcerun", rule, "--allowed-rules", rule),
        cwd=copy_of_finished.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert time.monotonic() < deadline, "the job did not begin"
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    script.write_text(original)
    copy_of_finished.snakemake("--unlock")
    assert not (copy_of_finished.folder / target).exists()
    copy_of_finished.snakemake(target, "--rerun-triggers", "mtime")
    assert (copy_of_finished.folder / target).exists()


def test_library_runs_without_workflow_packages():
    script = (
        "import sys\n"
        "import sluguq.networks.training, sluguq.networks.perceptual.features, sluguq.networks.sampling\n"
        "import sluguq.slug.score, sluguq.slug.eigenbasis\n"
        "bad = {'zarr', 'xarray', 'pandas', 'snakemake', 'pydantic', 'matplotlib'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_sensitivity_is_asked_for_and_joins_the_report(copy_of_finished):
    varied = ("--config", "sensitivity={rank: [0, 1], probes: [4], training_images: [8], image_size: [32]}")
    jobs = copy_of_finished.planned("sensitivity", *varied)
    # Nothing that is there is made anew, and the experiment's own image size needs no networks.
    assert (jobs["score_varied"], jobs["train_variant"], jobs["score_variant"]) == (2, 2, 2)
    assert not {"train", "eigenbasis", "score", "aggregate", "figures"} & set(jobs)
    assert copy_of_finished.planned(*varied) == {}
    copy_of_finished.snakemake("sensitivity", *varied)
    table = pd.read_csv(copy_of_finished.results / "figures" / "sensitivity" / "sensitivity.csv")
    assert set(table["setting"]) == {"rank", "probes", "training_images"}
    assert set(table.loc[table["setting"] == "rank", "value"]) == {0, 1, 3}
    own = table[table["reference"].astype(bool) & (table["measure"] == "level")]
    assert (own["result"] == 1).all()
    # What the projection removes is back at lower rank.
    levels = table[(table["setting"] == "rank") & (table["measure"] == "level")].groupby("value")["result"].mean()
    assert levels[0] > levels[1] > levels[3]
    assert 'id="sensitivity-sensitivity"' in (copy_of_finished.results / "index.html").read_text(encoding="utf-8")
    assert copy_of_finished.planned(*varied) == {}
    assert not list((copy_of_finished.results / "sensitivity").rglob("eigenbases/*/*.zarr"))
