"""What a change causes, and the way back from a figure to images, weights, configuration and commit."""

import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile

import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from sluguq.config import resolve
from sluguq.stores.store import open_store

pytestmark = pytest.mark.workflow

DATA = {"acquire", "prepare"}
FROM_SPLIT = {"split": 1, "artefacts": 1, "train": 2, "eigenbasis": 2, "score": 6}
COSTLY = (*DATA, "split", "artefacts", "train", "eigenbasis", "score")


def _causes(jobs: dict[str, int]) -> dict[str, int]:
    return {rule: jobs[rule] for rule in COSTLY if rule in jobs}


@pytest.mark.parametrize(
    ("change", "caused"),
    [
        ("resources={mem_mb: 9000, runtime: 10}", None),
        ("training={checkpoint_minutes: 5}", None),
        ("eigenbasis={keep: first_seed}", None),
        ("score={probes: 9}", {"score": 6}),
        # Maps of one data set more or less are no reason to score the others again.
        ("score={maps: [skin]}", {"score": 2}),
        ("artefacts={images: 1}", {"artefacts": 1, "score": 2}),
        ("eigenbasis={rank: 4}", {"eigenbasis": 2, "score": 6}),
        ("training={epochs: 3}", {"train": 2, "eigenbasis": 2, "score": 6}),
        ("split={test_images: 5}", FROM_SPLIT),
        # Another mix of one configuration changes neither who is tested nor what the other is trained on.
        ("configurations={B: {light: 0.25, dark: 0.75}}", {"split": 1, "train": 1, "eigenbasis": 1, "score": 3}),
        ("images={fit: pad}", {"prepare": 2, **FROM_SPLIT}),
        ("datasets={other: {seed: 2}}", {"acquire": 1, "prepare": 1, "score": 2}),
    ],
)
def test_a_changed_key_reruns_what_depends_on_it(finished, change, caused):
    jobs = finished.planned("--config", change)
    assert _causes(jobs) == (caused or {})
    assert caused is not None or jobs == {}


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("slug/score.py", {"score"}),
        ("slug/eigenbasis.py", {"eigenbasis", "score"}),
        ("networks/objective.py", {"train", "eigenbasis", "score"}),
        ("datasets/splits.py", {"split", "artefacts", "train", "eigenbasis", "score"}),
        ("images/phantom/hair.py", {*COSTLY}),
        ("datasets/sources/scin.py", set()),
        ("machine/jobs.py", set()),
        ("stores/store.py", set()),
        ("figures/style.py", set()),
    ],
)
def test_an_edit_of_code_reruns_what_it_can_change_and_one_of_words_nothing(copy_of_finished, file, rules):
    path = copy_of_finished.folder / "src" / "sluguq" / file
    code = path.read_text()
    path.write_text(code.replace('"""', '"""Edited. ', 1) + "\n# Edited.\n")
    assert copy_of_finished.planned() == {}
    path.write_text(code + "\n_EDITED = 1\n")
    jobs = copy_of_finished.planned()
    assert set(_causes(jobs)) == rules
    assert ("figures" in jobs) == (bool(rules) or file.startswith("figures"))


def test_jobs_do_not_grow_with_images(finished):
    more = "datasets={skin: {counts: {1: 1400, 2: 1400, 3: 300, 5: 1400, 6: 1400}}}"
    assert finished.planned("--forceall", "--config", more) == finished.planned("--forceall")


def test_a_moved_checkout_reruns_nothing(copy_of_finished):
    assert copy_of_finished.planned() == {}


def test_an_experiment_of_another_name_shares_data_and_nothing_else(finished):
    jobs = finished.planned("--config", "experiment=another")
    assert _causes(jobs) == FROM_SPLIT


def _description(picture) -> dict:
    if picture.suffix == ".png":
        with Image.open(picture) as image:
            return json.loads(image.text["Description"])
    found = ElementTree.parse(picture).find(".//{http://purl.org/dc/elements/1.1/}description")
    return json.loads(found.text)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_from_a_figure_back_to_images_weights_configuration_and_commit(finished, ending):
    pictures = sorted((finished.results / "figures" / "skin").glob(f"*.{ending}"))
    assert pictures
    described = _description(pictures[0])
    assert all(_description(picture) == described for picture in pictures)
    assert described["synthetic"] == 1
    store = open_store(finished.folder / described["store"])
    assert described["figure commit"] == store.attrs["commit"]
    for key in ("experiment", "configuration", "versions", "commit"):
        assert described[key] == store.attrs[key]
    resolved = resolve(yaml.safe_load(described["configuration"]))
    assert (resolved.experiment, resolved.score.probes) == ("tiny", 8)
    for name in ("A", "B"):
        weights = finished.results / "models" / name / "seed-0" / "weights.safetensors"
        digest = str(store.weights_sha256.sel(configuration=name, seed=0).item())
        assert digest == hashlib.sha256(weights.read_bytes()).hexdigest()
        with safe_open(weights, framework="numpy") as file:
            assert name in json.dumps(file.metadata())
    raw = finished.folder / "data" / "raw" / "skin"
    files = pd.read_csv(raw / "images.csv", dtype=str).set_index("id").file
    for image, digest in zip(store.id.values, store.sha256.values, strict=True):
        assert hashlib.sha256((raw / files[image]).read_bytes()).hexdigest() == digest


def test_every_store_says_what_it_depends_on_and_which_code_wrote_it(finished):
    stores = [path.parent for path in finished.results.rglob("zarr.json") if (path.parent.suffix) == ".zarr"]
    assert len(stores) > 10
    for path in stores:
        attributes = open_store(path).attrs
        assert {"title", "source", "configuration", "versions", "device", "commit"} <= set(attributes), path
        assert re.match(r"[0-9a-f]{40}(-dirty)?$|unknown$", attributes["commit"])


def test_the_report_of_snakemake_holds_every_figure(finished, tmp_path):
    report = tmp_path / "report.zip"
    finished.snakemake("--report", str(report))
    with zipfile.ZipFile(report) as archive:
        names = archive.namelist()
    figures = sorted(path.name for path in (finished.results / "figures").rglob("*.svg"))
    assert figures
    assert sorted(name.rsplit("/", 1)[1] for name in names if name.endswith(".svg") and "/data/" in name) == figures
