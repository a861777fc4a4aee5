"""Fitzpatrick17k: clinical photographs of two atlases, FST by two annotation services.

The label table has one row per image: `md5hash` (MD5 of the image's bytes, and its name), `fitzpatrick_scale` (Scale
AI: the labels of the papers), `fitzpatrick_centaur` (Centaur Labs), `label` (114 conditions), `nine_partition_label`,
`three_partition_label`, `qc` (a dermatologist's remark on 504 images) and `url` (missing in 41 rows). There are no
patients: two photographs of one person cannot be told, except as near-duplicates.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sluguq.config.sources import Fitzpatrick17kSource
from sluguq.datasets.base import Acquired
from sluguq.datasets.download import Request
from sluguq.datasets.files import FileIndex
from sluguq.datasets.label_tables import LabelTable, read_labels
from sluguq.datasets.nothing import said
from sluguq.datasets.published import Published, by_stem, find_table, list_without_row, photographs, the_one
from sluguq.datasets.registry import Registry
from sluguq.datasets.skin_types import UNLABELLED, parse_fst

TABLE = "fitzpatrick17k.csv"
SCALE, CENTAUR = "fitzpatrick_scale", "fitzpatrick_centaur"
COLUMNS = ("md5hash", "label", "nine_partition_label", "three_partition_label", "qc", "url")


Row = dict[str, Any]
"""One row of the label table; its FST under ``fst``."""


def collect(options: Fitzpatrick17kSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Read the label table and find or download its images."""
    published = Published("fitzpatrick17k", options, raw_folder, registry)
    return collect_rows(options, published, lambda rows, acquired: rows)


def collect_rows(
    options: Fitzpatrick17kSource,
    published: Published,
    chosen: Callable[[list[Row], Acquired], list[Row]],
) -> Acquired:
    """Collect the rows that `chosen` leaves of the label table."""
    folders = published.local(options.folder) if options.folder else []
    table_path = options.table or find_table(folders, TABLE) or published.file("labels")
    table = _with_fst_column(options, table_path)
    acquired = Acquired()
    acquired.lose_unread_rows(table.path.name, table.refused)
    rows = [row for row in chosen(_with_skin_types(table, options, acquired), acquired) if _is_wanted(row, options)]
    if options.folder or options.images == "record":
        index = published.index(*(folders or published.unpacked("images")))
        _from_files(rows, index, acquired)
        list_without_row(acquired, index, table.path.name, _names(table, index))
        published.explain_losses(acquired)
    else:
        _from_addresses(rows, options, published, acquired)
    return acquired


def _with_fst_column(options: Fitzpatrick17kSource, path: Path) -> LabelTable:
    """The label table; the column that some copies call ``fitzpatrick`` is the labels' first one, fitzpatrick_scale."""
    table = read_labels(path, columns=COLUMNS)
    column = options.fst_column
    if column not in table.columns and column == SCALE and "fitzpatrick" in table.columns:
        for row in table.rows:
            row[SCALE] = row["fitzpatrick"]
        return table
    return read_labels(path, columns=(*COLUMNS, column))


def _with_skin_types(table: LabelTable, options: Fitzpatrick17kSource, acquired: Acquired) -> list[Row]:
    """Rows with their FST; those whose value means none are listed as lost."""
    rows: list[Row] = []
    for row in table.rows:
        try:
            rows.append({**row, "fst": parse_fst(row[options.fst_column]), "other": _other(row, options.fst_column)})
        except ValueError as error:
            acquired.lose(f"column {options.fst_column}: {error}", id=row["md5hash"])
    return rows


def _other(row: Row, column: str) -> int:
    """The skin type by the annotation that groups are not made of; -1 where there is none."""
    with contextlib.suppress(ValueError):
        return parse_fst(row.get(CENTAUR if column == SCALE else SCALE, ""))
    return UNLABELLED


def _is_wanted(row: Row, options: Fitzpatrick17kSource) -> bool:
    if row["fst"] == UNLABELLED and not options.unlabelled:
        return False
    if options.fst is not None and row["fst"] not in options.fst:
        return False
    return not (options.exclude_quality and row["qc"].startswith(tuple(options.exclude_quality)))


def _names(table: LabelTable, index: FileIndex) -> Iterator[str]:
    """What the photographs of all rows may be called: by MD5, by address, or by what ends in an MD5's beginning."""
    beginnings = {row["md5hash"][:8].lower() for row in table.rows}
    for row in table.rows:
        yield from (row["md5hash"], row.get("url_alphanum", ""))
    yield from (path.stem for path in index.files if path.stem.rsplit("_", 1)[-1].lower() in beginnings)


def _from_files(rows: list[Row], index: FileIndex, acquired: Acquired) -> None:
    """Find the images in folders, by their MD5, its first eight digits (Fitzpatrick17k-C's names), or their address."""
    pictures = photographs(index)
    by_name = by_stem(pictures)
    by_prefix: dict[str, list[Path]] = {}
    for path in pictures:
        if "_" in path.stem:
            by_prefix.setdefault(path.stem.rsplit("_", 1)[-1].lower(), []).append(path)
    for row in rows:
        name, picture, reason = row["md5hash"], None, "not among the files given"
        prefix = name[:8].lower()
        try:
            if name in by_name:
                picture = the_one(by_name, name)
            else:
                picture = the_one(by_prefix, prefix) if prefix in by_prefix else index.find(name)
        except LookupError as error:
            reason = str(error) if name in by_name or prefix in by_prefix else reason
        if picture is None and row.get("url_alphanum") and not (name in by_name or prefix in by_prefix):
            with contextlib.suppress(LookupError):
                picture = index.find(row["url_alphanum"])
        if picture is None:
            acquired.lose(reason, id=name, fst=int(row["fst"]), url=row["url"])
        else:
            _add(acquired, row, picture)


def _from_addresses(rows: list[Row], options: Fitzpatrick17kSource, published: Published, acquired: Acquired) -> None:
    """Download each image from its atlas."""
    requests = {
        row["md5hash"]: Request(
            row["url"],
            published.raw / "images" / f"{row['md5hash']}.jpg",
            md5=row["md5hash"] if options.verify_md5 else None,
            picture=True,
        )
        for row in rows
        if row["url"]
    }
    failures = published.pictures(list(requests.values()))
    for row in rows:
        request = requests.get(row["md5hash"])
        if request is None:
            acquired.lose("the label table gives no url", id=row["md5hash"], fst=int(row["fst"]))
        elif request.target in failures:
            acquired.lose(
                failures[request.target],
                id=row["md5hash"],
                file=request.target.relative_to(published.raw).as_posix(),
                fst=int(row["fst"]),
                url=row["url"],
            )
        else:
            _add(acquired, row, request.target.relative_to(published.raw))


def _add(acquired: Acquired, row: dict, path: Path) -> None:
    acquired.images.append(
        {
            "id": row["md5hash"],
            "file": path.as_posix(),
            "fst": int(row["fst"]),
            "label_condition": said(row["label"]),
            "label_nine_partition": said(row["nine_partition_label"]),
            "label_three_partition": said(row["three_partition_label"]),
            "label_quality": said(row["qc"]),
            "label_fst_other": int(row["other"]),
            "label_atlas": urlsplit(row["url"]).netloc.removeprefix("www."),
        }
    )
