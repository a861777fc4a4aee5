"""PASSION: children's skin conditions in Sub-Saharan Africa, FST 3 to 6; by request, hence from a folder.

`label.csv` has one row per subject (subject_id, country, age, sex, fitzpatrick, body_loc, impetig, conditions_PASSION);
images are named `<subject_id>_<n>.jpg`, several a subject. `PASSION_split.csv` (subject_id, Split) is the official
split.
"""

from __future__ import annotations

import re
from pathlib import Path

from sluguq.config.sources import PassionSource
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.label_tables import read_labels
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, find_table
from sluguq.datasets.registry import Registry
from sluguq.datasets.skin_types import parse_fst

LABELS = {
    "conditions_PASSION": "condition",
    "impetig": "impetigo",
    "country": "country",
    "age": "age",
    "sex": "sex",
    "body_loc": "body_location",
}

_SUBJECT = re.compile(r"[A-Za-z]+[0-9]+")


def collect(options: PassionSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Match the images with their subjects.

    :raises AcquisitionError: where no folder is given, or it lacks label.csv or the split that is asked for.
    """
    published = Published("passion", options, raw_folder, registry)
    folders, table_path = published.by_request(options.folder, "label.csv")
    table = read_labels(table_path, columns=("subject_id", "fitzpatrick"))
    splits = _splits(options, folders)

    acquired = Acquired()
    subjects = table.first_rows("subject_id", "fitzpatrick", acquired)
    acquired.lose_unread_rows(table.path.name, table.refused)
    subjects_seen: set[str] = set()
    for path in published.index(*folders).files:
        match = _SUBJECT.match(path.stem)
        subject = match.group() if match else ""
        row = subjects.get(subject)
        if row is None:
            acquired.lose(f"no subject {subject!r} in label.csv", id=path.stem, file=str(path))
            continue
        subjects_seen.add(subject)
        split = splits.get(subject, "")
        if options.split != "all" and split != options.split:
            continue
        try:
            fst = parse_fst(row["fitzpatrick"])
        except ValueError as error:
            acquired.lose(f"subject {subject}: {error}", id=path.stem, file=str(path))
            continue
        if options.fst is not None and fst not in options.fst:
            continue
        labels = {f"label_{name}": said(row[column]) for column, name in LABELS.items() if column in row}
        acquired.images.append(
            {"id": path.stem, "file": str(path), "fst": fst, "patient": subject, "label_split": split, **labels}
        )
    for subject in sorted(set(subjects) - subjects_seen):
        acquired.lose("label.csv has the subject, but there is no image", id=subject)
    published.explain_losses(acquired, all_are_wanted=True)
    return acquired


def _splits(options: PassionSource, folders: list[Path]) -> dict[str, str]:
    """`train` or `test` of each subject; empty where there is no split table and none is needed."""
    path = options.split_table or find_table(folders, "PASSION_split.csv")
    if path is None:
        if options.split == "all":
            return {}
        raise AcquisitionError(
            f"split: {options.split} needs PASSION_split.csv; it is in the repository Digital-Dermatology/"
            "PASSION-Evaluation: put it into the folder, or name it with split_table"
        )
    table = read_labels(path, columns=("subject_id", "Split"))
    return {row["subject_id"].strip(): row["Split"].strip().lower() for row in table.rows}
