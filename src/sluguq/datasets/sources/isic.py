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
from sluguq.datasets.base import Acquired, AcquisitionError, FileIndex, read_csv
from sluguq.datasets.download import Request
from sluguq.datasets.published import Published, find_table
from sluguq.datasets.registry import Registry
from sluguq.stores.variables import ARTEFACT_LABELS

ARTEFACTS = ARTEFACT_LABELS

_IMAGE = re.compile(r"ISIC_\d{7}(_downsampled)?$", re.IGNORECASE)
_MASK_FOLDERS = re.compile(r"mask|ground.?truth|part1", re.IGNORECASE)
_MASK_SUFFIX = "_segmentation"


def collect(options: IsicSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Find or download the images and join what labels there are.

    :raises AcquisitionError: where the list of images or of artefact labels cannot be used.
    """
    published = Published(f"isic{options.edition}", options, raw_folder, registry)
    acquired = Acquired()
    asked = _asked_ids(options.images) if options.images else None
    if options.folder:
        folders = published.local(options.folder)
    elif options.access == "bulk":
        folders = published.unpacked("images")
    else:
        assert asked is not None
        folders = [_from_archive(asked, published, acquired)]
    images, masks = _images_and_masks(folders)
    masks |= _more_masks(options, published)
    labels = _labels(options, published, folders)

    lost = {row["id"] for row in acquired.missing}
    for name in sorted(asked if asked is not None else images):
        path = images.get(name) or images.get(f"{name}_downsampled")
        if path is None:
            if name not in lost:
                acquired.lose("asked for, but not among the files", id=name)
            continue
        known = {**labels.get(_bare(path.stem), {}), **labels.get(path.stem, {})}
        mask = masks.get(path.stem) or masks.get(_bare(path.stem)) or ""
        acquired.images.append({"id": path.stem, "file": str(path), "fst": -1, "mask": str(mask), **known})
    return acquired


def _bare(name: str) -> str:
    """The archive's id of an image, without what a challenge added to it."""
    return name.removesuffix("_downsampled")


def _asked_ids(path: Path) -> list[str]:
    """Ids in a csv (column isic_id or image) or in a text file with one id a line."""
    if not path.is_file():
        raise AcquisitionError(f"there is no list of images {path}; correct the key `images`")
    ids = re.findall(r"\bISIC_\d{7}\b", path.read_text(encoding="utf-8", errors="replace"))
    if not ids:
        raise AcquisitionError(f"{path} names no image; ids look like ISIC_0000000")
    return list(dict.fromkeys(ids))


def _images_and_masks(folders: list[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and lesion masks of some folders, by name."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path, relative in FileIndex(*folders).relative.items():
        stem = path.stem
        if stem.endswith(_MASK_SUFFIX):
            masks[stem.removesuffix(_MASK_SUFFIX)] = path
        elif _IMAGE.match(stem):
            in_masks = any(_MASK_FOLDERS.search(part) for part in relative.parts[:-1])
            (masks if in_masks else images)[stem] = path
    return images, masks


def _more_masks(options: IsicSource, published: Published) -> dict[str, Path]:
    """Masks from where the options say."""
    if options.masks is None:
        return {}
    folders = published.unpacked("masks") if options.masks == "download" else [opened(options.masks, published.raw)]
    return {path.stem.removesuffix(_MASK_SUFFIX): path for path in FileIndex(*folders).files}


def _labels(options: IsicSource, published: Published, folders: list[Path]) -> dict[str, dict[str, str]]:
    """Labels and lesion of each image, by name, from all tables there are."""
    labels: dict[str, dict[str, str]] = {}

    def add(path: Path | None, columns: dict[str, str], separator: str = ",") -> None:
        if path is None:
            return
        table = read_csv(path, separator=separator)
        key = next((name for name in ("isic_id", "image", "image_id", "image_name") if name in table.columns), None)
        if key is None:
            raise AcquisitionError(f"{path} has no column isic_id or image; it has {list(table.columns)}")
        for row in table.to_dict("records"):
            found = {new: row[old] for old, new in columns.items() if row.get(old, "")}
            labels.setdefault(Path(row[key].strip()).stem, {}).update(found)

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
        add(find_table(folders, "isic_bias.csv"), artefacts, ";")
    else:
        path = published.file("artefacts") if options.artefacts == "download" else options.artefacts
        first = path.read_text(encoding="utf-8-sig").partition("\n")[0] if path.is_file() else ""
        add(path, artefacts, ";" if ";" in first else ",")
    for row in labels.values():
        for name in artefacts.values():
            if name in row:
                row[name] = str(int(float(row[name])))
    return labels


def _add_diagnoses(path: Path, labels: dict[str, dict[str, str]]) -> None:
    """Diagnoses of 2019's ground truth: one column a diagnosis, 1.0 where it holds."""
    for row in read_csv(path, columns=("image",)).to_dict("records"):
        holds = [name for name, value in row.items() if name != "image" and value and float(value) == 1]
        labels.setdefault(row["image"], {})["label_diagnosis"] = str(holds[0]) if holds else ""


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
            acquired.lose(f"the archive does not say where it is: {failures[file]}", id=name, url=f"{root}{name}/")
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
        content: Any = json.loads(answer.read_text())
        return str(content["files"]["full"]["url"])
    except (ValueError, KeyError, TypeError):
        return None
