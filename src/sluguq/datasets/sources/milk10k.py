"""MILK10k (ISIC 2025): pairs of a clinical close-up and a dermoscopic image, with a class of skin tone and scores of
what is not skin.

`MILK10k_Training_Metadata.csv` has one row per image. `skin_tone_class` goes from 0 (very dark) to 5 (very light) and
is no Fitzpatrick type; it is kept as a label, and 6 less the class stands where other sets have the FST, so that 1 is
the lightest and 6 the darkest here too. `MONET_*` are scores from 0 to 1 that a model gave (Kim et al. 2024), among
them for hair, gel and pen marks. They are in the metadata or in a supplement of the same images.
"""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import Milk10kSource
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.label_tables import LabelTable, read_labels
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, by_stem, find_table, list_without_row, photographs, the_one
from sluguq.datasets.registry import Registry
from sluguq.datasets.skin_types import UNLABELLED

METADATA = "MILK10k_Training_Metadata.csv"
SUPPLEMENT = "MILK10k_Training_Supplement.csv"
DIAGNOSES = "MILK10k_Training_GroundTruth.csv"
LABELS = {"age_approx": "age", "sex": "sex", "site": "site", "image_type": "image_type"}
_KINDS = {"clinical: close-up": "clinical", "dermoscopic": "dermoscopic"}
_DARKEST = 6


def collect(options: Milk10kSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Match the tables with the images.

    :raises AcquisitionError: where the folder lacks the metadata.
    """
    published = Published("milk10k", options, raw_folder, registry)
    folders = published.local(options.folder) if options.folder else published.unpacked("images")
    metadata = _table(published, options, folders, METADATA, "metadata")
    if metadata is None:
        raise AcquisitionError(f"{folders[0]} holds no {METADATA}. {published.entry.obtain}")
    table = read_labels(metadata, columns=("lesion_id", "isic_id", "image_type", "skin_tone_class"))
    supplement = _by_image(_table(published, options, folders, SUPPLEMENT, "supplement"))
    diagnoses = _diagnoses(_table(published, options, folders, DIAGNOSES, "diagnoses"))
    index = published.index(*folders)
    images = by_stem(photographs(index))

    acquired = Acquired()
    acquired.lose_unread_rows(table.path.name, table.refused)
    for row in table.rows:
        name, kind = row["isic_id"].strip(), _KINDS.get(row["image_type"].strip().lower())
        if kind is None:
            acquired.lose(f"column image_type: {row['image_type']!r} is none of {', '.join(_KINDS)}", id=name)
            continue
        if options.images not in ("both", kind):
            continue
        try:
            tone = _tone(row["skin_tone_class"])
            path = the_one(images, name)
        except (LookupError, ValueError) as error:
            acquired.lose(str(error), id=name, file=name)
            continue
        fst = UNLABELLED if tone is None else _DARKEST - tone
        if options.fst is not None and fst not in options.fst:
            continue
        lesion = said(row["lesion_id"])
        scores = {key: value for key, value in {**row, **supplement.get(name, {})}.items() if key.startswith("MONET_")}
        acquired.images.append(
            {
                "id": name,
                "file": str(path),
                "fst": fst,
                "lesion": lesion,
                "label_skin_tone_class": "" if tone is None else str(tone),
                "label_diagnosis": diagnoses.get(lesion, ""),
                **{f"label_{label}": said(row[column]) for column, label in LABELS.items() if column in row},
                **{f"label_{key.lower()}": said(value) for key, value in scores.items()},
            }
        )
    list_without_row(acquired, index, table.path.name, (row["isic_id"] for row in table.rows))
    published.explain_losses(acquired)
    return acquired


def _table(published: Published, options: Milk10kSource, folders: list[Path], name: str, key: str) -> Path | None:
    """A table of the set: in the user's folder, or else beside the downloaded images."""
    path = find_table(folders, name)
    return path if path or options.folder else published.file(key)


def _by_image(path: Path | None) -> dict[str, dict[str, str]]:
    if path is None:
        return {}
    table: LabelTable = read_labels(path, columns=("isic_id",))
    return {row["isic_id"].strip(): row for row in table.rows}


def _diagnoses(path: Path | None) -> dict[str, str]:
    """The diagnosis of each lesion; the table has a column of 0 and 1 for each."""
    if path is None:
        return {}
    by_lesion: dict[str, str] = {}
    for row in read_labels(path, columns=("lesion_id",)).rows:
        yes = [column for column, value in row.items() if column != "lesion_id" and value.strip() in ("1", "1.0")]
        lesion, diagnosis = row["lesion_id"].strip(), yes[0] if len(yes) == 1 else ""
        # Of rows that contradict each other none is believed.
        by_lesion[lesion] = diagnosis if by_lesion.get(lesion, diagnosis) == diagnosis else ""
    return by_lesion


def _tone(cell: str) -> int | None:
    """The class of skin tone, None where there is none.

    :raises ValueError: where the cell is none of 0 to 5.
    """
    text = said(cell).removesuffix(".0")
    if not text:
        return None
    if text not in map(str, range(_DARKEST)):
        raise ValueError(f"column skin_tone_class: {text!r} is none of 0 to {_DARKEST - 1}")
    return int(text)
