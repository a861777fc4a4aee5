"""Pictures that Pillow alone does not read, through plugins where they are installed: DICOM, HEIC, JPEG XL, RAW.

Also what Pillow reads wrongly: uncompressed TIFF files of 16 bits with a plane for each colour.
"""

from __future__ import annotations

import functools
import importlib
import io
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from sluguq.images.orientation import orientation_of, upright
from sluguq.machine.errors import SluguqError

_PACKAGES = {"DICOM": "pydicom", "HEIC": "pillow-heif", "JPEG XL": "pillow-jxl-plugin", "RAW": "rawpy"}
_WAYS_OUT = {"a video": "take a frame of it as JPEG or PNG"}

_CHUNKY, _PLANAR = 1, 2
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _COUNTS, _LARGEST, _LAYOUT = 273, 279, 281, 284


class NotReadHere(SluguqError, ValueError):
    """A picture of a format that wants a plugin; the message names the format and the way out."""


def not_read(kind: str) -> NotReadHere:
    """The error for a format whose plugin is not installed."""
    way = _WAYS_OUT.get(kind) or f"install {_PACKAGES.get(kind, 'its plugin')}, or convert it to JPEG or PNG"
    return NotReadHere(f"{kind}, which is not read here: {way}")


def open_special(content: bytes, kind: str) -> Image.Image:
    """Open a picture of a special format.

    :param content: all bytes of the file.
    :param kind: what :func:`sluguq.images.signatures.special_format` says.
    :raises NotReadHere: where its plugin is not installed.
    """
    if kind == "DICOM":
        return _from_dicom(content, _plugin("pydicom", kind))
    if kind == "RAW":
        rawpy = _plugin("rawpy", kind)
        with rawpy.imread(io.BytesIO(content)) as raw:
            return Image.fromarray(raw.postprocess(use_camera_wb=True, output_bps=8))
    if kind in ("HEIC", "JPEG XL"):
        _register(kind)
        try:
            return Image.open(io.BytesIO(content))
        except UnidentifiedImageError:
            raise NotReadHere(f"{kind}, broken or of an odd kind: convert it to JPEG or PNG") from None
    raise not_read(kind)


@functools.cache
def _register(kind: str) -> None:
    """Have Pillow read a format; a plugin is registered once."""
    if kind == "HEIC":
        _plugin("pillow_heif", kind).register_heif_opener()
    else:
        _plugin("pillow_jxl", kind)


def _plugin(module: str, kind: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise not_read(kind) from None


def _from_dicom(content: bytes, pydicom: Any) -> Image.Image:
    """The first frame of a DICOM photograph."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    if "PixelData" not in dataset:
        raise ValueError("a DICOM file without a picture")
    pixels = importlib.import_module("pydicom.pixels")
    array = pixels.pixel_array(dataset, index=0)
    colour = int(dataset.get("SamplesPerPixel", 1)) == 3
    if not colour:
        array = pixels.apply_voi_lut(pixels.apply_modality_lut(array, dataset), dataset).astype(np.float64)
        low, high = float(array.min()), float(array.max())
        array = (array - low) * (255 / (high - low)) if high > low else np.zeros_like(array)
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            array = 255 - array
    elif array.dtype != np.uint8:
        array = array * (255.0 / (2 ** int(dataset.BitsStored) - 1))
    return Image.fromarray(np.clip(np.rint(array), 0, 255).astype(np.uint8))


def repaired_tiff(image: Image.Image, content: bytes) -> Image.Image:
    """A TIFF picture as it is meant, where Pillow reads it otherwise; any other as it is.

    Meant are uncompressed planes of 16 bits, which Pillow scrambles; greys of 16 bits of which white is 0, which it
    takes for black; and greys of fewer bits than they are stored in, which it takes for dark.

    :param image: the picture, opened and perhaps not loaded.
    :param content: all bytes of its file.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return image
    tags = image.tag_v2
    bits = _as_tuple(tags.get(_BITS, 1))
    if set(bits) != {16}:
        return image
    if len(bits) == 3 and tags.get(_LAYOUT, _CHUNKY) == _PLANAR and tags.get(_COMPRESSION, 1) == 1 and _OFFSETS in tags:
        return _from_planes(image, content)
    if len(bits) == 1 and image.mode.startswith("I"):
        largest = max(_as_tuple(tags.get(_LARGEST, 65535)))
        inverted = tags.get(_PHOTOMETRIC) == 0
        if inverted or 255 < largest < 65535:
            values = np.asarray(image).astype(np.uint16)
            white = largest if 255 < largest < 65535 else 65535
            scaled = np.clip(values, 0, white).astype(np.float32) * (255 / white)
            return Image.fromarray(np.rint(255 - scaled if inverted else scaled).astype(np.uint8))
    return image


def _from_planes(image: TiffImagePlugin.TiffImageFile, content: bytes) -> Image.Image:
    tags = image.tag_v2
    strips = zip(_as_tuple(tags[_OFFSETS]), _as_tuple(tags[_COUNTS]), strict=True)
    data = b"".join(content[start : start + length] for start, length in strips)
    order = ">u2" if content[:2] == b"MM" else "<u2"
    # As they are stored: Pillow gives the size of what is upright.
    width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
    values = np.frombuffer(data, order)[: 3 * width * height].reshape(3, height, width).transpose(1, 2, 0)
    stored = Image.fromarray(np.rint(values * np.float32(1 / 257)).astype(np.uint8))
    repaired = upright(stored, orientation_of(image))
    repaired.info = dict(image.info)
    return repaired


def _as_tuple(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (int(value),)
