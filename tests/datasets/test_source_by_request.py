"""Data sets that must be asked for: PASSION and DDI, from a folder or zip."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.base import AcquisitionError
from sluguq.stores.tables import read_images, read_missing
from tests.datasets.misbehaving import picture, table, zipped


def run(raw: Path, **keys: object) -> tuple[pd.DataFrame, dict[str, str]]:
    acquire(TypeAdapter(Source).validate_python(keys), raw)
    missing = read_missing(raw / "missing.csv")
    return read_images(raw / "images.csv").set_index("id"), dict(zip(missing["id"], missing["reason"], strict=True))


@pytest.mark.parametrize(
    ("source", "where"),
    [("passion", "https://passionderm.github.io/"), ("ddi", "https://stanfordaimi.azurewebsites.net")],
)
def test_without_a_folder_the_error_says_where_to_ask(source, where, tmp_path):
    with pytest.raises(AcquisitionError, match=rf"{where}(.|\n)*set the key `folder`"):
        run(tmp_path, source=source)


SUBJECTS = [
    {"subject_id": "AA001", "country": "Malawi", "age": 4, "sex": "f", "fitzpatrick": 5, "body_loc": "arm"},
    {"subject_id": "AA002", "country": "Guinea", "age": 7, "sex": "m", "fitzpatrick": 6, "body_loc": "leg"},
    {"subject_id": "BB003", "country": "Guinea", "age": 2, "sex": "m", "fitzpatrick": 3, "body_loc": "leg"},
    {"subject_id": "BB004", "country": "Guinea", "age": 2, "sex": "m", "fitzpatrick": 8, "body_loc": "leg"},
    {"subject_id": "BB005", "country": "Guinea", "age": 2, "sex": "m", "fitzpatrick": 4, "body_loc": "leg"},
]
FILES = ["AA001_1.jpg", "AA001_2.JPG", "AA002_01.jpeg", "BB003_1.jpg", "BB004_1.jpg", "CC006_1.jpg"]


@pytest.fixture(params=["folder", "zip"])
def passion(request, tmp_path) -> Path:
    members = {f"PASSION/images/{name}": picture(n) for n, name in enumerate(FILES)}
    rows = [{**subject, "impetig": 0, "conditions_PASSION": "Eczema"} for subject in SUBJECTS]
    members["PASSION/label.csv"] = table(rows)
    splits = [
        {"subject_id": f"{row['subject_id']}", "Split": "TRAIN" if n < 2 else "TEST"} for n, row in enumerate(rows)
    ]
    members["PASSION/PASSION_split.csv"] = table(splits)
    if request.param == "zip":
        (tmp_path / "passion.zip").write_bytes(zipped(members))
        return tmp_path / "passion.zip"
    for name, content in members.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path / "PASSION"


def test_passion(passion, tmp_path):
    images, reasons = run(tmp_path / "raw", source="passion", folder=passion)
    assert images["fst"].to_dict() == {"AA001_1": 5, "AA001_2": 5, "AA002_01": 6, "BB003_1": 3}
    assert images["patient"].tolist() == ["AA001", "AA001", "AA002", "BB003"]
    assert images.loc["AA002_01", ["label_country", "label_condition", "label_split"]].tolist() == [
        "Guinea",
        "Eczema",
        "train",
    ]
    assert set(reasons) == {"BB004_1", "CC006_1", "BB005"}
    assert "'8' is no Fitzpatrick" in reasons["BB004_1"]
    assert "no subject 'CC006'" in reasons["CC006_1"]
    assert "there is no image" in reasons["BB005"]


def test_passions_official_split_and_skin_types(passion, tmp_path):
    images, _ = run(tmp_path / "raw", source="passion", folder=passion, split="test")
    assert images.index.tolist() == ["BB003_1"]
    images, _ = run(tmp_path / "raw", source="passion", folder=passion, fst=[5, 6])
    assert images.index.tolist() == ["AA001_1", "AA001_2", "AA002_01"]


def test_passion_without_its_tables(tmp_path):
    (tmp_path / "mine" / "images").mkdir(parents=True)
    (tmp_path / "mine" / "images" / "AA001_1.jpg").write_bytes(picture())
    with pytest.raises(AcquisitionError, match=r"holds no label\.csv"):
        run(tmp_path / "raw", source="passion", folder=tmp_path / "mine")
    (tmp_path / "mine" / "label.csv").write_bytes(table(SUBJECTS))
    with pytest.raises(AcquisitionError, match=r"needs PASSION_split\.csv"):
        run(tmp_path / "raw", source="passion", folder=tmp_path / "mine", split="train")
    images, _ = run(tmp_path / "raw", source="passion", folder=tmp_path / "mine")
    assert images.index.tolist() == ["AA001_1"]


@pytest.fixture
def ddi(tmp_path) -> Path:
    folder = tmp_path / "ddi"
    folder.mkdir()
    rows = [
        {"DDI_ID": n, "DDI_file": f"00000{n}.png", "skin_tone": tone, "malignant": n % 2 == 0, "disease": "nevus"}
        for n, tone in enumerate([12, 34, 56, 78, 56], start=1)
    ]
    (folder / "ddi_metadata.csv").write_bytes(table(rows))
    for n in range(1, 5):
        (folder / f"00000{n}.png").write_bytes(picture(n, kind="PNG"))
    return folder


def test_ddi(ddi, tmp_path):
    images, reasons = run(tmp_path / "raw", source="ddi", folder=ddi)
    assert images["fst"].to_dict() == {"000001.png": 1, "000002.png": 3, "000003.png": 5}
    assert images["label_fst_band"].tolist() == ["1-2", "3-4", "5-6"]
    assert images["label_malignant"].tolist() == ["False", "True", "False"]
    assert reasons == {"000004.png": "skin_tone '78' is none of 12, 34, 56", "000005.png": "there is no such file"}
    images, _ = run(tmp_path / "raw", source="ddi", folder=ddi, fst=[1, 6])
    assert images["label_fst_band"].tolist() == ["1-2", "5-6"]


def test_ddi_without_its_table(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(AcquisitionError, match=r"holds no ddi_metadata\.csv"):
        run(tmp_path / "raw", source="ddi", folder=tmp_path / "mine")
