"""A folder is looked at, and the configuration that is proposed runs."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.__main__ import main
from sluguq.config import resolve
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.inspection import inspect_folder
from sluguq.datasets.proposal import name_for, proposed_configuration, told
from sluguq.datasets.splits import make_split
from sluguq.stages.preflight import check_experiment
from sluguq.stores.tables import read_images
from tests.datasets.misbehaving import picture


def fill(root: Path, count: int = 60, *, separator: str = ";", encoding: str = "cp1252") -> Path:
    """A folder as a clinic has it: German names, Roman numerals, sub-folders, masks, patients with several images."""
    lines = [separator.join(("Pfad", "Hauttyp", "Patient", "Läsion", "Maske", "Ort", "Notiz"))]
    for number in range(count):
        name = f"Bilder 2024/{number:03}.jpg"
        for path, content in (
            (name, picture(number, (96, 80))),
            (f"Masken/{number:03}.png", picture(number, kind="PNG")),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        fst = ("II", "V", "vi", "unbekannt")[number % 4] if number % 15 else ""
        cells = (
            name,
            fst,
            f"P{number // 2}",
            str(number % 2),
            f"Masken/{number:03}.png",
            ("Arm", "Rücken")[number % 2],
        )
        lines.append(separator.join((*cells, f"Bemerkung {number}")))
    lines.append(separator.join(("fehlt.jpg", "I", "P99", "1", "", "Arm", "")))
    (root / "Bilder 2024" / "extra.jpg").write_bytes(picture(999))
    (root / "Liste.csv").write_bytes("\r\n".join(lines).encode(encoding))
    (root / "andere.csv").write_text("a,b\n1,2\n")
    return root


def test_what_a_folder_holds(tmp_path):
    found = inspect_folder(fill(tmp_path / "Klinik"))
    assert found.table.path.name == "Liste.csv"
    assert (found.table.separator, found.table.encoding) == (";", "cp1252")
    assert found.columns == {
        "file": "Pfad",
        "fst": "Hauttyp",
        "patient": "Patient",
        "mask": "Maske",
        "lesion": "Läsion",
    }
    assert found.labels == ["Ort"]
    assert {fst: found.fst_counts[fst] for fst in (2, 5, 6)} == {2: 14, 5: 14, 6: 14}
    assert found.not_read == {"unbekannt": 14}
    assert (found.without_file, found.without_row) == (1, 1)
    assert found.short_side == 80
    text = "\n".join(told(found))
    assert "separated by ';', encoded as cp1252" in text
    assert "images by FST: 1: 0, 2: 14, 3: 0, 4: 0, 5: 14, 6: 14; without: 18" in text
    assert "'unbekannt' (14)" in text


def test_the_proposal_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    fill(tmp_path / "Klinik Süd {2024}")
    assert main(["init", "Klinik Süd {2024}"]) == 0
    program = shlex.split(re.findall(r"^  (.*) prepared ", capsys.readouterr().out, flags=re.MULTILINE)[0])
    assert shutil.which(program[0]), "what is told to be run can be run"
    experiment = resolve(yaml.safe_load((tmp_path / "config" / "klinik-s-d-2024.yaml").read_text()))
    check_experiment(experiment)
    dataset = experiment.training_dataset
    acquire(experiment.datasets[dataset], tmp_path / "raw")
    images = read_images(tmp_path / "raw" / "images.csv")
    for seed in experiment.seeds:
        make_split(
            images,
            experiment.groups,
            experiment.configurations,
            seed=seed,
            train_images=experiment.split.train_images,
            test_images=experiment.split.test_images,
        )
    # Written once; a file that a person may have changed is not written over.
    assert main(["init", "Klinik Süd {2024}"]) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_dry_run_prints_the_same_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "klinik")
    assert main(["init", "klinik", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert resolve(yaml.safe_load(printed)).experiment == "klinik"
    assert {path.name for path in tmp_path.iterdir()} == {"klinik"}


@pytest.mark.parametrize("types", ["III", "", "4"])
def test_folders_with_few_skin_types(tmp_path, types):
    (tmp_path / "images").mkdir()
    for number in range(12):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(picture(number))
    rows = "".join(f"images/{number}.jpg,{types}\n" for number in range(12))
    (tmp_path / "labels.csv").write_text("image,fitzpatrick\n" + rows)
    text = proposed_configuration(inspect_folder(tmp_path), "few", tmp_path)
    experiment = resolve(yaml.safe_load(text))
    check_experiment(experiment, inputs=False)
    assert experiment.training_dataset == ("few-photographs" if types else "phantom")


def label_table(folder: Path, text: str, count: int = 12) -> Path:
    """A folder with so many pictures and this table."""
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(picture(number))
    (folder / "labels.csv").write_text(text)
    return folder


def test_a_table_without_a_header_is_refused(tmp_path):
    rows = "".join(f"{number}.jpg,{number % 6 + 1}\n" for number in range(12))
    with pytest.raises(AcquisitionError, match=r"names a file \(0.jpg\), so it is no header"):
        inspect_folder(label_table(tmp_path, rows))


def test_a_published_table_that_lists_far_more_than_the_folder_has(tmp_path):
    rows = "".join(f"{number},{number % 6 + 1}\n" for number in range(60))
    found = inspect_folder(label_table(tmp_path, "md5hash,fitzpatrick_scale\n" + rows))
    assert found.columns == {"file": "md5hash", "fst": "fitzpatrick_scale"}
    assert found.without_file == 48


def test_measured_numbers_are_no_labels_and_labels_beyond_the_first_are_told(tmp_path):
    columns = [f"sign {number}" for number in range(9)]
    rows = "".join(
        f"{number}.jpg;{number % 2},5;{';'.join(f'{(number + k) % 2}.0' for k in range(9))}\n" for number in range(12)
    )
    found = inspect_folder(label_table(tmp_path, f"file;Größe;{';'.join(columns)}\n{rows}"))
    assert found.labels == columns[:8]
    assert found.more_labels == columns[8:]
    text = "\n".join(told(found))
    assert "add under labels what you need of 'sign 8'" in text
    assert "no column of skin types" in text


def test_letters_stay_letters_in_the_configuration(tmp_path):
    rows = "".join(f"{number}.jpg,{number % 6 + 1},{'ab'[number % 2]}\n" for number in range(12))
    found = inspect_folder(label_table(tmp_path, "file,Häuttyp (fst),Größe\n" + rows))
    text = proposed_configuration(found, "x", tmp_path)
    assert 'labels: ["Größe"]' in text
    assert yaml.safe_load(text)["datasets"]["x-photographs"]["columns"]["fst"] == "Häuttyp (fst)"


def test_folders_that_cannot_be_used(tmp_path, capsys):
    for folder, message in ((tmp_path / "nowhere", "is not there"), (tmp_path, "holds no picture file")):
        with pytest.raises(AcquisitionError, match=message):
            inspect_folder(folder)
    (tmp_path / "a.jpg").write_bytes(picture())
    (tmp_path / "labels.csv").write_text("x,y\n1,2\n")
    with pytest.raises(AcquisitionError, match=r"no table in .* names its pictures"):
        inspect_folder(tmp_path)
    assert main(["init", str(tmp_path)]) == 1
    assert "sluguq init: no table" in capsys.readouterr().err


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=4, unique=True), st.text(max_size=20))
def test_no_name_or_label_breaks_out_of_the_configuration(tmp_path_factory, names, value):
    root = tmp_path_factory.mktemp("odd")
    (root / "a.jpg").write_bytes(picture())
    columns = ["file", *(f"fst {name}" for name in names)]
    quoted = [[*columns], *[["a.jpg", *[value] * len(names)]] * 3]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in quoted]
    (root / "labels.csv").write_bytes("\n".join(lines).encode("utf-8", "replace"))
    try:
        found = inspect_folder(root)
    except AcquisitionError:
        return
    written = yaml.safe_load(proposed_configuration(found, "odd", root))
    assert set(written["datasets"]) <= {"odd-photographs", "phantom"}
    assert written["datasets"]["odd-photographs"]["columns"]["file"] == "file"
    assert written["experiment"] == "odd"


@pytest.mark.parametrize(
    ("folder", "name"), [("My Clinic (2024)", "my-clinic-2024"), ("皮肤", "own-data"), ("a" * 80, "a" * 40)]
)
def test_names_of_experiments(tmp_path, folder, name):
    assert name_for(tmp_path / folder) == name


def table_of(root: Path, header: str, row: Callable[[int], str], name: str = "labels.csv") -> Path:
    root.mkdir(exist_ok=True)
    for number in range(24):
        (root / f"{number:03}.jpg").write_bytes(picture(number))
    (root / name).write_text("\n".join((header, *(f"{n:03}.jpg,{row(n)}" for n in range(24)))))
    return root


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("file,clark_level", lambda n: ("I", "II", "III", "IV", "V")[n % 5], {}),
        ("file,stage", lambda n: ("I", "II", "III", "IV")[n % 4], {}),
        ("file,diabetes", lambda n: f"type {n % 2 + 1}", {}),
        ("file,colour", lambda n: f"phototype {n % 2 + 1}", {"fst": "colour"}),
        ("file,fst_confidence,fst", lambda n: f"{n % 5 + 1},{n % 6 + 1}", {"fst": "fst"}),
        ("file,fst_rater2,fst", lambda n: f"{n % 2 + 1},{n % 6 + 1}", {"fst": "fst"}),
        ("file,patient_age,lesion_count", lambda n: f"{n},{n % 3}", {}),
        ("file,patient_age,patient", lambda n: f"{n},p{n % 9}", {"patient": "patient"}),
    ],
)
def test_columns_that_are_called_alike_are_told_apart(tmp_path, header, row, expected):
    assert inspect_folder(table_of(tmp_path / "x", header, row)).columns == {"file": "file", **expected}


def test_signs_beyond_sixteen_bits(tmp_path):
    root = table_of(tmp_path / "\U0001f600 x", "file,fst \U0001f600", lambda n: str(n % 6 + 1))
    text = proposed_configuration(inspect_folder(root), "x", tmp_path)
    source = resolve(yaml.safe_load(text)).datasets["x-photographs"]
    assert (source.folder.name, source.columns.fst) == (root.name, "fst \U0001f600")


def test_other_tables_that_name_the_files_are_told(tmp_path):
    root = table_of(tmp_path / "x", "file,fst", lambda n: "1")
    found = inspect_folder(table_of(root, "file,fst", lambda n: "6", "second.csv"))
    assert found.table.path.name == "labels.csv"
    assert found.remarks == ["second.csv names files too; say --table if it is the one that is meant"]
