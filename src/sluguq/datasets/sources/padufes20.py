"""PAD-UFES-20: smartphone photographs of six kinds of lesion, with FST, patients and lesions.

`metadata.csv` has one row per image. The FST is in the column `fitspatrick` (the data set's own spelling), empty for
about a third of the images. The published record has no lesion masks; masks of the same names are used where a
folder has them.
"""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import PadUfes20Source
from sluguq.datasets.archives import opened
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.label_tables import read_labels
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, by_stem, find_table, list_without_row, the_one
from sluguq.datasets.registry import Registry
from sluguq.datasets.skin_types import parse_fst

MASKS = "lesion_masks"
LABELS = {"diagnostic": "diagnosis", "region": "region", "biopsed": "biopsied", "age": "age", "gender": "gender"}


def collect(options: PadUfes20Source, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Match the table with the images.

    :raises AcquisitionError: where the folder lacks metadata.csv.
    """
    published = Published("padufes20", options, raw_folder, registry)
    folders = published.local(options.folder) if options.folder else published.unpacked("images")
    table_path = find_table(folders, "metadata.csv")
    if table_path is None:
        raise AcquisitionError(f"{folders[0]} holds no metadata.csv. {published.entry.obtain}")
    table = read_labels(table_path, columns=("img_id", "patient_id", "lesion_id", "fitspatrick"))
    index = published.index(*folders)
    files = index.relative
    images = by_stem(path for path, relative in files.items() if MASKS not in relative.parts)
    if options.masks:
        masks = by_stem(published.index(opened(options.masks, raw_folder)).files)
    else:
        masks = by_stem(path for path, relative in files.items() if MASKS in relative.parts)

    acquired = Acquired()
    acquired.lose_unread_rows(table.path.name, table.refused)
    for row in table.rows:
        name = row["img_id"].strip()
        try:
            fst = parse_fst(row["fitspatrick"])
        except ValueError as error:
            acquired.lose(f"column fitspatrick: {error}", id=name, file=name)
            continue
        if options.fst is not None and fst not in options.fst:
            continue
        try:
            path = the_one(images, Path(name).stem)
            mask = the_one(masks, path.stem) if path.stem in masks else ""
        except LookupError as error:
            acquired.lose(str(error), id=name, file=name, fst=fst)
            continue
        patient, lesion = said(row["patient_id"]), said(row["lesion_id"])
        acquired.images.append(
            {
                "id": name,
                "file": str(path),
                "fst": fst,
                "patient": patient,
                "lesion": f"{patient}/{lesion}" if patient and lesion else lesion,
                "mask": str(mask),
                **{f"label_{label}": said(row[column]) for column, label in LABELS.items() if column in row},
            }
        )
    list_without_row(acquired, index, table.path.name, (row["img_id"] for row in table.rows))
    published.explain_losses(acquired)
    return acquired
