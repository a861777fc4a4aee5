"""Fitzpatrick17k: clinical photographs of two atlases, FST by two annotation services.

The label table has a row an image: `md5hash` (MD5 of the image's bytes, and its name), `fitzpatrick_scale` (Scale
AI: the labels of the papers), `fitzpatrick_centaur` (Centaur Labs), `label` (114 conditions), `nine_partition_label`,
`three_partition_label`, `qc` (a dermatologist's remark on 504 images) and `url` (missing in 41 rows). There are no
patients: two photographs of one person cannot be told, except as near-duplicates.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from sluguq.config.sources import Fitzpatrick17kSource
from sluguq.datasets.base import Acquired, FileIndex, read_csv
from sluguq.datasets.download import Request
from sluguq.datasets.published import Published, find_table
from sluguq.datasets.registry import Registry
from sluguq.datasets.skin_types import parse_fst

TABLE = "fitzpatrick17k.csv"
COLUMNS = ("md5hash", "fitzpatrick_scale", "label", "nine_partition_label", "three_partition_label", "qc", "url")


def collect(options: Fitzpatrick17kSource, raw_folder: Path, registry: Registry | None = None) -> Acquired:
    """Read the label table and find or download its images."""
    published = Published("fitzpatrick17k", options, raw_folder, registry)
    return collect_rows(options, published, lambda rows, acquired: rows)


def collect_rows(
    options: Fitzpatrick17kSource,
    published: Published,
    chosen: Callable[[pd.DataFrame, Acquired], pd.DataFrame],
) -> Acquired:
    """Collect the rows that `chosen` leaves of the label table."""
    folders = published.local(options.folder) if options.folder else []
    table_path = options.table or find_table(folders, TABLE) or published.file("labels")
    table = read_csv(table_path, columns=(*COLUMNS, options.fst_column))
    acquired = Acquired()
    table["fst"] = _skin_types(table, options.fst_column, acquired)
    table = chosen(table[table["fst"].notna()], acquired)
    if not options.unlabelled:
        table = table[table["fst"] != -1]
    if options.fst is not None:
        table = table[table["fst"].isin(options.fst)]
    if options.exclude_quality:
        table = table[~table["qc"].str.startswith(tuple(options.exclude_quality))]
    if options.folder or options.images == "record":
        _from_files(table, folders or published.unpacked("images"), acquired)
    else:
        _from_addresses(table, options, published, acquired)
    return acquired


def _skin_types(table: pd.DataFrame, column: str, acquired: Acquired) -> pd.Series:
    """FST of each row; rows whose value means none are listed as lost and hold NA."""
    types: list[int | None] = []
    for name, value in zip(table["md5hash"], table[column], strict=True):
        try:
            types.append(parse_fst(value))
        except ValueError as error:
            acquired.lose(f"column {column}: {error}", id=name)
            types.append(None)
    return pd.Series(types, index=table.index, dtype="Int64")


def _from_files(table: pd.DataFrame, folders: list[Path], acquired: Acquired) -> None:
    """Find the images in folders, by their MD5, its first eight digits (Fitzpatrick17k-C's names), or their address."""
    index = FileIndex(*folders)
    by_prefix = {path.stem.rsplit("_", 1)[-1].lower(): path for path in index.files if "_" in path.stem}
    for row in table.to_dict("records"):
        path = by_prefix.get(row["md5hash"][:8])
        for name in (row["md5hash"], row.get("url_alphanum", "")):
            if path is None and name:
                try:
                    path = index.find(name)
                except LookupError:
                    continue
        if path is None:
            acquired.lose("not among the files given", id=row["md5hash"], fst=int(row["fst"]), url=row["url"])
        else:
            _add(acquired, row, path)


def _from_addresses(
    table: pd.DataFrame, options: Fitzpatrick17kSource, published: Published, acquired: Acquired
) -> None:
    """Download each image from its atlas."""
    rows = table.to_dict("records")
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
            "label_condition": row["label"],
            "label_nine_partition": row["nine_partition_label"],
            "label_three_partition": row["three_partition_label"],
            "label_quality": row["qc"],
            "label_atlas": urlsplit(row["url"]).netloc.removeprefix("www."),
        }
    )
