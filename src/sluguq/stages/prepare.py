"""Photographs to image store: decoded in parallel, written as they come, at a steady memory.

Pillow lets go of the interpreter while it decodes and resamples, so threads use all cores. Pictures pass
through a scratch file beside the store, as how many are good is known only at the end. Memory holds decoded pictures
of IN_MEMORY bytes at most (a larger one has them to itself) and, at the end, some copies of one shard of the store:
0.8 GB in all, however many images and threads there are; a picture of 90 megapixels with alpha takes as much alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sluguq.datasets.contradictions import contradictions
from sluguq.images.decoding import (
    DRAFT_MARGIN,
    FILTER,
    MAX_PIXELS,
    Fit,
    ImageRejected,
    Room,
    check_brightness,
    decode,
    decode_mask,
    decode_picture,
)
from sluguq.images.duplicates import HASH_PIXELS, HASH_SIZE, NEAR_BITS, duplicate_groups, perceptual_hash
from sluguq.images.room import SharedRoom
from sluguq.machine.errors import SluguqError
from sluguq.machine.progress import Progress
from sluguq.stores.provenance import provenance
from sluguq.stores.store import StoreWriter
from sluguq.stores.tables import REJECTED_COLUMNS, as_table, read_images, write_table
from sluguq.stores.variables import FST_ATTRIBUTES, described

IN_MEMORY = 300 * 2**20
"""Bytes that decoded pictures take at a time, all threads together."""

_IN_FLIGHT = 8
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:[.,]\d*)?|[.,]\d+)(?:e[+-]\d+)?", re.IGNORECASE | re.ASCII)
_BY_THOUSANDS = re.compile(r"[+-]?(?:0|[1-9]\d{0,2}(?:,\d{3})*)")
_PILLOW_BLOCK = 64 * 2**20
_BLOCK_BYTES = 32 * 2**20


_MASKS = {
    "lesion_mask": ("mask", "lesion mask, 1 on the lesion", "whether the image has a lesion mask"),
    "artefact_mask": (
        "artefact_mask",
        "mask of artefacts, 1 on what is not skin",
        "whether the image has a mask of artefacts",
    ),
}
"""Masks of a store: their column in images.csv, and what they and ``has_<mask>`` say."""


class PreparationError(SluguqError, RuntimeError):
    """No store can be made; the message says why."""


@dataclass(frozen=True)
class _Picture:
    """One decoded photograph and what identifies it."""

    pixels: np.ndarray
    masks: dict[str, np.ndarray | None]
    sha256: str
    key: bytes
    hash: np.ndarray
    unsure: bool
    is_first: bool


def prepare(
    images_csv: str | os.PathLike[str],
    store: str | os.PathLike[str],
    rejected_csv: str | os.PathLike[str],
    *,
    size: int,
    fit: Fit = "crop",
    title: str = "Prepared photographs",
    source: str = "",
    configuration: str = "",
    synthetic: bool = False,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    near_duplicate_bits: int = NEAR_BITS,
    progress: bool = True,
) -> pd.DataFrame:
    """Decode and resample the photographs of images.csv into an image store, listing those that fail.

    The store has the dimensions image, y, x, channel and the variables pixels, id, fst, patient, lesion,
    duplicate_group, sha256, every ``label_<name>`` column, and lesion_mask and artefact_mask with has_lesion_mask
    and has_artefact_mask where there are such masks. The same files give the same store, whatever the number of
    threads.

    :param images_csv: table written by :func:`sluguq.datasets.acquisition.acquire`; relative files start at its folder.
    :param store: path of the store, replaced if it exists.
    :param rejected_csv: where to write id, file, fst and reason of the files that gave no picture.
    :param size: height and width in pixels.
    :param fit: how a photograph becomes a square, see :mod:`sluguq.images.decoding`.
    :param title: title of the store.
    :param source: where the photographs come from, for the store's attributes.
    :param configuration: the resolved configuration as YAML.
    :param synthetic: whether the pictures are drawn.
    :param workers: threads; by default one per core that this process may use.
    :param max_pixels: most pixels decoded of one picture; a JPEG of which a part is decoded may be larger.
    :param near_duplicate_bits: largest distance of the 256-bit hashes of near-duplicates; negative: only exact ones.
    :param progress: show a bar on a terminal, and one line per minute where there is none.
    :returns: the table of rejected files.
    :raises PreparationError: where not one photograph could be decoded.
    """
    images_csv = Path(images_csv)
    table = read_images(images_csv)
    files = [images_csv.parent / file for file in table["file"]]
    masks = _mask_files(table, images_csv.parent)
    workers = workers or _cores()
    room = SharedRoom(IN_MEMORY)

    def load(index: int) -> _Picture:
        own = {name: files[index] for name, files in masks.items()}
        return _load(files[index], own, size, fit, max_pixels, room.take)

    rows: list[int] = []
    rejected: list[dict[str, Any]] = []
    identities: list[tuple[str, bytes, np.ndarray]] = []
    unsure: list[str] = []
    first_of_several: list[str] = []
    has_mask: dict[str, list[bool]] = {name: [] for name in masks}
    Path(store).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=Path(store).parent) as scratch, _own_bounds(), warnings.catch_warnings():
        # Pillow's remarks on odd metadata are of no use to somebody who prepares ten thousand files.
        warnings.simplefilter("ignore")
        results = _in_order(load, range(len(files)), workers)
        bar = Progress(results, total=len(files), desc="prepare", unit="image", shown=progress)
        for index, result in enumerate(bar):
            if isinstance(result, ImageRejected):
                row = table.iloc[index]
                rejected.append({"id": row["id"], "file": row["file"], "fst": row["fst"], "reason": str(result)})
                continue
            rows.append(index)
            identities.append((result.sha256, result.key, result.hash))
            if result.unsure:
                unsure.append(table["id"].iloc[index])
            if result.is_first:
                first_of_several.append(table["id"].iloc[index])
            scratch.write(result.pixels.tobytes())
            for name, mask in result.masks.items():
                has_mask[name].append(mask is not None)
                scratch.write((np.zeros((size, size), np.uint8) if mask is None else mask).tobytes())
        rejections = as_table(rejected, REJECTED_COLUMNS)
        write_table(rejected_csv, rejections)
        if not rows:
            reason = rejected[0]["reason"] if rejected else "the table is empty"
            raise PreparationError(f"{images_csv}: none of {len(files)} files is a usable picture; the first: {reason}")
        scratch.seek(0)
        attributes = {
            **provenance(title, source or images_csv.parent.name, configuration, "cpu"),
            "synthetic": int(synthetic),
            "fit": fit,
            "filter": FILTER,
            "jpeg_draft_margin": DRAFT_MARGIN,
            "near_duplicate_bits": near_duplicate_bits,
        }
        groups = duplicate_groups(
            [key for _, key, _ in identities], np.stack([hash for _, _, hash in identities]), near_duplicate_bits
        )
        if unsure:
            print(
                f"{len(unsure)} masks ({_some(unsure)}) may be drawn on the "
                "pixels as they are stored or as EXIF turns them, which proportions do not tell: look at their "
                "outlines in the datasheet, or save photograph and mask without EXIF"
            )
        if first_of_several:
            print(
                f"{len(first_of_several)} TIFF files ({_some(first_of_several)}) hold several pictures, of which the "
                "first is taken: save others that are meant as files of their own"
            )
        _tell_contradictions(table.iloc[rows], [sha for sha, *_ in identities], groups)
        with StoreWriter(store, attributes=attributes) as writer:
            _write_labels(writer, table.iloc[rows], [sha for sha, *_ in identities], groups, near_duplicate_bits)
            _write_pictures(writer, scratch, len(rows), size, has_mask)
    return rejections


def _some(ids: list[str]) -> str:
    return f"{', '.join(ids[:5])}{' ...' if len(ids) > 5 else ''}"


def _mask_files(table: pd.DataFrame, folder: Path) -> dict[str, list[Path | None]]:
    """Files of the masks that there are, by name of the mask; None where an image has none of it."""
    columns = {name: column for name, (column, *_) in _MASKS.items() if column in table and any(table[column])}
    return {name: [folder / file if file else None for file in table[column]] for name, column in columns.items()}


@contextlib.contextmanager
def _own_bounds() -> Iterator[None]:
    """Have Pillow open pictures of any size, as `max_pixels` bounds what is decoded, and give their memory back.

    Blocks beyond 32 MB are the system's own; smaller ones stay with the thread that freed them.
    """
    pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    block = Image.core.get_block_size()
    Image.core.set_block_size(_PILLOW_BLOCK)
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = pillows
        Image.core.set_block_size(block)


def _load(
    file: Path, masks: Mapping[str, Path | None], size: int, fit: Fit, max_pixels: int, room: Room | None = None
) -> _Picture:
    try:
        content = file.read_bytes()
        contents = {name: mask.read_bytes() if mask else None for name, mask in masks.items()}
    except OSError as error:
        raise ImageRejected(f"cannot be read: {error.strerror or error}") from error
    picture = decode_picture(content, size, fit=fit, max_pixels=max_pixels, room=room)
    pixels = picture.pixels
    check_brightness(pixels)
    unsure: list[bool] = []
    hashed = pixels if size >= HASH_PIXELS else decode(content, HASH_PIXELS, fit=fit, max_pixels=max_pixels)
    return _Picture(
        pixels,
        {
            name: None
            if mask is None
            else decode_mask(
                mask,
                size,
                fit=fit,
                max_pixels=max_pixels,
                photograph=picture.shape,
                room=room,
                what=name.replace("_", " "),
                unsure=lambda: unsure.append(True),
            )
            for name, mask in contents.items()
        },
        hashlib.sha256(content).hexdigest(),
        hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(),
        perceptual_hash(hashed),
        bool(unsure),
        picture.is_first,
    )


def _in_order(
    function: Callable[[int], _Picture], items: Iterable[int], workers: int
) -> Iterator[_Picture | ImageRejected]:
    """Results in the order of the items, with a bounded number of them under way or waiting."""

    def outcome(future: Future[_Picture]) -> _Picture | ImageRejected:
        try:
            return future.result()
        except ImageRejected as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[_Picture]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= workers * _IN_FLIGHT:
                    yield outcome(waiting.popleft())
            while waiting:
                yield outcome(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


def _tell_contradictions(table: pd.DataFrame, sha256: list[str], groups: np.ndarray) -> None:
    """Say how many photographs and patients stand with two skin types; the datasheet lists them."""
    columns = {name: table[name].to_numpy(object) for name in ("id", "fst", "patient")}
    rows = contradictions({**columns, "sha256": np.array(sha256, object), "duplicate_group": groups})
    for kind, count in rows["kind"].value_counts().items():
        print(f"{count:,} cases of contradictory skin types ({kind}); the datasheet lists them")


def _write_labels(
    writer: StoreWriter, table: pd.DataFrame, sha256: list[str], groups: np.ndarray, near_duplicate_bits: int
) -> None:
    def write(
        name: str, values: Any, attributes: dict[str, Any], dtype: Any = object, coordinate: bool = False
    ) -> None:
        array = np.asarray(values, dtype)
        writer.create(name, ("image",), array.shape, dtype, attributes=attributes, coordinate=coordinate)
        writer.write(name, ..., array)

    label = "label of the data set"
    write("id", table["id"], described("name of the image in its data set", label), coordinate=True)
    write("fst", table["fst"], FST_ATTRIBUTES, np.int8)
    write("patient", table["patient"], described("patient, empty where unknown", label))
    write("lesion", table["lesion"], described("lesion, empty where unknown", label))
    write("sha256", sha256, described("SHA-256 of the file as acquired", "hashlib"))
    near = f"pHash of {HASH_SIZE**2} bits, at most {near_duplicate_bits} differing" if near_duplicate_bits >= 0 else ""
    write(
        "duplicate_group",
        groups,
        described("group of exact and near-duplicates, -1 for images without any", f"equal pixels; {near}".strip("; ")),
        np.int32,
    )
    for name in table.columns:
        if name.startswith("label_"):
            values, dtype = _numbers_if_any(table[name])
            write(name, values, described(name.removeprefix("label_").replace("_", " "), label), dtype)


def _numbers_if_any(column: pd.Series) -> tuple[np.ndarray, Any]:
    """A column of text as integers or numbers where all of it is (empty cells become NaN), else as it is.

    Codes stay text: 007, 1_2 and 1E5 are none of 7, 12 and 100000. Commas are those of decimals unless all may be those
    of thousands.
    """
    text = column.to_numpy(object)
    texts = [value for value in text if value and value.lower() != "nan"]
    if not texts or not all(map(_NUMBER.fullmatch, texts)):
        return text, object
    if any("," in value for value in texts):
        if any("." in value for value in texts) or all(map(_BY_THOUSANDS.fullmatch, texts)):
            return text, object
        text_of_numbers = [value.replace(",", ".") for value in text]
    else:
        text_of_numbers = list(text)
    numbers = np.array([float(value or "nan") for value in text_of_numbers])
    whole = len(texts) == len(text) and np.array_equal(numbers, np.rint(numbers)) and np.abs(numbers).max() < 2**31
    return (numbers.astype(np.int32), np.int32) if whole else (numbers, np.float64)


def _write_pictures(writer: StoreWriter, scratch: Any, count: int, size: int, masked: Mapping[str, list[bool]]) -> None:
    pixels = described("photograph, sRGB", f"decoded with Pillow, {FILTER}", "1")
    writer.create("pixels", ("image", "y", "x", "channel"), (count, size, size, 3), np.uint8, attributes=pixels)
    for name, present in masked.items():
        mask, has = (described(text, "mask of the data set") for text in _MASKS[name][1:])
        writer.create(name, ("image", "y", "x"), (count, size, size), np.uint8, attributes=mask)
        writer.create(f"has_{name}", ("image",), (count,), np.bool_, attributes=has)
        writer.write(f"has_{name}", ..., np.array(present))
    planes = 3 + len(masked)
    at_once = max(1, _BLOCK_BYTES // (planes * size * size))
    for start in range(0, count, at_once):
        images = min(at_once, count - start)
        block = np.frombuffer(scratch.read(images * planes * size * size), np.uint8).reshape(images, -1)
        writer.append("pixels", block[:, : 3 * size * size].reshape(images, size, size, 3))
        for plane, name in enumerate(masked, start=3):
            part = block[:, plane * size * size : (plane + 1) * size * size]
            writer.append(name, part.reshape(images, size, size))


def _cores() -> int:
    """Cores that this process may use, which on a shared machine are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
