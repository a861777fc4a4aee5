"""Published sets as people really have them: opened in a spreadsheet, with masks beside, as a tool left them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from sluguq.config.sources import Source
from sluguq.datasets.acquisition import acquire
from sluguq.datasets.base import AcquisitionError
from sluguq.stores.tables import read_images, read_missing
from tests.datasets.misbehaving import picture


def acquired(raw: Path, **keys: object):
    acquire(TypeAdapter(Source).validate_python(keys), raw)
    return read_images(raw / "images.csv"), read_missing(raw / "missing.csv")


def put(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return folder


def test_scin_cases_whose_numbers_a_spreadsheet_rounded(tmp_path):
    folder = put(tmp_path / "scin", "images/1.png", "images/2.png")
    (folder / "scin_cases.csv").write_text(
        "case_id,fitzpatrick_skin_type,image_1_path\n"
        "-1.00060035414850E+18,NONE_SELECTED,dataset/images/1.png\n"
        "-1000600354148496559,NONE_SELECTED,dataset/images/2.png\n"
    )
    (folder / "scin_labels.csv").write_text(
        "case_id,dermatologist_fitzpatrick_skin_type_label_1\n-1000600354148496558,FST3\n-1000600354148496559,FST5\n"
    )
    images, missing = acquired(tmp_path / "raw", source="scin", folder=folder)
    assert dict(zip(images["id"], images["fst"], strict=True)) == {"1": -1, "2": 5}
    assert images["patient"].tolist() == ["", "-1000600354148496559"]
    assert "a spreadsheet rounded the number" in missing["reason"][0]


def test_scin_tables_that_do_not_belong_together(tmp_path):
    folder = put(tmp_path / "scin", "1.png")
    (folder / "scin_cases.csv").write_text("case_id,fitzpatrick_skin_type,image_1_path\n12,FST2,images/1.png\n")
    (folder / "scin_labels.csv").write_text("case_id,dermatologist_fitzpatrick_skin_type_label_1\n13,FST3\n")
    with pytest.raises(AcquisitionError, match=r"no case_id of .*scin_cases.csv is in .*scin_labels.csv"):
        acquired(tmp_path / "raw", source="scin", folder=folder)


HASHES = ["aaaabbbbccccddddeeeeffff00001111", "0" * 32]
HEADER = "md5hash;{};label;nine_partition_label;three_partition_label;qc;url;url_alphanum\n"


@pytest.mark.parametrize("column", ["fitzpatrick_scale", "fitzpatrick"])
def test_fitzpatrick17k_with_masks_semicolons_and_another_name_of_the_column(tmp_path, column):
    names = [f"images/{HASHES[0]}.jpg", "masks/mask_aaaabbbb.png", f"{HASHES[1]}.jpg", f"again/{HASHES[1]}.png"]
    folder = put(tmp_path / "fitzpatrick", *names)
    rows = "".join(f"{name};3;NA;y;z;;http://a/b.jpg;q\n" for name in HASHES)
    (folder / "fitzpatrick17k.csv").write_text(HEADER.format(column) + rows)
    images, missing = acquired(tmp_path / "raw", source="fitzpatrick17k", folder=folder)
    assert images["id"].tolist() == HASHES[:1]
    assert images["file"][0].endswith(names[0])
    assert images["label_condition"].tolist() == [""]
    # Two files of one name: neither is taken by chance.
    assert "2 files are called so" in missing["reason"][0]


def test_padufes20_with_two_files_of_one_stem_and_unknown_patients(tmp_path):
    folder = put(tmp_path / "pad", "a/PAT_1.png", "small/PAT_1.jpg", "a/PAT_2.png", "a/PAT_3.png")
    (folder / "metadata.csv").write_text(
        "img_id;patient_id;lesion_id;fitspatrick;diagnostic\n"
        "PAT_1.png;P1;1;2;NEV\nPAT_2.png;NA;NA;2,0;NEV\nPAT_3.png;P3;1;;NA\n"
    )
    images, missing = acquired(tmp_path / "raw", source="padufes20", folder=folder)
    assert images[["id", "fst", "patient", "lesion", "label_diagnosis"]].to_numpy().tolist() == [
        ["PAT_2.png", 2, "", "", "NEV"],
        ["PAT_3.png", -1, "P3", "P3/1", ""],
    ]
    assert "2 files are called so (a/PAT_1.png, small/PAT_1.jpg)" in missing["reason"][0]


def test_archives_within_a_folder_whatever_the_case_of_their_ending(tmp_path):
    folder = tmp_path / "pad"
    folder.mkdir()
    with zipfile.ZipFile(folder / "imgs_part_1.ZIP", "w") as archive:
        archive.writestr("PAT_1.png", picture())
    (folder / "metadata.csv").write_text("img_id,patient_id,lesion_id,fitspatrick\nPAT_1.png,P1,1,2\n")
    images, _ = acquired(tmp_path / "raw", source="padufes20", folder=folder)
    assert images["id"].tolist() == ["PAT_1.png"]


def test_isic_labels_with_signs_for_nothing_and_commas(tmp_path):
    folder = put(tmp_path / "isic", "ISIC_0000001.jpg", "ISIC_0000002.jpg")
    (folder / "labels.csv").write_text("isic_id;hair;ruler\nISIC_0000001;NA;0,0\nISIC_0000002;1,0;true\n")
    images, _ = acquired(tmp_path / "raw", source="isic", edition=2017, folder=folder)
    assert images["label_hair"].tolist() == ["", "1"]
    assert images["label_ruler"].tolist() == ["0", "1"]
    (folder / "labels.csv").write_text("isic_id,hair\nISIC_0000001,much\n")
    with pytest.raises(AcquisitionError, match="the label hair of ISIC_0000001 is 'much', which is neither 0 nor 1"):
        acquired(tmp_path / "raw", source="isic", edition=2017, folder=folder)


def test_a_ground_truth_with_a_column_of_text(tmp_path):
    folder = put(tmp_path / "isic", "ISIC_0000001.jpg")
    (folder / "ISIC_2019_Training_GroundTruth.csv").write_text("image,MEL,NV,comment\nISIC_0000001,0.0,1.0,clear\n")
    images, _ = acquired(tmp_path / "raw", source="isic", edition=2019, folder=folder)
    assert images["label_diagnosis"].tolist() == ["NV"]


def test_a_folder_as_isic_cli_leaves_it(tmp_path):
    folder = put(tmp_path / "isic", "ISIC_0000001.jpg", "ISIC_0000002.JPG")
    (folder / "metadata.csv").write_text(
        "isic_id,attribution,lesion_id,patient_id,diagnosis_1,diagnosis_3,sex\n"
        "ISIC_0000001,x,IL_1,IP_1,Benign,Nevus,female\nISIC_0000002,x,IL_2,NA,Malignant,Melanoma,\n"
    )
    images, _ = acquired(tmp_path / "raw", source="isic", edition=2019, folder=folder)
    assert images[["patient", "lesion", "label_diagnosis", "label_sex"]].to_numpy().tolist() == [
        ["IP_1", "IL_1", "Nevus", "female"],
        ["", "IL_2", "Melanoma", ""],
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_ddi_by_any_separator(tmp_path, separator):
    folder = put(tmp_path / "ddi", "000001.png")
    rows = [("", "DDI_file", "skin_tone", "malignant"), ("0", "000001.png", "56", "NA")]
    (folder / "ddi_metadata.csv").write_text("".join(separator.join(row) + "\n" for row in rows))
    images, _ = acquired(tmp_path / "raw", source="ddi", folder=folder)
    assert images[["fst", "label_malignant"]].to_numpy().tolist() == [[5, ""]]


def broken_zip(path: Path, *names: str) -> Path:
    """A zip file of pictures, of which the first has a flipped bit."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, picture(number))
    content = bytearray(path.read_bytes())
    content[30 + len(names[0]) + 40] ^= 1
    path.write_bytes(content)
    return path


def test_a_picture_that_could_not_be_unpacked_is_a_loss(tmp_path):
    """No table of ISIC says which images there are: the archive does."""
    folder = broken_zip(tmp_path / "isic.zip", "ISIC_0000001.jpg", "ISIC_0000002.jpg")
    images, missing = acquired(tmp_path / "raw", source="isic", edition=2017, folder=folder)
    assert images["id"].tolist() == ["ISIC_0000002"]
    assert missing["id"].tolist() == ["ISIC_0000001"]
    assert "broken (Bad CRC" in missing["reason"][0]


def test_links_of_a_store_are_losses_with_the_way_out(tmp_path):
    put(tmp_path / "store", "x")
    folder = put(tmp_path / "isic", "ISIC_0000002.jpg")
    (folder / "ISIC_0000001.jpg").symlink_to(tmp_path / "store" / "x")
    _, missing = acquired(tmp_path / "raw", source="isic", edition=2017, folder=folder)
    assert missing["id"].tolist() == ["ISIC_0000001"]
    assert "name that folder under `links`" in missing["reason"][0]
    images, _ = acquired(tmp_path / "raw", source="isic", edition=2017, folder=folder, links=[tmp_path / "store"])
    assert len(images) == 2


def test_a_linked_folder_that_is_not_followed_is_told_where_its_images_are_missing(tmp_path):
    put(tmp_path / "store", "a.jpg")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "images").symlink_to(tmp_path / "store")
    table = tmp_path / "table.csv"
    table.write_text("md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,"
                     "url,url_alphanum\na,1,1,acne,x,y,,http://x/a.jpg,a.jpg\n")  # fmt: skip
    with pytest.raises(
        AcquisitionError, match=r"1 x not among the files given; 1 x a link that leads out of the folder"
    ):
        acquired(tmp_path / "raw", source="fitzpatrick17k", folder=folder, table=table)


def test_a_row_whose_picture_could_not_be_unpacked_says_so(tmp_path):
    folder = tmp_path / "pad"
    folder.mkdir()
    broken_zip(folder / "imgs_part_1.zip", "PAT_1_1_1.png", "PAT_2_1_2.png")
    (folder / "metadata.csv").write_text(
        "img_id,patient_id,lesion_id,fitspatrick\nPAT_1_1_1.png,PAT_1,1,2\nPAT_2_1_2.png,PAT_2,1,3\n"
    )
    images, missing = acquired(tmp_path / "raw", source="padufes20", folder=folder)
    assert images["id"].tolist() == ["PAT_2_1_2.png"]
    assert missing["id"].tolist() == ["PAT_1_1_1.png"]
    assert "broken (Bad CRC" in missing["reason"][0]


def test_a_subject_of_passion_with_two_skin_types(tmp_path):
    folder = put(tmp_path / "passion", "AA00000001_1.jpg", "AA00000002_1.jpg")
    (folder / "label.csv").write_text(
        "subject_id,fitzpatrick\nAA00000001,3\nAA00000002,4\nAA00000001,6\nAA00000002,4\n"
    )
    images, missing = acquired(tmp_path / "raw", source="passion", folder=folder)
    assert images["fst"].tolist() == [3, 4]
    assert missing["reason"].tolist() == [
        "row 4 of label.csv: fitzpatrick is '6' here, but '3' in an earlier row, which was kept; correct one of them"
    ]


@pytest.mark.parametrize(
    ("fst_column", "lacking"),
    [("self_reported", "fitzpatrick_skin_type"), ("dermatologist", "dermatologist_fitzpatrick_skin_type_label_1")],
)
def test_a_scin_table_without_the_skin_types_is_refused(tmp_path, fst_column, lacking):
    folder = put(tmp_path / "scin", "1.png")
    (folder / "scin_cases.csv").write_text("case_id,image_1_path\n12,images/1.png\n")
    (folder / "scin_labels.csv").write_text("case_id,condition\n12,x\n")
    with pytest.raises(AcquisitionError, match=f"no column '{lacking}'"):
        acquired(tmp_path / "raw", source="scin", folder=folder, fst_column=fst_column)


def test_pictures_of_isic_by_other_names_are_listed(tmp_path):
    folder = put(
        tmp_path / "isic",
        "ISIC_0000001.jpg",
        "ISIC_0000001_superpixels.png",
        "ISIC_0000001_segmentation.png",
        "ISIC_0000002 (1).jpg",
        "IMG_1.jpg",
    )
    images, missing = acquired(tmp_path / "raw", source="isic", edition=2017, folder=folder)
    assert images["id"].tolist() == ["ISIC_0000001"]
    assert set(missing["file"]) == {"ISIC_0000002 (1).jpg", "IMG_1.jpg"}
    assert set(missing["reason"]) == {"the name is none of ISIC's, such as ISIC_0000000"}


def test_two_files_of_one_prefix_are_told(tmp_path):
    folder = put(
        tmp_path / "fitzpatrick", f"one_{HASHES[0][:8]}.jpg", f"two_{HASHES[0][:8]}.jpg", f"three_{HASHES[1][:8]}.jpg"
    )
    (folder / "fitzpatrick17k.csv").write_text(
        "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url\n"
        + "".join(f"{name},3,3,a,b,c,,http://x/y.jpg\n" for name in HASHES)
    )
    images, missing = acquired(tmp_path / "raw", source="fitzpatrick17k", folder=folder)
    assert images["id"].tolist() == [HASHES[1]]
    assert missing["id"].tolist() == [HASHES[0]]
    assert "2 files are called so" in missing["reason"][0]


def test_ids_of_isic_in_any_spelling(tmp_path):
    folder = put(tmp_path / "isic", "isic_0000001.jpg", "ISIC_0000002_downsampled.jpg", "ISIC_0000003.jpg")
    put(folder, "isic_0000001_Segmentation.png")
    (folder / "labels.csv").write_text(
        "isic_id,hair\nISIC_0000001,1\nisic_0000002,1\nISIC_0000003,0\nISIC_0000003,1\nISIC_0000001,1\n"
    )
    (tmp_path / "asked.txt").write_text("isic_0000001\nISIC_0000002\nISIC_0000003_downsampled\nISIC_0000004\n")
    keys = {"source": "isic", "edition": 2017, "folder": folder, "images": tmp_path / "asked.txt"}
    images, missing = acquired(tmp_path / "raw", **keys)
    assert images["id"].tolist() == ["ISIC_0000001", "ISIC_0000002_downsampled", "ISIC_0000003"]
    assert images["label_hair"].tolist() == ["1", "1", "0"]
    assert images["mask"].map(lambda name: Path(name).name).tolist() == ["isic_0000001_Segmentation.png", "", ""]
    assert missing.set_index("id")["reason"].to_dict() == {
        "ISIC_0000003": "row 5 of labels.csv: other labels than in an earlier row, which was kept",
        "ISIC_0000004": "asked for, but not among the files",
    }


FITZPATRICK = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url\n"
TABLES = {
    "ddi": {"ddi_metadata.csv": "DDI_file,skin_tone\none.png,12\ntwo.png,56\n"},
    "padufes20": {"metadata.csv": "img_id,patient_id,lesion_id,fitspatrick\none.png,P1,1,1\ntwo.png,P2,2,6\n"},
    "scin": {
        "scin_cases.csv": "case_id,fitzpatrick_skin_type,image_1_path\n1,FST1,images/one.png\n2,FST6,images/two.png\n",
        "scin_labels.csv": "case_id,dermatologist_fitzpatrick_skin_type_label_1\n1,FST1\n2,FST6\n",
    },
    "fitzpatrick17k": {"fitzpatrick17k.csv": f"{FITZPATRICK}one,1,1,a,b,c,,http://x\ntwo,6,6,a,b,c,,http://x\n"},
    "milk10k": {
        "MILK10k_Training_Metadata.csv": "lesion_id,isic_id,image_type,skin_tone_class\n"
        "a,one,clinical: close-up,5\nb,two,clinical: close-up,0\n"
    },
}


@pytest.mark.parametrize("source", TABLES)
def test_pictures_without_a_row_are_listed_and_those_not_wanted_are_not(tmp_path, source):
    folder = put(tmp_path / source, "one.png", "two.png", "more/three.png", "lesion_masks/one.png")
    for name, text in TABLES[source].items():
        (folder / name).write_text(text)
    images, missing = acquired(tmp_path / "raw", source=source, folder=folder, fst=[1])
    assert images["id"].map(lambda name: Path(name).stem).tolist() == ["one"]
    assert missing["id"].tolist() == ["more/three.png"]
    assert "the file has no row in " in missing["reason"][0]
