"""Synthetic skin photographs as a data set: drawn as PNG files, with their table, as if photographed."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from sluguq.config.sources import PhantomSource
from sluguq.datasets.base import Acquired
from sluguq.images import artefacts
from sluguq.images.phantom import PhantomRecord, phantom_records, render
from sluguq.machine.progress import Progress
from sluguq.machine.streams import keyed_stream

_ARTEFACTS = 1


def collect(options: PhantomSource, raw_folder: Path) -> Acquired:
    """Draw the photographs and the masks of their lesions anew; the same options draw the same files."""
    folder = raw_folder / "phantom"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    records = list(phantom_records(options.counts, options.seed))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = pool.map(lambda record: _draw(record, options, raw_folder, folder), records)
        images = list(Progress(rows, total=len(records), desc="draw", unit="image"))
    return Acquired(images=images, synthetic=True)


def _draw(record: PhantomRecord, options: PhantomSource, raw_folder: Path, folder: Path) -> dict[str, Any]:
    photograph = render(record.fst, seed=options.seed, index=record.index, size=options.size)
    # A stream of its own, so that the share of artefacts changes no photograph that has none.
    rng = keyed_stream(options.seed, _ARTEFACTS, record.fst, record.index)
    has_artefact = bool(rng.random() < options.artefacts)
    kind, seed = str(rng.choice(artefacts.KINDS)), int(rng.integers(2**31))
    pixels = artefacts.draw(photograph.pixels, kind, seed=seed).pixels if has_artefact else photograph.pixels
    file = folder / "images" / f"{record.id}.png"
    mask = folder / "masks" / f"{record.id}.png"
    Image.fromarray(pixels).save(file)
    Image.fromarray(photograph.lesion_mask).save(mask)
    return {
        "id": record.id,
        "file": file.relative_to(raw_folder).as_posix(),
        "fst": record.fst,
        "patient": record.patient,
        "mask": mask.relative_to(raw_folder).as_posix(),
        "label_condition": record.condition,
        "label_site": record.site,
        "label_artefact": kind if has_artefact else "",
    }
