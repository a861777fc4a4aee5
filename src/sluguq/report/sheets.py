"""Pictures as bytes: maps in the colours of the figures, and sheets of many tiles."""

from __future__ import annotations

import io
from functools import cache

import matplotlib as mpl
import numpy as np
from PIL import Image

from sluguq.figures.pictures import BRIGHTEST
from sluguq.figures.style import MAP_COLOURS

ACROSS = 8
"""A sheet has so many tiles side by side, and at most as many lines of them."""

LARGEST = 96
"""A tile has at most so many pixels a side."""


def tile_size(side: int) -> int:
    """Pixels a side of the tiles of images of `side` pixels.

    :param side: in pixels.
    """
    return min(side, LARGEST)


def brightest(maps: np.ndarray) -> np.ndarray:
    """(n,) the value of each map (n, height, width) that is drawn brightest: its `BRIGHTEST` percentile.

    Its maximum where so few pixels are above zero that the percentile is not.

    :param maps: not negative.
    """
    values = np.nan_to_num(np.asarray(maps, dtype=np.float32))
    top = np.percentile(values, BRIGHTEST, axis=(1, 2))
    return np.where(top > 0, top, values.max(axis=(1, 2), initial=0))


def coloured(maps: np.ndarray) -> np.ndarray:
    """Maps (n, height, width) as uint8 (n, height, width, 3), each divided by its own `brightest` and cut off there.

    :param maps: not negative.
    """
    values = np.nan_to_num(np.asarray(maps, dtype=np.float32))
    top = brightest(values)[:, None, None]
    share = np.divide(values, top, out=np.zeros_like(values), where=top > 0)
    return _palette()[np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)]


def sheet(pictures: np.ndarray) -> bytes:
    """Up to `ACROSS` squared pictures, uint8 (n, height, width, 3), side by side and line by line, as WebP.

    :param pictures: of one size.
    """
    count, height, width, _ = pictures.shape
    tall, wide = tile_size(height), tile_size(width)
    if (tall, wide) != (height, width):
        small = [Image.fromarray(p).resize((wide, tall), Image.Resampling.BOX) for p in pictures]
        pictures = np.stack([np.asarray(picture) for picture in small])
    down = -(-count // ACROSS)
    room = np.full((down * ACROSS, tall, wide, 3), 255, np.uint8)
    room[:count] = pictures
    whole = room.reshape(down, ACROSS, tall, wide, 3).swapaxes(1, 2).reshape(down * tall, ACROSS * wide, 3)
    return encoded(whole, "webp", quality=82, method=2)


def encoded(picture: np.ndarray, kind: str, **options: object) -> bytes:
    """A picture, uint8 (height, width, 3) or (height, width), in a file format that Pillow writes.

    :param picture: one picture.
    :param kind: as Pillow calls it, webp or png.
    """
    content = io.BytesIO()
    Image.fromarray(picture).save(content, kind, **options)
    return content.getvalue()


@cache
def _palette() -> np.ndarray:
    return mpl.colormaps[MAP_COLOURS](np.arange(256), bytes=True)[:, :3]
