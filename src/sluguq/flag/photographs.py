"""The photographs of a folder, read as the networks see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from sluguq.flag.judges import FlagError
from sluguq.images.decoding import Fit, ImageRejected, check_brightness, decode

TABLE, PAGE, REJECTED = "flagged.csv", "flagged.html", "flagged.rejected.csv"
"""The three files that a run writes."""


def read_photographs(
    folder: Path, size: int, fit: Fit, *, skip: Path | None = None
) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    """Every photograph of a folder, as :func:`sluguq.images.decoding.decode` reads it.

    :param folder: where they lie, also in folders below.
    :param size: height and width in pixels that the networks see.
    :param fit: how a photograph becomes a square.
    :param skip: folder of an earlier run's three files, which are not looked at.
    :returns: names relative to the folder, uint8 (n, size, size, 3), and a table of file and reason of the unreadable.
    :raises FlagError: where there is no such folder, no file in it, or none that can be read.
    """
    if not folder.is_dir():
        raise FlagError(f"there is no folder {folder}")
    own = {(skip / name).resolve() for name in (TABLE, PAGE, REJECTED)} if skip else set()
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.resolve() not in own
    ]
    if not files:
        raise FlagError(f"there is no file in {folder}")

    def read(path: Path) -> np.ndarray | str:
        try:
            pixels = decode(path.read_bytes(), size, fit=fit)
            check_brightness(pixels)
            return pixels
        except (ImageRejected, OSError) as error:
            return str(error)

    # Pillow lets go of the interpreter while it decodes.
    with ThreadPoolExecutor() as threads:
        results = list(tqdm(threads.map(read, files), total=len(files), desc="read", unit="image", disable=None))
    names = [path.relative_to(folder).as_posix() for path in files]
    good = [(name, result) for name, result in zip(names, results, strict=True) if not isinstance(result, str)]
    bad = [(name, result) for name, result in zip(names, results, strict=True) if isinstance(result, str)]
    if not good:
        raise FlagError(
            f"none of the {len(files)} files in {folder} can be read; the first is {bad[0][0]}: {bad[0][1]}"
        )
    pixels = np.stack([picture for _, picture in good])
    return [name for name, _ in good], pixels, pd.DataFrame(bad, columns=["file", "reason"])
