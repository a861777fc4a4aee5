"""SCIN: photographs that people in the United States gave of their own skin, up to three a case.

`scin_cases.csv` has one row per case with `fitzpatrick_skin_type` (self-reported, about half of the cases) and
`image_1_path` to `image_3_path`; `scin_labels.csv` adds up to three dermatologists' estimates
(`dermatologist_fitzpatrick_skin_type_label_1` to `_3`: one per dermatologist, not one per image) and conditions. The
estimate used is the median of those given, the lower one of two in the middle. A case stands for a patient, so its
images never part.
"""

from __future__ import annotations

import statistics
from pathlib import Path, PurePosixPath

from sluguq.config.sources import ScinSource
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.download import Request
from sluguq.datasets.label_tables import LabelTable, read_labels, rounded_by_spreadsheet
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, find_table, list_without_row
from sluguq.datasets.registry import Registry
from sluguq.datasets.skin_types import UNLABELLED, parse_fst

_ESTIMATE = "dermatologist_fitzpatrick_skin_type_label_{}"
_GRADABLE = "dermatologist_gradable_for_fitzpatrick_skin_type_{}"


def collect(options: ScinSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Join the tables, and find or download the images.

    :raises AcquisitionError: where a table is missing, or the licence is not accepted.
    """
    published = Published("scin", options, raw_folder, registry)
    acquired = Acquired()
    folders = published.local(options.folder) if options.folder else []
    cases, rows = _cases_and_rows(options, published, folders, acquired)
    if options.folder:
        index = published.index(*folders)
        for row, path in rows:
            try:
                acquired.images.append({**row, "file": str(index.find(PurePosixPath(path).name))})
            except LookupError as error:
                acquired.lose(str(error), id=row["id"], file=path, fst=row["fst"])
        named = (case.get(f"image_{number}_path", "") for case in cases.rows for number in (1, 2, 3))
        list_without_row(acquired, index, cases.path.name, named)
        published.explain_losses(acquired)
        return acquired
    root = published.registered("images").url
    requests = {
        row["id"]: Request(root + path, published.raw / "images" / PurePosixPath(path).name, picture=True)
        for row, path in rows
    }
    failures = published.pictures(list(requests.values()))
    for row, _ in rows:
        request = requests[row["id"]]
        file = request.target.relative_to(published.raw).as_posix()
        if request.target in failures:
            acquired.lose(failures[request.target], id=row["id"], file=file, fst=row["fst"], url=request.url)
        else:
            acquired.images.append({**row, "file": file})
    return acquired


def _cases_and_rows(
    options: ScinSource, published: Published, folders: list[Path], acquired: Acquired
) -> tuple[LabelTable, list[tuple[dict, str]]]:
    """The table of cases, and one row an image, without its file, with the image's path in the bucket."""
    tables: list[LabelTable] = []
    without_labels: list[str] = []
    by_dermatologists = options.fst_column == "dermatologist"
    # A table without the column would give every case no skin type, and say nothing.
    columns_of = {
        "cases": ("case_id", "image_1_path", *(() if by_dermatologists else ("fitzpatrick_skin_type",))),
        "labels": ("case_id", *((_ESTIMATE.format(1),) if by_dermatologists else ())),
    }
    for key, columns in columns_of.items():
        # People who copied the bucket have the tables with and without its folder's name in front.
        name = published.registered(key).name
        path = find_table(folders, name, f"dataset_{name}")
        if path is None and options.folder:
            raise AcquisitionError(f"{options.folder} holds no {name}. {published.entry.obtain}")
        tables.append(read_labels(path or published.file(key), columns=columns))
        acquired.lose_unread_rows(tables[-1].path.name, tables[-1].refused)
    cases = tables[0].rows
    estimates_of = tables[1].first_rows("case_id", columns_of["labels"][-1], acquired)
    rows = []
    for case in cases:
        identity = case["case_id"].strip()
        if rounded_by_spreadsheet(identity):
            # Nor is it known which cases are of one person.
            acquired.lose(
                f"case {identity}: a spreadsheet rounded the number, so the labels of its images are lost; get "
                f"{tables[0].path.name} anew, and open no copy of it in a spreadsheet",
                id=identity,
            )
            case = {**case, "case_id": ""}
        estimates = estimates_of.get(identity)
        if estimates is None:
            if case["case_id"]:
                without_labels.append(identity)
            estimates = {}
        try:
            fst = _skin_type(options, case, estimates)
        except ValueError as error:
            acquired.lose(f"case {identity}: {error}", id=identity)
            continue
        gradable = any(estimates.get(_GRADABLE.format(n), "").upper() == "YES" for n in (1, 2, 3))
        if (options.fst is not None and fst not in options.fst) or (options.gradable_only and not gradable):
            continue
        for number in (1, 2, 3):
            image = case.get(f"image_{number}_path", "").strip()
            if image:
                rows.append((_row(image, fst, case, estimates, number), image))
    if len(without_labels) == len(cases) > 0 and by_dermatologists:
        raise AcquisitionError(
            f"no case_id of {tables[0].path} is in {tables[1].path}, for example {without_labels[0]!r}: the tables are "
            "of two releases, or a spreadsheet changed the numbers"
        )
    return tables[0], rows


def _row(path: str, fst: int, case: dict, estimates: dict, number: int) -> dict:
    return {
        "id": PurePosixPath(path).stem,
        "fst": fst,
        "patient": case["case_id"].strip(),
        "label_condition": said(estimates.get("weighted_skin_condition_label", "")),
        "label_shot": said(case.get(f"image_{number}_shot_type", "")),
        "label_fst_self_reported": case.get("fitzpatrick_skin_type", ""),
        "label_monk_skin_tone_us": said(estimates.get("monk_skin_tone_label_us", "")),
    }


def _skin_type(options: ScinSource, case: dict, estimates: dict) -> int:
    if options.fst_column == "self_reported":
        return parse_fst(case.get("fitzpatrick_skin_type", ""))
    types = [parse_fst(estimates.get(_ESTIMATE.format(number), "")) for number in (1, 2, 3)]
    types = [fst for fst in types if fst != UNLABELLED]
    return statistics.median_low(types) if types else UNLABELLED
