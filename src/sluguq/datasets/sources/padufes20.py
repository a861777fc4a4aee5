"""PAD-UFES-20: smartphone photographs of six kinds of lesion, with FST, patients and lesions.

`metadata.csv` has a row an image. The FST is in the column `fitspatrick` (the data set's own spelling), empty for
about a third of the images. The published record has no lesion masks; masks of the same names are used where a
folder has them.
"""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import PadUfes20Source
from sluguq.datasets.archives import opened
from sluguq.datasets.base import Acquired, AcquisitionError, FileIndex, read_csv
from sluguq.datasets.published import Published, find_table
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
    table = read_csv(table_path, columns=("img_id", "patient_id", "lesion_id", "fitspatrick"))
    files = FileIndex(*folders).relative
    images = {path.stem: path for path, relative in files.items() if MASKS not in relative.parts}
    if options.masks:
        masks = {path.stem: path for path in FileIndex(opened(options.masks, raw_folder)).files}
    else:
        masks = {path.stem: path for path, relative in files.items() if MASKS in relative.parts}

    acquired = Acquired()
    for row in table.to_dict("records"):
        name = row["img_id"].strip()
        try:
            fst = parse_fst(row["fitspatrick"])
        except ValueError as error:
            acquired.lose(f"column fitspatrick: {error}", id=name, file=name)
            continue
        if options.fst is not None and fst not in options.fst:
            continue
        path = images.get(Path(name).stem)
        if path is None:
            acquired.lose("there is no such file", id=name, file=name, fst=fst)
            continue
        mask = masks.get(path.stem, "")
        acquired.images.append(
            {
                "id": name,
                "file": str(path),
                "fst": fst,
                "patient": row["patient_id"],
                "lesion": f"{row['patient_id']}/{row['lesion_id']}",
                "mask": str(mask),
                **{f"label_{label}": row[column] for column, label in LABELS.items() if column in row},
            }
        )
    return acquired
