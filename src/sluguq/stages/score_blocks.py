"""Finished blocks of a data set's scores on disk: scoring goes on where it stopped, and in several jobs at once.

A block is some images that follow each other among those that are scored, always the same ones. Its values depend on
nothing but these images, so that it does not matter which job computes it, or when.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sluguq.stores.files import whole_file

Values = dict[str, np.ndarray]


class FinishedBlocks:
    """Blocks in folders: written to the first, read from all.

    :param folder: where this job writes; made when the first block comes. None keeps nothing.
    :param others: folders of other jobs.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, others: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self._folders = [*([] if self.folder is None else [self.folder]), *map(Path, others)]

    def load(self, start: int) -> Values | None:
        """The block that begins with image ``start`` of those scored; None where it is not there, or is damaged.

        :param start: of the block.
        """
        for folder in self._folders:
            path = folder / _name(start)
            try:
                with np.load(path, allow_pickle=False) as archive:
                    return {name: archive[name] for name in archive.files}  # the archive has a checksum of each
            except FileNotFoundError:
                continue
            except Exception as error:  # a flipped bit in an archive can be anything
                print(f"{path} is damaged ({error}): its images are scored again")
        return None

    def save(self, start: int, values: Values) -> None:
        """Keep a finished block.

        :param start: of the block.
        :param values: by variable, one row per image.
        """
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / _name(start)) as partial, partial.open("wb") as file:
            np.savez(file, **values)  # type: ignore[arg-type]


def _name(start: int) -> str:
    return f"block-{start}.npz"


def of_part(starts: Iterable[int], part: int, parts: int) -> list[int]:
    """Which blocks job ``part`` of ``parts`` computes, counted from 1: as many as the others, up to one.

    :param starts: of all blocks.
    :param part: number of the job.
    :param parts: how many jobs there are.
    """
    return list(starts)[part - 1 :: parts]
