"""What a data set lacks is told before any job, by key, with what is there instead."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from pydantic import TypeAdapter

from sluguq.config import ConfigurationError, resolve
from sluguq.config.sources import Source
from sluguq.datasets.preconditions import consents_wanted, unmet
from sluguq.stages.preflight import check_experiment, consents_lacking
from tests.places import ROOT


def options(**keys: object):
    return TypeAdapter(Source).validate_python(keys)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photographs {2024}"
    root.mkdir()
    (root / "liste.csv").write_text("Pfad;Hauttyp\na.jpg;1\n")
    return root


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"folder": "photographs {2042}"}, "folder", r"there is no folder or archive .*has photographs \{2024\}"),
        ({"table": "labels.csv"}, "table", "has liste.csv"),
        ({"columns": {"file": "Pfad", "fst": "Hautyp"}}, "columns", "did you mean 'Hauttyp'"),
        ({"separator": ","}, "columns", "separated by ';'"),
        ({"links": ["/nowhere/store"]}, "links", "there is no folder"),
        ({"folder": "photographs {2024}/liste.csv"}, "folder", "neither a zip nor a tar"),
    ],
)
def test_a_folder_of_ones_own(folder, tmp_path, change, key, message):
    keys = {"folder": folder, "table": "liste.csv", "columns": {"file": "Pfad", "fst": "Hauttyp"}}
    assert unmet(options(source="folder", **keys)) == {}
    if "folder" in change:
        change = {"folder": tmp_path / change["folder"]}
    faults = unmet(options(source="folder", **{**keys, **change}))
    assert list(faults) == [key]
    assert re.search(message, faults[key])


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ({"source": "fitzpatrick17k", "accept_licence": True, "table": "gone.csv"}, "table", "no label table gone.csv"),
        ({"source": "ddi", "folder": "/nowhere/ddi"}, "folder", "there is no folder or archive /nowhere/ddi"),
    ],
)
def test_files_of_published_data_sets(keys, key, message):
    faults = unmet(options(**keys))
    assert list(faults) == [key]
    assert message in faults[key]


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ({"source": "passion"}, "folder", "given by request"),
        ({"source": "fitzpatrick17k"}, "accept_licence", "read the licence"),
    ],
)
def test_consents(tmp_path, keys, key, message):
    wanted = consents_wanted(options(**keys), tmp_path)
    assert list(wanted) == [key]
    assert message in wanted[key]
    assert consents_wanted(options(**keys, folder="/nowhere"), tmp_path) == {}
    assert consents_wanted(options(source="scin"), tmp_path) == {}


def test_what_was_acquired_before_needs_no_licence_again(tmp_path):
    (tmp_path / "images.csv").touch()
    assert consents_wanted(options(source="fitzpatrick17k"), tmp_path) == {}


def test_all_in_one_message(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = resolve(
        {
            "experiment": "test",
            "datasets": {
                "clinic": {"source": "folder", "folder": str(tmp_path / "photografs")},
                "faces": {"source": "passion", "folder": "faces.zip"},
                "web": {"source": "fitzpatrick17k"},
                "unused": {"source": "ddi"},
            },
            "training_dataset": "clinic",
            "external_datasets": ["faces", "web"],
            "training": {"perceptual": {"file": "gone.npz"}},
        }
    )
    with pytest.raises(ConfigurationError) as caught:
        check_experiment(experiment)
    told = str(caught.value)
    assert "datasets.clinic.folder: there is no folder" in told
    assert "photographs {2024}" in told
    assert "datasets.faces.folder: " in told
    assert "training.perceptual.file: there is no file gone.npz" in told
    assert "unused" not in told
    assert "accept_licence" not in told
    assert "datasets.web.accept_licence: read the licence" in consents_lacking(experiment)
    # A job on another machine may not see the originals.
    check_experiment(experiment, inputs=False)


def test_a_wrong_column_is_not_called_no_images(folder):
    experiment = resolve(
        {
            "experiment": "test",
            "datasets": {"clinic": {"source": "folder", "folder": str(folder), "table": "liste.csv"}},
            "training_dataset": "clinic",
        }
    )
    with pytest.raises(ConfigurationError, match=r"datasets.clinic.columns: .*it has \['Pfad', 'Hauttyp'\]") as caught:
        check_experiment(experiment)
    assert "0 images" not in str(caught.value)


def test_planning_waits_for_no_heavy_package():
    code = "import sys, sluguq.stages.preflight; print(sorted({'numpy', 'pandas', 'zarr', 'PIL'} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert told.stdout.strip() == "[]"
