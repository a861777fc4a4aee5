"""What an edit, an addition or a correction makes run again: what it changes, and nothing dear besides."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from sluguq.machine.code import LIBRARY, imported_names, library_files
from sluguq.stores.store import open_store
from tests.places import ROOT
from tests.workflow.conftest import SIDE_BY_SIDE, Checkout, copy_checkout

pytestmark = pytest.mark.workflow

DEAR = {"prepare", "train", "eigenbasis", "score", "artefacts"}

OWN = """
experiment: own
datasets:
  clinic: {source: folder, folder: photographs}
training_dataset: clinic
configurations: {A: {light: 1.0}}
seeds: 1
images: {size: 32}
split: {train_images: 8, test_images: 3, deduplicate: false}
model: {width: 4, depth: 2, latent_channels: 4}
training: {epochs: 1, batch_size: 8, perceptual_weight: 0.0, samples: 4, snapshots: 1}
eigenbasis: {rank: 2, batch_size: 8}
score: {probes: 4}
artefacts: {images: 0}
"""


def test_an_edit_that_changes_no_number_reruns_nothing(copy_of_finished):
    for file, old, new in (
        ("scripts/train.py", "from pathlib import Path", "# A remark.\nfrom pathlib import Path"),
        ("src/sluguq/networks/training.py", '"""', '"""More words. '),
        ("src/sluguq/stores/store.py", "SHARD_BYTES = 128 * 2**20", "SHARD_BYTES = 64 * 2**20"),
        ("src/sluguq/stores/manifest.py", "_AT_ONCE = 32", "_AT_ONCE = 16"),
        ("src/sluguq/machine/progress.py", "SECONDS = 60.0", "SECONDS = 30.0"),
        ("src/sluguq/config/documents.py", "import", "import json\nimport"),
        ("workflow/rules/train.smk", "# One network", "# A network"),
        ("workflow/envs/networks.yaml", "# Training", "# The training"),
    ):
        copy_of_finished.edit(file, old, new)
    assert copy_of_finished.planned() == {}


def test_an_edit_of_words_or_layout_reruns_nothing_that_takes_hours(copy_of_finished):
    for file, old, new in (
        ("src/sluguq/stores/variables.py", "mean squared error of", "squared error, mean, of"),
        ("src/sluguq/slug/room.py", "from dataclasses", "import math\nfrom dataclasses"),
        (
            "src/sluguq/figures/style.py",
            "from __future__ import annotations",
            "from __future__ import annotations\nimport json",
        ),
        ("src/sluguq/datasets/registry.yaml", "title: ", "title: The "),
        ("src/sluguq/networks/checkpoints.py", "import json", "import json\nimport math"),
    ):
        copy_of_finished.edit(file, old, new)
    jobs = copy_of_finished.planned()
    assert {"aggregate", "figures"} <= set(jobs)
    assert not DEAR & set(jobs)


def test_an_edit_of_the_numerics_reruns_what_it_changes(copy_of_finished):
    copy_of_finished.edit("src/sluguq/slug/probes.py", "return 2 * bits", "return 1 * 2 * bits")
    jobs = copy_of_finished.planned()
    assert jobs["score"] == 6
    assert "train" not in jobs


def test_what_only_scores_are_computed_with_is_asked_by_no_basis():
    """Left out of what reruns an eigenbasis: estimators know it for their scores, sketches name the type of these."""
    listed = re.search(r"^SCORING = .*?in \((.*?)\)", (ROOT / "workflow/rules/common.smk").read_text(), re.M | re.S)
    scoring = {f"sluguq.slug.{name}" for name in re.findall(r'"(\w+)"', listed[1])}
    files = {file for file in library_files(ROOT / "scripts/eigenbasis.py") if file.suffix == ".py"}
    names = {file: "sluguq." + file.relative_to(LIBRARY).with_suffix("").as_posix().replace("/", ".") for file in files}
    asked = {name: imported_names(file) & scoring for file, name in names.items() if name not in scoring}
    assert scoring <= set(names.values())
    assert {name for name, modules in asked.items() if modules} == {"sluguq.slug.estimators", "sluguq.slug.sketched"}
    assert asked["sluguq.slug.sketched"] == {"sluguq.slug.scores"}


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("configurations={C: {dark: 1.0}}", {"split": 1, "train": 1, "eigenbasis": 1, "score": 3}),
        ("seeds=2", {"split": 1, "artefacts": 1, "train": 2, "eigenbasis": 2, "score": 6}),
    ],
)
def test_an_addition_changes_nothing_that_is_there(finished, setting, allowed):
    jobs = finished.planned("--config", setting)
    dear = {rule: count for rule, count in jobs.items() if rule in DEAR | {"split", "acquire"}}
    assert dear == allowed


def test_an_addition_hides_no_change_beside_it(finished):
    """The split is drawn anew for the addition; what reads it is asked all the same what of its own has changed."""
    jobs = finished.planned("--config", "configurations={C: {dark: 1.0}}", "training={epochs: 3}")
    dear = {rule: count for rule, count in jobs.items() if rule in DEAR | {"split", "acquire"}}
    assert dear == {"split": 1, "train": 3, "eigenbasis": 3, "score": 9}


def test_what_changes_no_result_reruns_nothing_dear(finished):
    settings = ("training={snapshots: 1, samples: 2, checkpoint_minutes: 1}", "eigenbasis={sketch_size: 5000}")
    jobs = finished.planned(*(["--use-conda"] if shutil.which("conda") else []), "--config", *settings)
    assert not (DEAR | {"split", "acquire"}) & set(jobs)


def _photographs(checkout: Checkout) -> None:
    folder = checkout.folder / "photographs"
    folder.mkdir()
    rows = ["file,fst"]
    for number in range(16):
        fst = 1 if number < 12 else 6
        colour = (200 - 10 * number, 120 + 3 * number, 90)
        Image.new("RGB", (32, 32), colour).save(folder / f"p{number:02d}.png")
        rows.append(f"p{number:02d}.png,{fst}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (checkout.folder / "config" / "tiny.yaml").write_text(OWN)


@pytest.fixture(scope="module")
def finished_own(tmp_path_factory) -> Checkout:
    checkout = copy_checkout(tmp_path_factory.mktemp("own") / "checkout")
    _photographs(checkout)
    checkout.snakemake("stores", *SIDE_BY_SIDE)
    return checkout


@pytest.fixture
def own(finished_own, tmp_path) -> Checkout:
    shutil.copytree(finished_own.folder, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy")


def test_a_table_that_was_only_touched_is_no_correction(own):
    os.utime(own.folder / "photographs" / "labels.csv")
    assert own.planned("stores") == {}


def test_a_correction_that_changes_no_training_image_retrains_nothing(own):
    """Everything is looked at again, and what comes out the same stays: weights and scores are not computed anew."""
    weights = own.folder / "results/own/models/A/seed-0/weights.safetensors"
    before = weights.read_bytes()
    with (own.folder / "photographs" / "labels.csv").open("a") as table:
        table.write("lost.png,3\n")
    own.snakemake("stores", *SIDE_BY_SIDE)
    assert weights.read_bytes() == before
    missing = (own.folder / "data/raw/clinic/missing.csv").read_text()
    assert "lost.png" in missing
    for log in ("train/A-seed-0.log", "eigenbasis/A-seed-0.log", "score/A-seed-0-clinic.log"):
        assert "it stays as it is" in (own.folder / "logs/own" / log).read_text(), log
    assert own.planned("stores") == {}


def test_a_correction_of_a_training_image_is_taken_up(own):
    split = (own.folder / "results/own/splits/seed-0.csv").read_text()
    trained = re.search(r"^(p\d+\.png),train_A$", split, re.M)[1]
    Image.new("RGB", (32, 32), (1, 2, 3)).save(own.folder / "photographs" / trained)
    weights = own.folder / "results/own/models/A/seed-0/weights.safetensors"
    before = weights.read_bytes()
    own.snakemake("stores", *SIDE_BY_SIDE)
    assert weights.read_bytes() != before


def test_a_mistyped_folder_is_refused_and_nothing_is_lost(own):
    run = own.snakemake("--config", "datasets={clinic: {source: folder, folder: photos}}", check=False)
    assert run.returncode != 0
    assert re.search(r"datasets\.clinic.*photos", run.stderr + run.stdout)
    assert (own.folder / "data/raw/clinic/images.csv").exists()


def test_a_failed_acquisition_keeps_what_was_there(own):
    table = own.folder / "photographs" / "labels.csv"
    whole = table.read_text()
    table.write_text("picture,type\np00.png,1\n")
    run = own.snakemake("stores", check=False)
    assert run.returncode != 0
    assert "p15.png" in (own.folder / "data/raw/clinic/images.csv").read_text()
    table.write_text(whole)
    weights = own.folder / "results/own/models/A/seed-0/weights.safetensors"
    before = weights.stat().st_ino
    own.snakemake("stores", *SIDE_BY_SIDE)
    assert weights.stat().st_ino == before


def test_another_experiment_with_other_options_is_told(own):
    other = OWN.replace("experiment: own", "experiment: another").replace(
        "{source: folder, folder: photographs}", "{source: folder, folder: photographs, fst: [1, 6]}"
    )
    (own.folder / "config" / "tiny.yaml").write_text(other)
    run = own.snakemake("--dry-run", check=False)
    assert run.returncode != 0
    assert "'clinic' was made for the experiment 'own' with other settings (fst: None there, [1, 6] here)" in (
        run.stderr + run.stdout
    )
    made = json.loads((own.folder / "data/raw/clinic/.made.json").read_text())
    assert made["experiment"] == "own"


def test_rivals_are_added_to_a_finished_experiment_without_training_or_scoring_anew(copy_of_finished):
    """Each stands in the store beside SLUG, with what it took, and among the signals."""
    copy_of_finished.edit(
        "config/tiny.yaml",
        "score: {probes: 8}",
        "score: {probes: 8, rivals: {last_layer: decoder/conv_out/*, tenth: 0.1}}",
    )
    jobs = copy_of_finished.planned()
    assert jobs["rivals"] == 2
    assert not {"train", "eigenbasis", "score", "artefacts", "acquire", "prepare", "split"} & set(jobs)
    copy_of_finished.snakemake(str(copy_of_finished.results.relative_to(copy_of_finished.folder) / "skin.zarr"))
    store = open_store(copy_of_finished.results / "skin.zarr")
    tested = np.isfinite(store["slug"].values)
    for name in ("rival_last_layer", "rival_tenth"):
        np.testing.assert_array_equal(np.isfinite(store[name].values), tested)
    passes = store["rival_last_layer"].attrs
    assert 0 < passes["forward_passes"] < passes["forward_passes_of_slug"]
