"""Data sets that are downloaded: PAD-UFES-20, SCIN, ISIC."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.base import AcquisitionError
from sluguq.stores.tables import read_images, read_missing
from tests.datasets.misbehaving import Server, mirrored, picture, table, zipped


def options(**keys: object):
    return TypeAdapter(Source).validate_python(keys)


def run(raw: Path, server: Server, manners: dict, **keys: object) -> tuple[pd.DataFrame, dict[str, str]]:
    acquire(options(downloads=manners, **keys), raw, registry=mirrored(server))
    missing = read_missing(raw / "missing.csv")
    return read_images(raw / "images.csv").set_index("id"), dict(zip(missing["id"], missing["reason"], strict=True))


PAD_ROWS = [
    {
        "patient_id": patient,
        "lesion_id": lesion,
        "fitspatrick": fst,
        "region": "ARM",
        "diagnostic": "BCC",
        "img_id": name,
    }
    for patient, lesion, fst, name in [
        ("PAT_1", 7, 3.0, "PAT_1_7_1.png"),
        ("PAT_1", 7, 3.0, "PAT_1_7_2.png"),
        ("PAT_2", 7, None, "PAT_2_7_3.png"),
        ("PAT_3", 9, 2.0, "PAT_3_9_4.png"),
    ]
]


def test_pad_ufes_20_as_published_with_zips_in_its_zip(server, manners, tmp_path):
    inner = [zipped({f"imgs_part_{n}/PAT_{p}.png": picture(n, kind="PNG")}) for n, p in ((1, "1_7_1"), (2, "1_7_2"))]
    server.files["/padufes20/images"] = zipped(
        {
            "metadata.csv": table(PAD_ROWS),
            "images/imgs_part_1.zip": inner[0],
            "images/imgs_part_2.zip": inner[1],
            "images/imgs_part_3.zip": zipped({"imgs_part_3/PAT_2_7_3.png": picture(3, kind="PNG")}),
        }
    )
    server.misdeeds["/padufes20/images"] = ["cut", "500"]
    images, reasons = run(tmp_path, server, manners, source="padufes20")
    assert images["fst"].to_dict() == {"PAT_1_7_1.png": 3, "PAT_1_7_2.png": 3, "PAT_2_7_3.png": -1}
    assert images["lesion"].tolist() == ["PAT_1/7", "PAT_1/7", "PAT_2/7"]
    assert images.loc["PAT_2_7_3.png", "label_diagnosis"] == "BCC"
    assert reasons == {"PAT_3_9_4.png": "there is no such file"}
    asked = len(server.requests)
    run(tmp_path, server, manners, source="padufes20", fst=[3])
    assert len(server.requests) == asked


def test_real_pad_ufes_20(server, manners, shared, tmp_path):
    images, reasons = run(tmp_path, server, manners, source="padufes20", folder=shared / "padufes20")
    assert images["fst"].value_counts().to_dict() == {1: 32, 2: 190, 3: 107, 4: 20, 5: 2, 6: 1, -1: 212}
    assert len(images) + len(reasons) == 2298
    assert (images["mask"] != "").mean() > 0.98
    assert {Path(path).parent.name for path in images["mask"] if path} == {"lesion_masks"}
    assert {Path(path).parent.name for path in images["file"]} == {"images"}


CASES = [
    {"case_id": "-11", "fitzpatrick_skin_type": "FST2", "image_1_shot_type": "CLOSE_UP"}
    | {"image_1_path": "dataset/images/-1.png", "image_2_path": "dataset/images/2.png"},
    {"case_id": "12", "fitzpatrick_skin_type": None, "image_1_path": "dataset/images/3.png"},
    {"case_id": "13", "fitzpatrick_skin_type": "NONE_SELECTED", "image_1_path": "dataset/images/4.png"},
    {"case_id": "14", "fitzpatrick_skin_type": "FST6", "image_1_path": "dataset/images/5.png"},
]
GRADES = "dermatologist_gradable_for_fitzpatrick_skin_type_{}"
ESTIMATES = "dermatologist_fitzpatrick_skin_type_label_{}"
LABELS = [
    {"case_id": "-11", GRADES.format(1): "YES", ESTIMATES.format(1): "FST4", ESTIMATES.format(2): "FST1"}
    | {ESTIMATES.format(3): "FST3", "weighted_skin_condition_label": "{'Eczema': 1.0}"},
    {"case_id": "12", GRADES.format(1): "YES", ESTIMATES.format(1): "FST6", ESTIMATES.format(2): "FST5"},
    {"case_id": "13", GRADES.format(1): "NO"},
]


@pytest.fixture
def scin(server: Server) -> Server:
    server.files["/scin/cases"], server.files["/scin/labels"] = table(CASES), table(LABELS)
    for name in ("-1", "2", "3", "4", "5"):
        server.files[f"/scin/imagesdataset/images/{name}.png"] = picture(int(name) + 1, kind="PNG")
    return server


def test_scin_by_the_dermatologists_median(scin, manners, tmp_path):
    scin.always["/scin/imagesdataset/images/3.png"] = "403"
    images, reasons = run(tmp_path, scin, manners, source="scin")
    assert images["fst"].to_dict() == {"-1": 3, "2": 3, "4": -1, "5": -1}
    assert images.loc["-1", "patient"] == images.loc["2", "patient"] == "-11"
    assert images.loc["-1", ["label_shot", "label_condition"]].tolist() == ["CLOSE_UP", "{'Eczema': 1.0}"]
    assert reasons == {"3": "HTTP 403 Forbidden"}
    missing = read_missing(tmp_path / "missing.csv")
    assert missing["fst"].tolist() == [5], "the lower one of two in the middle"
    images, _ = run(tmp_path, scin, manners, source="scin", gradable_only=True)
    assert set(images.index) == {"-1", "2"}


def test_scin_as_reported_by_its_contributors(scin, manners, tmp_path):
    images, _ = run(tmp_path, scin, manners, source="scin", fst_column="self_reported")
    assert images["fst"].to_dict() == {"-1": 2, "2": 2, "3": -1, "4": -1, "5": 6}
    with pytest.raises(ValidationError, match="set fst_column: dermatologist"):
        options(source="scin", fst_column="self_reported", gradable_only=True)


def test_scin_from_a_copied_bucket(scin, manners, tmp_path):
    folder = tmp_path / "bucket"
    (folder / "images").mkdir(parents=True)
    (folder / "dataset_scin_cases.csv").write_bytes(table(CASES))
    with pytest.raises(AcquisitionError, match=r"holds no scin_labels\.csv"):
        run(tmp_path / "raw", scin, manners, source="scin", folder=folder)
    (folder / "scin_labels.csv").write_bytes(table(LABELS))
    (folder / "images" / "5.png").write_bytes(picture(kind="PNG"))
    images, reasons = run(tmp_path / "raw", scin, manners, source="scin", folder=folder)
    assert images.index.tolist() == ["5"]
    assert len(reasons) == 4
    assert scin.requests == []


ARTEFACTS = b""";image;dark_corner;hair;gel_border;gel_bubble;ruler;ink;patches;label;label_string
0;ISIC_0000001.png;0;1;0;0;1;0;0;0;benign
1;ISIC_0000002.png;0;0;0;0;0;0;1;0;benign
"""


@pytest.fixture
def isic(server: Server) -> Server:
    names = ["ISIC_0000001_downsampled", "ISIC_0000002", "ISIC_0000003"]
    members = {f"ISIC_2019_Training_Input/{name}.jpg": picture(n) for n, name in enumerate(names)}
    members["ISIC_2019_Training_Input/LICENSE.txt"] = b"CC BY-NC"
    server.files["/isic2019/images"] = zipped(members)
    server.files["/isic2019/metadata"] = table(
        [
            {"image": name, "age_approx": age, "anatom_site_general": site, "lesion_id": lesion, "sex": None}
            for name, age, site, lesion in zip(
                names, (50.0, None, 30.0), ("torso", None, "head"), ("MSK4_1", "HAM_7", "HAM_7"), strict=True
            )
        ]
    )
    server.files["/isic2019/diagnoses"] = table(
        [{"image": name, "MEL": float(n == 0), "NV": float(n > 0)} for n, name in enumerate(names)]
    )
    server.files["/isic2019/artefacts"] = ARTEFACTS
    return server


KEYS = {"source": "isic", "accept_licence": True}


def test_isic_2019_in_bulk(isic, manners, tmp_path):
    images, reasons = run(tmp_path, isic, manners, artefacts="download", **KEYS)
    assert reasons == {}
    assert images.index.tolist() == ["ISIC_0000001_downsampled", "ISIC_0000002", "ISIC_0000003"]
    assert images["lesion"].tolist() == ["MSK4_1", "HAM_7", "HAM_7"]
    assert images["label_diagnosis"].tolist() == ["MEL", "NV", "NV"]
    assert images["label_ruler"].tolist() == ["1", "0", ""]
    assert images["label_patches"].tolist() == ["0", "1", ""]
    assert set(images["fst"]) == {-1}


def test_isic_only_the_images_of_a_list(isic, manners, tmp_path):
    (tmp_path / "list.txt").write_text("ISIC_0000001\nISIC_0000002.jpg\nISIC_0000009\n")
    images, reasons = run(tmp_path / "raw", isic, manners, images=tmp_path / "list.txt", **KEYS)
    assert images.index.tolist() == ["ISIC_0000001_downsampled", "ISIC_0000002"]
    assert reasons == {"ISIC_0000009": "asked for, but not among the files"}
    (tmp_path / "empty.txt").write_text("nothing")
    with pytest.raises(AcquisitionError, match="names no image"):
        run(tmp_path / "raw", isic, manners, images=tmp_path / "empty.txt", **KEYS)


def test_isic_one_by_one_through_the_archive(isic, manners, tmp_path):
    for number in (1, 2, 4):
        name = f"ISIC_000000{number}"
        answer = {"isic_id": name, "files": {"full": {"url": f"{isic.root}/store/{name}.jpg?signature=secret"}}}
        isic.files[f"/isic2019/archive{name}/"] = json.dumps(answer).encode()
        isic.files[f"/store/{name}.jpg"] = picture(number)
    isic.files["/isic2019/archiveISIC_0000005/"] = b'{"detail": "none"}'
    isic.misdeeds["/isic2019/archiveISIC_0000002/"] = ["429 0"]
    isic.always["/store/ISIC_0000004.jpg?signature=secret"] = "403"
    (tmp_path / "list.csv").write_text("isic_id\n" + "\n".join(f"ISIC_000000{n}" for n in (1, 2, 3, 4, 5)))
    keys = {**KEYS, "access": "archive", "images": tmp_path / "list.csv", "artefacts": "download"}
    images, reasons = run(tmp_path / "raw", isic, manners, **keys)
    assert images.index.tolist() == ["ISIC_0000001", "ISIC_0000002"]
    assert images["label_patches"].tolist() == ["0", "1"]
    assert set(reasons) == {"ISIC_0000003", "ISIC_0000004", "ISIC_0000005"}
    assert "HTTP 404" in reasons["ISIC_0000003"]
    assert reasons["ISIC_0000004"] == "HTTP 403 Forbidden"
    assert "holds no address" in reasons["ISIC_0000005"]
    assert "secret" not in (tmp_path / "raw" / "missing.csv").read_text()
    isic.always.clear()
    images, _ = run(tmp_path / "raw", isic, manners, **keys)
    assert "ISIC_0000004" in images.index
    assert isic.asked("/store/ISIC_0000001.jpg?signature=secret") == 1


def test_isic_2018_with_published_masks(server, manners, tmp_path):
    server.files["/isic2018/images"] = zipped(
        {f"ISIC2018_Task1-2_Training_Input/ISIC_000000{n}.jpg": picture(n) for n in (1, 2)}
    )
    server.files["/isic2018/masks"] = zipped(
        {"ISIC2018_Task1_Training_GroundTruth/ISIC_0000002_segmentation.png": picture(9, kind="PNG")}
    )
    images, _ = run(tmp_path, server, manners, edition=2018, masks="download", **KEYS)
    assert [Path(mask).name for mask in images["mask"]] == ["", "ISIC_0000002_segmentation.png"]


def test_isic_options_that_cannot_work():
    with pytest.raises(ValidationError, match="no published masks"):
        options(source="isic", masks="download")
    with pytest.raises(ValidationError, match="needs `images`"):
        options(source="isic", access="archive")
    with pytest.raises(ValidationError, match="no skin type"):
        options(source="isic", fst=[1, 2])
    with pytest.raises(ValidationError, match="edition"):
        options(source="isic", edition=2016)


def test_real_isic_2017_with_artefact_labels(server, manners, shared, tmp_path):
    images, reasons = run(tmp_path, server, manners, source="isic", edition=2017, folder=shared / "isic2017")
    assert len(images) == 93
    assert reasons == {}
    names = ["dark_corner", "hair", "gel_border", "gel_bubble", "ruler", "ink", "patches"]
    labels = images[[f"label_{name}" for name in names]]
    assert (labels == "1").any(axis=1).sum() == 71
    assert set(labels.to_numpy().ravel()) == {"", "0", "1"}
    assert (images["mask"] != "").all()


MILK_ROWS = [
    {"lesion_id": lesion, "image_type": kind, "isic_id": name, "skin_tone_class": tone, "sex": "female",
     "age_approx": 40, "site": "trunk", "MONET_hair": hair}
    for lesion, kind, name, tone, hair in [
        ("IL_1", "clinical: close-up", "ISIC_1", 5, 0.1),
        ("IL_1", "dermoscopic", "ISIC_2", 5, 0.9),
        ("IL_2", "clinical: close-up", "ISIC_3", 0, 0.2),
        ("IL_3", "clinical: close-up", "ISIC_4", None, 0.3),
        ("IL_4", "clinical: close-up", "ISIC_5", 9, 0.3),
        ("IL_5", "clinical: close-up", "ISIC_6", 3, 0.3),
        ("IL_6", "thermal", "ISIC_7", 3, 0.3),
    ]
]  # fmt: skip


def milk(server: Server) -> None:
    pictures = {f"MILK10k_Training_Input/{row['lesion_id']}/{row['isic_id']}.jpg": picture(n)
                for n, row in enumerate(MILK_ROWS) if row["isic_id"] != "ISIC_6"}  # fmt: skip
    server.files["/milk10k/images"] = zipped(pictures)
    server.files["/milk10k/metadata"] = table(MILK_ROWS)
    server.files["/milk10k/supplement"] = table([{"isic_id": "ISIC_3", "MONET_gel": 0.5, "diagnosis_full": "x"}])
    server.files["/milk10k/diagnoses"] = table(
        [
            {"lesion_id": "IL_1", "MEL": 0, "NV": 1},
            {"lesion_id": "IL_2", "MEL": 1, "NV": 1},
            {"lesion_id": "IL_3", "MEL": 1, "NV": 0},
            {"lesion_id": "IL_3", "MEL": 0, "NV": 1},
        ]
    )


def test_milk10k_has_a_skin_tone_of_its_own_and_scores_of_what_is_not_skin(server, manners, tmp_path):
    milk(server)
    server.misdeeds["/milk10k/images"] = ["cut", "500"]
    images, reasons = run(tmp_path, server, manners, source="milk10k", accept_licence=True)
    assert images["fst"].to_dict() == {"ISIC_1": 1, "ISIC_3": 6, "ISIC_4": -1}
    assert images["label_skin_tone_class"].to_dict() == {"ISIC_1": "5", "ISIC_3": "0", "ISIC_4": ""}
    assert images["label_diagnosis"].to_dict() == {"ISIC_1": "NV", "ISIC_3": "", "ISIC_4": ""}
    assert images.loc["ISIC_3", "label_monet_gel"] == "0.5"
    assert images.loc["ISIC_1", "label_monet_hair"] == "0.1"
    assert reasons["ISIC_5"] == "column skin_tone_class: '9' is none of 0 to 5"
    assert reasons["ISIC_6"] == "there is no such file"
    assert "'thermal' is none of" in reasons["ISIC_7"]


def test_both_images_of_a_lesion_of_milk10k_stay_together(server, manners, tmp_path):
    milk(server)
    images, _ = run(tmp_path, server, manners, source="milk10k", accept_licence=True, images="both", fst=[1])
    assert images["lesion"].to_dict() == {"ISIC_1": "IL_1", "ISIC_2": "IL_1"}


def test_milk10k_from_a_folder_without_any_request(server, manners, tmp_path):
    folder = tmp_path / "mine"
    (folder / "IL_1").mkdir(parents=True)
    (folder / "IL_1" / "ISIC_1.jpg").write_bytes(picture(0))
    (folder / "MILK10k_Training_Metadata.csv").write_bytes(table(MILK_ROWS[:1]))
    images, _ = run(tmp_path / "raw", server, manners, source="milk10k", folder=folder)
    assert images["fst"].to_dict() == {"ISIC_1": 1}
    assert not server.requests
    (folder / "MILK10k_Training_Metadata.csv").unlink()
    with pytest.raises(AcquisitionError, match=r"holds no MILK10k_Training_Metadata\.csv"):
        run(tmp_path / "raw", server, manners, source="milk10k", folder=folder)
