"""ISIC challenge training images: dermoscopy without FST, for validation of maps on artefacts.

Images are named `ISIC_<number>` (2019 adds `_downsampled` to some). Lesion ids come with 2019 (`lesion_id` of the
metadata; HAM10000 and BCN20000 have several images a lesion), diagnoses with 2019's ground truth, lesion masks with
2017 and 2018. Artefact labels (Bissoto et al. 2020) say for 2,594 images of 2018 whether there is a dark corner,
hair, gel border, gel bubbles, ruler, ink or patch; there are no artefact masks. A folder may also hold one
`labels.csv` with the columns isic_id, the artefacts' names and lesion_mask.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sluguq.config.sources import IsicSource
from sluguq.datasets.archives import opened
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.download import DownloadError, Request
from sluguq.datasets.files import FileIndex
from sluguq.datasets.label_tables import read_labels
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, by_stem, find_table, the_one
from sluguq.datasets.registry import Registry
from sluguq.stores.variables import ARTEFACT_LABELS

ARTEFACTS = ARTEFACT_LABELS

DIAGNOSES = {"diagnosis": "label_diagnosis", "diagnosis_1": "label_diagnosis", "diagnosis_3": "label_diagnosis"}
"""Columns that isic-cli writes a diagnosis in; the most particular last."""

_IMAGE = re.compile(r"ISIC_\d{7}(_downsampled)?$", re.IGNORECASE)
_ASKED = re.compile(r"\bISIC_\d{7}(?:_downsampled)?(?!\d)", re.IGNORECASE)
_ID_LENGTH = len("ISIC_0000000")
_MASK_FOLDERS = re.compile(r"mask|ground.?truth|part1", re.IGNORECASE)
_MASK_SUFFIX = "_segmentation"
_BESIDE = re.compile(r"^ISIC_\d{7}_(superpixels|attribute_\w+)$", re.IGNORECASE)
"""What the challenges gave besides images and lesion masks."""


def collect(options: IsicSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Find or download the images and join what labels there are.

    :raises AcquisitionError: where the list of images or of artefact labels cannot be used.
    """
    published = Published(f"isic{options.edition}", options, raw_folder, registry)
    acquired = Acquired()
    ids = _asked_ids(options.images.expanduser()) if options.images else None
    if options.folder:
        folders = published.local(options.folder)
    elif options.access == "bulk":
        folders = published.unpacked("images")
    else:
        assert ids is not None
        ids = list(dict.fromkeys(map(_bare, ids)))
        folders = [_from_archive(ids, published, acquired)]
    absent = {row["id"] for row in acquired.missing}
    images, masks, others = _images_and_masks(published.index(*folders))
    masks |= _more_masks(options, published)
    labels = _labels(options, published, folders, acquired)

    for name in sorted(ids if ids is not None else images):
        spellings = (name, _bare(name), f"{name}_downsampled")
        there = next((spelling for spelling in spellings if spelling in images), name)
        if there not in images:
            if name not in absent:
                acquired.lose("asked for, but not among the files", id=name)
            continue
        try:
            path = the_one(images, there)
        except LookupError as error:
            acquired.lose(str(error), id=name)
            continue
        row_labels = {**labels.get(_bare(there), {}), **labels.get(there, {})}
        mask = masks.get(there) or masks.get(_bare(there)) or ""
        acquired.images.append({"id": there, "file": str(path), "fst": -1, "mask": str(mask), **row_labels})
    for name in others if ids is None else ():
        acquired.lose("the name is none of ISIC's, such as ISIC_0000000", id=Path(name).stem, file=name)
    published.explain_losses(acquired, all_are_wanted=ids is None)
    return acquired


def _canonical(name: str) -> str:
    """A name as the archive and the challenges write it, however it is spelt: ISIC_0000000_downsampled."""
    return name[:_ID_LENGTH].upper() + name[_ID_LENGTH:].lower()


def _bare(name: str) -> str:
    """The archive's id of an image, without what a challenge added to it."""
    return name.removesuffix("_downsampled")


def _asked_ids(path: Path) -> list[str]:
    """Ids in a csv (column isic_id or image) or in a text file with one id a line."""
    if not path.is_file():
        raise AcquisitionError(f"there is no list of images {path}; correct the key `images`")
    ids = map(_canonical, _ASKED.findall(path.read_text(encoding="utf-8", errors="replace")))
    asked = list(dict.fromkeys(ids))
    if not asked:
        raise AcquisitionError(f"{path} names no image; ids look like ISIC_0000000")
    return asked


def _images_and_masks(index: FileIndex) -> tuple[dict[str, list[Path]], dict[str, Path], list[str]]:
    """Images and lesion masks of some folders, by name; and the names of pictures that are neither."""
    images: list[Path] = []
    masks: dict[str, Path] = {}
    others: list[str] = []
    for path, relative in index.relative.items():
        stem = path.stem
        if stem.lower().endswith(_MASK_SUFFIX):
            masks[_canonical(stem[: -len(_MASK_SUFFIX)])] = path
        elif _IMAGE.match(stem):
            if any(_MASK_FOLDERS.search(part) for part in relative.parts[:-1]):
                masks[_canonical(stem)] = path
            else:
                images.append(path)
        elif not _BESIDE.search(stem):
            others.append(relative.as_posix())
    found: dict[str, list[Path]] = {}
    for stem, paths in by_stem(images).items():
        found.setdefault(_canonical(stem), []).extend(paths)
    return found, masks, others


def _more_masks(options: IsicSource, published: Published) -> dict[str, Path]:
    """Masks from where the options say."""
    if options.masks is None:
        return {}
    folders = published.unpacked("masks") if options.masks == "download" else [opened(options.masks, published.raw)]
    return {_canonical(path.stem).removesuffix(_MASK_SUFFIX): path for path in published.index(*folders).files}


def _labels(
    options: IsicSource, published: Published, folders: list[Path], acquired: Acquired
) -> dict[str, dict[str, str]]:
    """Labels and lesion of each image, by name, from all tables there are."""
    labels: dict[str, dict[str, str]] = {}

    def add(path: Path | None, columns: dict[str, str]) -> None:
        if path is None:
            return
        table = read_labels(path)
        key = next((name for name in ("isic_id", "image", "image_id", "image_name") if name in table.columns), None)
        if key is None:
            raise AcquisitionError(f"{path} has no column isic_id or image; it has {list(table.columns)}")
        of_table: dict[str, dict[str, str]] = {}
        for number, row in enumerate(table.rows):
            values = {new: said(row[old]) for old, new in columns.items() if said(row.get(old, ""))}
            name = _canonical(Path(row[key].strip()).stem)
            if of_table.setdefault(name, values) != values:
                acquired.lose(f"{table.place(number)}: other labels than in an earlier row, which was kept", id=name)
        for name, values in of_table.items():
            labels.setdefault(name, {}).update(values)

    artefacts = {name: f"label_{name}" for name in ARTEFACTS}
    metadata = {
        "lesion_id": "lesion",
        "anatom_site_general": "label_site",
        "sex": "label_sex",
        "age_approx": "label_age",
    }
    local = options.folder is not None or options.access == "archive"
    for key, columns in (("metadata", metadata), ("diagnoses", {})):
        if key not in published.entry.files:
            continue
        path = find_table(folders, published.registered(key).name)
        path = path if path or local else published.file(key)
        if path and key == "diagnoses":
            _add_diagnoses(path, labels)
        else:
            add(path, columns)
    if options.artefacts is None:
        add(find_table(folders, "labels.csv"), artefacts)
        add(find_table(folders, "isic_bias.csv"), artefacts)
    else:
        add(published.file("artefacts") if options.artefacts == "download" else options.artefacts, artefacts)
    # A folder as isic-cli leaves it.
    add(find_table(folders, "metadata.csv"), metadata | {"patient_id": "patient", **DIAGNOSES})
    for name, row in labels.items():
        for column in artefacts.values():
            if column in row:
                row[column] = _yes_or_no(row[column], f"{column.removeprefix('label_')} of {name}")
    return labels


def _yes_or_no(cell: str, what: str) -> str:
    """0 or 1, whether it is written with a comma, a point or in words.

    :raises AcquisitionError: where it says neither.
    """
    answer = {"true": "1", "yes": "1", "false": "0", "no": "0"}.get(cell.lower(), cell.replace(",", "."))
    try:
        number = float(answer)
    except ValueError:
        number = -1.0
    if number not in (0, 1):
        raise AcquisitionError(f"the label {what} is {cell!r}, which is neither 0 nor 1; correct the table")
    return str(int(number))


def _add_diagnoses(path: Path, labels: dict[str, dict[str, str]]) -> None:
    """Diagnoses of 2019's ground truth: one column a diagnosis, 1.0 where it holds."""
    for row in read_labels(path, columns=("image",)).rows:
        holds = [name for name, cell in row.items() if name != "image" and _is_one(cell)]
        labels.setdefault(_canonical(row["image"].strip()), {})["label_diagnosis"] = holds[0] if holds else ""


def _is_one(cell: str) -> bool:
    """Whether a cell of a ground truth says that a diagnosis holds; text columns beside them say nothing."""
    try:
        return float(cell.replace(",", ".")) == 1
    except ValueError:
        return False


def _from_archive(asked: list[str], published: Published, acquired: Acquired) -> Path:
    """Download single images: the archive's interface is asked for each image's address, which holds for a while."""
    folder = published.raw / "archive"
    lacking = [name for name in asked if not (folder / f"{name}.jpg").is_file()]
    root = published.registered("archive").url
    answers = {name: folder / "answers" / f"{name}.json" for name in lacking}
    failures = published.pictures([Request(f"{root}{name}/", file) for name, file in answers.items()])
    requests: dict[str, Request] = {}
    for name, file in answers.items():
        if file in failures:
            words = f"the archive does not say where it is: {failures[file]}"
            acquired.lose(DownloadError(words, may_pass=failures[file].may_pass), id=name, url=f"{root}{name}/")
            continue
        url = _address(file)
        file.unlink()
        if url is None:
            acquired.lose("the archive's answer holds no address", id=name, url=f"{root}{name}/")
        else:
            requests[name] = Request(url, folder / f"{name}.jpg", picture=True)
    failures = published.pictures(list(requests.values()))
    for name, request in requests.items():
        if request.target in failures:
            # The signed part of the address is of no use to a reader.
            acquired.lose(failures[request.target], id=name, url=request.url.partition("?")[0])
    folder.mkdir(exist_ok=True)
    return folder


def _address(answer: Path) -> str | None:
    """The address of the full image in the archive's answer."""
    try:
        content: Any = json.loads(answer.read_text(encoding="utf-8"))
        return str(content["files"]["full"]["url"])
    except (ValueError, KeyError, TypeError):
        return None
