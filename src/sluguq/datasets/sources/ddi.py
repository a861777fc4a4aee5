"""DDI: biopsied lesions in three bands of FST; by request, hence from a folder.

`ddi_metadata.csv` has one row per image: DDI_file, skin_tone (12, 34 or 56: FST 1-2, 3-4 or 5-6), malignant, disease.
A band is no single skin type. `fst` takes the band's lighter type (1, 3, 5), which is right for every group that is
made of whole bands, and `label_fst_band` keeps the band; a group that parts a band has no meaning on this data set.
"""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import DdiSource
from sluguq.datasets.base import Acquired
from sluguq.datasets.label_tables import read_labels
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, list_without_row
from sluguq.datasets.registry import Registry

BANDS = {"12": 1, "34": 3, "56": 5}


def collect(options: DdiSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Match the table with the images.

    :raises AcquisitionError: where no folder is given, or it lacks ddi_metadata.csv.
    """
    published = Published("ddi", options, raw_folder, registry)
    folders, table_path = published.by_request(options.folder, "ddi_metadata.csv")
    table = read_labels(table_path, columns=("DDI_file", "skin_tone"))
    index = published.index(*folders)
    acquired = Acquired()
    acquired.lose_unread_rows(table.path.name, table.refused)
    for row in table.rows:
        name, band = row["DDI_file"].strip(), row["skin_tone"].strip().removesuffix(".0")
        if band not in BANDS:
            acquired.lose(f"skin_tone {band!r} is none of {', '.join(BANDS)}", id=name, file=name)
            continue
        fst = BANDS[band]
        if options.fst is not None and not {fst, fst + 1} & set(options.fst):
            continue
        try:
            path = index.find(name)
        except LookupError as error:
            acquired.lose(str(error), id=name, file=name, fst=fst)
            continue
        acquired.images.append(
            {
                "id": name,
                "file": str(path),
                "fst": fst,
                "label_fst_band": f"{fst}-{fst + 1}",
                "label_malignant": said(row.get("malignant", "")),
                "label_condition": said(row.get("disease", "")),
            }
        )
    list_without_row(acquired, index, table.path.name, (row["DDI_file"] for row in table.rows))
    published.explain_losses(acquired)
    return acquired
