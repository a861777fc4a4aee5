"""What every source adapter hands over: the images it has, and those it has not.

An adapter is a module with one function `collect(options, raw_folder, ...) -> Acquired`. It downloads or
unpacks under the raw folder, reads the data set's own labels and says what they mean; writing the tables is
done for all alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sluguq.datasets.skin_types import UNLABELLED
from sluguq.machine.errors import SluguqError


class AcquisitionError(SluguqError, RuntimeError):
    """A data set cannot be acquired at all; the message says what to do.

    :ivar may_pass: whether the same may come to its end at another time.
    """

    may_pass = False


@dataclass
class Acquired:
    """What an adapter found: rows of images.csv, rows of missing.csv.

    :ivar images: one dictionary an image with the keys of images.csv (all but ``id``, ``file`` and ``fst`` may be
        left out) and any ``label_<name>``. ``file`` and ``mask`` are absolute, or relative to the raw folder.
    :ivar missing: one dictionary a loss with the keys of missing.csv; all but ``reason`` may be left out.
    :ivar may_pass: how many of the losses may pass, such as those to a server that was out of order.
    :ivar synthetic: whether the images are drawn rather than photographed.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)
    synthetic: bool = False
    may_pass: int = 0

    def lose(
        self, reason: str | AcquisitionError, *, id: str = "", file: str = "", fst: int = UNLABELLED, url: str = ""
    ) -> None:
        """List an image that could not be had, with the reason or the error that says it.

        :param reason: why, in words or as the error.
        :param id: name of the image.
        :param file: its file, where there is one.
        :param fst: its skin type, -1 where there is no label.
        :param url: where it was to come from.
        """
        self.missing.append({"id": id, "file": file, "fst": fst, "url": url, "reason": str(reason)})
        self.may_pass += isinstance(reason, AcquisitionError) and reason.may_pass

    def lose_unread_rows(self, table: str, refused: Iterable[tuple[int, str]]) -> None:
        """List rows of a table that could not be read."""
        for line, reason in refused:
            self.lose(f"row {line} of {table}: {reason}")

    def explain_losses(self, reasons: Mapping[str, str]) -> dict[str, str]:
        """Say with every loss why its file was passed over.

        :param reasons: by the path of what was passed over.
        :returns: those of files that no loss names.
        """
        losses: dict[str, list[dict[str, Any]]] = {}
        for row in self.missing:
            for name in {PurePosixPath(str(row[key]).replace("\\", "/")).name for key in ("id", "file")} - {""}:
                losses.setdefault(name, []).append(row)
        rest = {}
        for path, reason in reasons.items():
            file = PurePosixPath(path.replace("\\", "/"))
            rows = losses.get(file.name, []) or losses.get(file.stem, [])
            for row in rows:
                if reason not in row["reason"]:
                    row["reason"] += f": {reason}"
            if not rows:
                rest[path] = reason
        return rest

    def lose_repeated_ids(self) -> None:
        """Move every image whose id appeared before to `missing`."""
        by_id: dict[str, dict[str, Any]] = {}
        for row in self.images:
            first = by_id.setdefault(row["id"], row)
            if first is not row:
                self.lose(
                    f"id {row['id']!r} appears twice; the first one ({first['file']}) was kept",
                    id=row["id"],
                    file=str(row["file"]),
                    fst=row["fst"],
                )
        self.images = list(by_id.values())
