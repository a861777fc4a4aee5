"""Decoding what real folders hold, and refusing what is no picture."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sluguq.images import decoding as images
from sluguq.images.decoding import ImageRejected, decode, decode_mask, not_a_picture

SIDE = 32


def encoded(image: Image.Image, kind: str = "PNG", **keys: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **keys)
    return out.getvalue()


def quadrants(width: int = 64, height: int = 64) -> Image.Image:
    """Red, green over blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = 255
    return Image.fromarray(pixels)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    quarter = len(pixels) // 4
    places = [(quarter, quarter), (quarter, -quarter), (-quarter, quarter), (-quarter, -quarter)]
    return [tuple(int(value) for value in pixels[place]) for place in places]


def near(found: list[tuple[int, ...]], expected: list[tuple[int, ...]], within: int = 12) -> bool:
    return bool(np.all(np.abs(np.array(found) - np.array(expected)) <= within))


COLOURS: list[tuple[int, ...]] = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM", "AVIF"])
def test_formats(kind):
    keys = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    pixels = decode(encoded(quadrants(), kind, **keys), SIDE)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert pixels.dtype == np.uint8
    assert near(corners(pixels), COLOURS)


UPRIGHT = ["0123", "1032", "3210", "2301", "0213", "2031", "3120", "1302"]
"""Where the four colours stand once an EXIF orientation of 1 to 8 is undone."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_exif_rotation(kind, keys, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encoded(quadrants(), kind, exif=exif, **keys), SIDE)
    assert near(corners(pixels), [COLOURS[int(place)] for place in UPRIGHT[orientation - 1]], 25)


def test_exif_rotation_decides_what_is_cropped():
    tall = Image.new("RGB", (40, 120), "black")
    tall.paste((255, 255, 255), (0, 40, 40, 80))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(tall, "JPEG", exif=exif), SIDE).mean() > 240


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_passed_over():
    content = encoded(quadrants(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert near(corners(decode(content, SIDE)), COLOURS, 25)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"])
def test_modes_become_rgb(mode):
    kind = "PNG" if mode in ("L", "1", "P") else "TIFF"
    image = quadrants().convert(mode) if mode != "HSV" else quadrants()
    if mode == "LAB":
        image = ImageCms.applyTransform(
            quadrants(),
            ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
        )
    pixels = decode(encoded(image, kind), SIDE)
    assert pixels.shape == (SIDE, SIDE, 3)
    white = corners(pixels)[3]
    assert min(white) > 240


def test_transparency_shows_white():
    image = quadrants().convert("RGBA")
    image.putalpha(0)
    image.putpixel((0, 0), (0, 0, 0, 255))
    assert np.all(decode(encoded(image), SIDE)[4:] == 255)
    half = Image.new("LA", (64, 64), (0, 128))
    assert np.all(np.abs(decode(encoded(half), SIDE).astype(int) - 127) <= 1)
    palette = quadrants().convert("P", palette=Image.Palette.ADAPTIVE)
    index = palette.getpixel((5, 5))
    pixels = decode(encoded(palette, transparency=index), SIDE)
    assert near(corners(pixels), [(255, 255, 255), *COLOURS[1:]])
    grey = Image.new("L", (64, 64), 7)
    grey.paste(9, (0, 0, 64, 8))
    assert np.all(decode(encoded(grey, transparency=7), SIDE)[8:] == 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits(kind):
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(values), kind), 64).astype(float)
    assert np.abs(pixels - (values / 257.0)[..., None]).max() <= 1


def test_sixteen_bit_colour():
    """A PNG of 16 bits a channel, written by hand as Pillow writes none."""
    values = np.zeros((32, 32, 3), ">u2")
    values[..., 0], values[..., 1], values[..., 2] = 65535, 32896, 0
    raw = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    assert np.all(np.abs(decode(content, SIDE).astype(int) - (255, 128, 0)) <= 1)


def test_floating_point_greys():
    ramp = np.linspace(0, 0.999, 64 * 64, dtype=np.float32).reshape(64, 64)
    pixels = decode(encoded(Image.fromarray(ramp), "TIFF"), 64).astype(float)
    assert np.abs(pixels - (255 * ramp)[..., None]).max() <= 1
    for bad in (ramp - 1, ramp * 1e6, np.where(ramp > 0.5, np.nan, ramp).astype(np.float32)):
        with pytest.raises(ImageRejected):
            decode(encoded(Image.fromarray(bad), "TIFF"), 64)


def test_animations_give_their_first_frame():
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.all(decode(content, SIDE)[0, 0] == (255, 0, 0))


def profile_with_swapped_channels() -> bytes:
    """An sRGB profile whose red and blue primaries have changed places."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", content, 128)[0]
    tags = {bytes(content[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    content[red + 4 : red + 12], content[blue + 4 : blue + 12] = (
        content[blue + 4 : blue + 12],
        content[red + 4 : red + 12],
    )
    at = struct.unpack_from(">I", content, tags[b"desc"] + 4)[0]
    content[at + 28 : at + 36] = "swap".encode("utf-16-be")
    return bytes(content)


def test_colour_profile_is_applied():
    image = Image.new("RGB", (64, 64), (250, 20, 10))
    swapped = decode(encoded(image, icc_profile=profile_with_swapped_channels()), SIDE)
    assert near([tuple(swapped[5, 5].tolist())], [(10, 20, 250)], 3)
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode(encoded(image, icc_profile=plain), SIDE), decode(encoded(image), SIDE))
    assert np.array_equal(decode(encoded(image, icc_profile=b"broken"), SIDE), decode(encoded(image), SIDE))


def test_profile_of_another_colour_space_is_passed_over():
    grey = Image.new("L", (64, 64), 90)
    content = encoded(grey, icc_profile=profile_with_swapped_channels())
    assert np.all(decode(content, SIDE) == 90)


def wide() -> Image.Image:
    """120 x 40: black, white, black thirds."""
    image = Image.new("RGB", (120, 40), "black")
    image.paste((255, 255, 255), (40, 0, 80, 40))
    return image


def test_crop_pad_and_stretch():
    crop, pad, stretch = (decode(encoded(wide()), 60, fit=fit) for fit in ("crop", "pad", "stretch"))
    assert crop.mean() > 253
    assert pad[:20].max() == 0
    assert pad[-20:].max() == 0
    assert pad[30, 30].min() == 255
    assert pad.mean() == pytest.approx(255 / 9, rel=0.05)
    assert stretch.mean() == pytest.approx(255 / 3, rel=0.05)
    assert stretch[0, 30].min() == 255


def test_pad_of_cmyk_is_black():
    pixels = decode(encoded(wide().convert("CMYK"), "TIFF"), 60, fit="pad")
    assert pixels[:18].max() <= 5


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_draft_mode_stays_near_full_decoding(fit):
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 36, 3), np.uint8)).resize((900, 600), Image.Resampling.BICUBIC)
    drafted = decode(encoded(coarse, "JPEG", quality=95, subsampling=0), 64, fit=fit).astype(float)
    full = decode(encoded(coarse, "PNG"), 64, fit=fit).astype(float)
    assert np.abs(drafted - full).mean() < 2


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_draft_mode_is_used_as_far_as_it_may(monkeypatch, fit):
    seen: list[tuple[int, int]] = []
    plain = images._plain_colours
    monkeypatch.setattr(images, "_plain_colours", lambda image: seen.append(image.size) or plain(image))
    decode(encoded(Image.new("RGB", (1200, 800)), "JPEG"), 50, fit=fit)
    decode(encoded(Image.new("RGB", (1200, 800)), "JPEG"), 76, fit=fit)
    # An eighth, 150 x 100, is at least twice 50, but less than twice 76 on either side: there a quarter is taken.
    assert seen == [(150, 100), (300, 200)]


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(16, 90),
    height=st.integers(16, 90),
    size=st.integers(8, 70),
    fit=st.sampled_from(["crop", "pad", "stretch"]),
    value=st.integers(0, 255),
)
def test_any_shape_keeps_a_plain_colour(width, height, size, fit, value):
    pixels = decode(encoded(Image.new("L", (width, height), value)), size, fit=fit)
    assert pixels.shape == (size, size, 3)
    assert set(np.unique(pixels)) <= {0, value}
    # A strip of one pixel lies beside the middle of an even side.
    middle = slice((size - 1) // 2, size // 2 + 1)
    assert pixels[middle, middle, 0].max() == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html>404</html>", "HTML"),
        (b"<HTML><body>gone", "HTML"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "XML"),
        (b'{"error": "rate limit"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"%PDF-1.4", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "plain text"),
        (b"\x00" * 500, "no picture format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 200, "HEIC.* convert it"),
        (b"plain words", "plain text"),
        (encoded(Image.new("RGB", (1, 1))), "1 x 1 pixels"),
        (encoded(Image.new("RGB", (300, 8))), "300 x 8 pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_picture(content, reason):
    with pytest.raises(ImageRejected, match=reason):
        decode(content, SIDE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_truncated_files(kind):
    content = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)), kind)
    with pytest.raises(ImageRejected):
        decode(content[: len(content) // 2], SIDE)


def test_truncated_jpeg_is_noticed_in_draft_mode():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8))
    content = encoded(noise, "JPEG")
    with pytest.raises(ImageRejected, match="cut off"):
        decode(content[: len(content) // 2], SIDE)


def test_pixel_bombs_are_refused_before_they_are_decoded():
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(ImageRejected, match="more than"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT", SIDE)
    with pytest.raises(ImageRejected, match="100 x 100 pixels are more than 5000"):
        decode(encoded(Image.new("RGB", (100, 100))), SIDE, max_pixels=5000)


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=300), kind=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "BMP"]), at=st.integers(0, 400)
)
def test_no_bytes_raise_anything_else(content, kind, at):
    whole = bytearray(encoded(quadrants(40, 40), kind))
    at = min(at, len(whole))
    whole[at : at + len(content)] = content
    with contextlib.suppress(ImageRejected), warnings.catch_warnings(action="ignore"):
        assert decode(bytes(whole), SIDE).shape == (SIDE, SIDE, 3)


def test_masks_follow_the_geometry_and_hold_zero_and_one():
    for white in (1, 255):
        values = np.zeros((40, 120), np.uint8)
        values[:, 40:80] = white
        for fit, share in (("crop", 1.0), ("pad", 1 / 9), ("stretch", 1 / 3)):
            mask = decode_mask(encoded(Image.fromarray(values)), 60, fit=fit)
            assert set(np.unique(mask)) <= {0, 1}
            assert mask.mean() == pytest.approx(share, abs=0.02)
    assert decode_mask(encoded(Image.fromarray(np.zeros((40, 40), np.uint8))), 60).max() == 0


def test_a_picture_is_not_called_something_else():
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"):
        assert not_a_picture(encoded(quadrants(), kind)) is None
