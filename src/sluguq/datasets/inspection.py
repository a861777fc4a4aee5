"""A look at a folder of photographs: its tables, what their columns seem to hold, skin types, sizes, patients.

What is found is a proposal for a person to check, not a decision.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from sluguq.config.sources import labels_stored_as_one
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.files import FileIndex
from sluguq.datasets.label_tables import TABLE_SUFFIXES, LabelTable, LabelTableError, read_labels
from sluguq.datasets.nothing import is_nothing, said
from sluguq.datasets.skin_types import UNLABELLED, parse_fst

_SAMPLE = 200
_MOST_LABELS = 8
_MOST_VALUES = 30
_DEEPEST = 2

_NAMES = {
    "fst": r"fitz|fitsp|\bfst\b|skin.?(type|tone)|photo.?type|haut.?typ|phototyp|\bspt\b",
    "patient": r"patient|subject|person|participant|proband|\bcase|sujet|paciente",
    "lesion": r"lesion|läsion|l[ée]sion|naevus|nevus|mole",
    "mask": r"mask|segm|outline",
    "id": r"(^|[_ .-])id$|^id($|[_ .-])|isic|accession|uuid|^n(o|r|um(mer|ber)?)?$",
    "file": r"file|path|pfad|image|img|photo|picture|bild|datei|fichier",
}


_SKIN_WORD = re.compile(r"fst|spt|skin|fitz|photo", re.IGNORECASE)

_OF_THEM = re.compile(
    r"(^|[ ._-])(age|alter|sex|gender|geschlecht|count|anzahl|confidence|certainty|agreement|probability|size|diameter|"
    r"area|site|location|region|diagnosis|history|height|weight|race|ethnicity|country|date)s?($|[ ._-])",
    re.IGNORECASE,
)
"""Names of what is told of a patient, a lesion or a skin type, and is none."""

_NOT_SKIN = re.compile(r"stage|grade|clark|level|class|stad|grad|severity|score", re.IGNORECASE)
"""Names of columns whose Roman numerals or types are not those of skin."""


_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+")

_FRACTION = re.compile(r"[.,]\d*[1-9]")
"""What a measured number has; 1.0 may be a code that stood beside empty cells."""


@dataclass(frozen=True)
class Inspection:
    """What a folder holds.

    :ivar folder: the folder.
    :ivar table: its table of labels.
    :ivar columns: name of the column by what it holds: file, fst, id, patient, lesion, mask.
    :ivar labels: further columns that are worth carrying along.
    :ivar more_labels: those that could be carried along as well.
    :ivar fst_counts: images that are there, by skin type (-1: unlabelled).
    :ivar not_read: values of the FST column that mean no skin type, with how often each stands.
    :ivar rows: one (fst, patient, lesion) for every row whose file is there.
    :ivar pictures: number of picture files.
    :ivar without_row: of these, how many no row names.
    :ivar without_file: number of rows whose file is not there.
    :ivar short_side: median of the shorter side of some pictures, in pixels; 0 where none could be opened.
    :ivar remarks: tables that were passed over, with the reason.
    """

    folder: Path
    table: LabelTable
    columns: dict[str, str]
    labels: list[str]
    more_labels: list[str]
    fst_counts: Counter[int]
    not_read: Counter[str]
    rows: list[tuple[int, str, str]]
    pictures: int
    without_row: int
    without_file: int
    short_side: int
    remarks: list[str] = field(default_factory=list)


def inspect_folder(folder: Path, table: Path | None = None) -> Inspection:
    """Look at a folder.

    :param folder: the folder of photographs.
    :param table: its table; None: the one in the folder whose rows name most of the files.
    :raises AcquisitionError: where there is no folder, no picture in it, or no table that names them.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        what = "is a file: unpack it first, and give the folder" if folder.exists() else "is not there"
        raise AcquisitionError(f"the folder {folder} {what}")
    index = FileIndex(folder)
    if not index.files:
        raise AcquisitionError(f"{folder} holds no picture file")
    remarks: list[str] = []
    chosen = _read(table, remarks) if table else _best_table(folder, index, remarks)
    if chosen is None:
        reasons = "".join(f"\n  {remark}" for remark in remarks)
        raise AcquisitionError(
            f"no table in {folder} names its pictures: write one, a csv with the columns file and fst, or name it with "
            f"--table{reasons}"
        )
    if unnamed := [name for name in chosen.columns if Path(name).suffix and _found(index, name)]:
        raise AcquisitionError(
            f"the first row of {chosen.path} names a file ({unnamed[0]}), so it is no header: put a row above it that "
            "names the columns, such as file and fst"
        )
    columns = _columns(chosen, index)
    if "file" not in columns:
        raise AcquisitionError(
            f"no column of {chosen.path} names files of {folder}; it has {list(chosen.columns)}, and the folder has "
            f"{', '.join(index.relative[path].as_posix() for path in index.files[:3])}"
        )
    return _counted(folder, index, chosen, columns, remarks)


def _counted(
    folder: Path, index: FileIndex, table: LabelTable, columns: dict[str, str], remarks: list[str]
) -> Inspection:
    used: set[Path] = set()
    photographs: list[Path] = []
    rows: list[tuple[int, str, str]] = []
    not_read: Counter[str] = Counter()
    without_file = 0
    for row in table.rows:
        path = _found(index, row[columns["file"]])
        if "mask" in columns and (mask := _found(index, row[columns["mask"]])):
            used.add(mask)
        if path is None:
            without_file += 1
            continue
        used.add(path)
        photographs.append(path)
        fst = UNLABELLED
        if "fst" in columns:
            try:
                fst = parse_fst(row[columns["fst"]])
            except ValueError:
                not_read[said(row[columns["fst"]])] += 1
        patient, lesion = (said(row[columns[key]]) if key in columns else "" for key in ("patient", "lesion"))
        rows.append((fst, patient, lesion))
    return Inspection(
        folder=folder,
        table=table,
        columns=columns,
        labels=(labels := _labels(table, columns))[:_MOST_LABELS],
        more_labels=labels[_MOST_LABELS:],
        fst_counts=Counter(fst for fst, _, _ in rows),
        not_read=not_read,
        rows=rows,
        pictures=len(index.files),
        without_row=sum(path not in used for path in index.files),
        without_file=without_file,
        short_side=_short_side(photographs),
        remarks=remarks,
    )


def _best_table(folder: Path, index: FileIndex, remarks: list[str]) -> LabelTable | None:
    """The table of a folder whose rows name most files."""
    paths = [path for depth in range(_DEEPEST) for path in sorted(folder.glob("*/" * depth + "*"))]
    tables = [
        table
        for path in paths
        if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES and not path.name.startswith(".")
        if (table := _read(path, remarks))
    ]

    def files_named(table: LabelTable) -> float:
        return max((_share_of_files(table, name, index) for name in table.columns), default=0.0) * len(table.rows)

    named = [files_named(table) for table in tables]
    if not any(named):
        remarks += [f"{table.path.name}: no column names files of the folder" for table in tables]
        return None
    best = named.index(max(named))
    remarks += [
        f"{table.path.relative_to(folder)} names files too; say --table if it is the one that is meant"
        for number, table in enumerate(tables)
        if number != best and named[number]
    ]
    return tables[best]


def _read(path: Path, remarks: list[str]) -> LabelTable | None:
    try:
        return read_labels(path)
    except LabelTableError as error:
        remarks.append(str(error))
        return None


def _columns(table: LabelTable, index: FileIndex) -> dict[str, str]:
    """What the columns seem to hold, by their names and values."""
    shares = {name: _share_of_files(table, name, index) for name in dict.fromkeys(table.columns) if name}
    # A published table may list far more photographs than a folder has, so most of the folder's counts as well.
    files = [name for name, share in shares.items() if share > 0.3 or share * len(table.rows) > len(index.files) / 2]
    columns: dict[str, str] = {}
    if masks := [name for name in files if _is_called(name, "mask")]:
        columns["mask"] = masks[0]
    if rest := [name for name in files if name not in columns.values()]:
        columns["file"] = max(rest, key=lambda name: (_pictures_named(table, name, index), _is_called(name, "file")))
    left = [name for name in shares if name not in columns.values()]
    if types := sorted(
        (name for name in left if _is_called(name, "fst")),
        key=lambda name: (-round(_share_of_types(table, name), 1), len(name)),
    ):
        columns["fst"] = types[0]
    elif spoken := [name for name in left if _says_types_in_words(table, name)]:
        columns["fst"] = spoken[0]
    suits: dict[str, Callable[[str], bool]] = {
        "patient": lambda name: _some(table, name),
        # A kind of lesion is a label; the lesions of each patient may be counted from 1.
        "lesion": lambda name: _some(table, name) and (not _are_few(table, name) or _are_numbers(table, name)),
        "id": lambda name: _is_unique(table, name),
    }
    for what, suit in suits.items():
        fitting = [name for name in left if name not in columns.values() and _is_called(name, what) and suit(name)]
        if fitting:
            columns[what] = fitting[0]
    return columns


def _labels(table: LabelTable, columns: dict[str, str]) -> list[str]:
    """Columns with a few values that repeat: diagnosis, site, sex."""
    names = [name for name in dict.fromkeys(table.columns) if name and name not in columns.values()]
    labels: list[str] = []
    for name in names:
        if table.columns.count(name) == 1 and _are_kinds(table, name) and not labels_stored_as_one([*labels, name]):
            labels.append(name)
    return labels


def _sample(table: LabelTable, column: str) -> list[str]:
    """Some of a column's cells that say something, evenly spread."""
    cells = [row[column] for row in table.rows if not is_nothing(row[column])]
    return cells[:: max(1, len(cells) // _SAMPLE)]


def _share_of_files(table: LabelTable, column: str, index: FileIndex) -> float:
    return _mean(_found(index, cell) is not None for cell in _sample(table, column))


def _pictures_named(table: LabelTable, column: str, index: FileIndex) -> int:
    """How many pictures a column's sample names: skin types may name some too, 1.jpg to 6.jpg, but few."""
    return len({path for cell in _sample(table, column) if (path := _found(index, cell))})


def _found(index: FileIndex, cell: str) -> Path | None:
    with contextlib.suppress(LookupError, OSError, ValueError):
        return index.find(said(cell))
    return None


def _share_of_types(table: LabelTable, column: str) -> float:
    return _mean(_type_of(cell) is not None for cell in _sample(table, column))


def _type_of(cell: str) -> int | None:
    with contextlib.suppress(ValueError):
        return parse_fst(cell)
    return None


def _says_types_in_words(table: LabelTable, column: str) -> bool:
    """Whether a column holds skin types in a form that hardly means anything else: FST3, phototype III.

    Roman numerals alone, and bare types, are of skin only where they reach VI: Clark's levels end with V, stages with
    IV, types of most else with II.
    """
    cells = _sample(table, column)
    if _NOT_SKIN.search(column) or not (
        any(_SKIN_WORD.match(cell.strip()) for cell in cells) or 6 in {_type_of(cell) for cell in cells}
    ):
        return False
    spoken = [not cell.strip().replace(".", "").isdigit() and _type_of(cell) is not None for cell in cells]
    return _mean(spoken) > 0.9


def _is_called(name: str, what: str) -> bool:
    if what in ("fst", "patient", "lesion") and _OF_THEM.search(name):
        return False
    return re.search(_NAMES[what], name.replace("_", " "), re.IGNORECASE) is not None or (
        re.search(_NAMES[what], name, re.IGNORECASE) is not None
    )


def _some(table: LabelTable, column: str) -> bool:
    return bool(_sample(table, column))


def _is_unique(table: LabelTable, column: str) -> bool:
    cells = [row[column] for row in table.rows]
    return len(set(cells)) == len(cells) and not any(map(is_nothing, cells))


def _are_few(table: LabelTable, column: str) -> bool:
    counts = Counter(row[column] for row in table.rows if not is_nothing(row[column]))
    return 1 < len(counts) <= _MOST_VALUES and sum(counts.values()) > 2 * len(counts)


def _are_kinds(table: LabelTable, column: str) -> bool:
    return _are_few(table, column) and not _are_measured(table, column)


def _are_measured(table: LabelTable, column: str) -> bool:
    cells = [cell.strip() for cell in _sample(table, column)]
    return all(map(_NUMBER.fullmatch, cells)) and any(map(_FRACTION.search, cells))


def _are_numbers(table: LabelTable, column: str) -> bool:
    return all(cell.strip().isdigit() for cell in _sample(table, column))


def _mean(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _short_side(files: list[Path]) -> int:
    sides = []
    for path in files[:: max(1, len(files) // 60)]:
        # Heads only; what cannot be opened is told when the photographs are prepared.
        with contextlib.suppress(Exception), Image.open(path) as image:
            sides.append(min(image.size))
    return int(np.median(sides)) if sides else 0
