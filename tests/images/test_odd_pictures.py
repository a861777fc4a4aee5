"""Pictures that decoders read wrongly or not at all, against pixels that are known."""

from __future__ import annotations

import io
import struct
import threading
import time

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from sluguq.images import special
from sluguq.images.decoding import ImageRejected, decode, decode_picture
from sluguq.images.profiles import adobe_rgb, matrix_profile, to_srgb
from sluguq.images.room import SharedRoom

RNG = np.random.default_rng(5)
SMOOTH = Image.fromarray(RNG.integers(60, 230, (4, 4, 3)).astype(np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
PIXELS = np.asarray(SMOOTH)
GREY = np.asarray(SMOOTH.convert("L"))


def encoded(image: Image.Image, kind: str = "PNG", **keys: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **keys)
    return out.getvalue()


def off(content: bytes, expected: np.ndarray) -> float:
    return float(np.abs(decode(content, 32).astype(int) - expected.astype(int)).mean())


def tiff(
    values: np.ndarray,
    *,
    photometric: int,
    planar: int = 1,
    order: str = "<",
    largest: int | None = None,
    orientation: int = 1,
) -> bytes:
    """An uncompressed TIFF of 16 bits, a strip for every plane and eight lines."""
    samples = values.shape[2] if values.ndim == 3 else 1
    height, width = values.shape[:2]
    planes = [values[..., c] for c in range(samples)] if planar == 2 else [values]
    strips = [plane[top : top + 8].astype(f"{order}u2").tobytes() for plane in planes for top in range(0, height, 8)]
    entries = [
        (256, "H", [width]),
        (257, "H", [height]),
        (258, "H", [16] * samples),
        (259, "H", [1]),
        (262, "H", [photometric]),
        (273, "I", [0] * len(strips)),
        (274, "H", [orientation]),
        (277, "H", [samples]),
        (278, "H", [8]),
        (279, "I", [len(strip) for strip in strips]),
        *([(281, "H", [largest] * samples)] if largest else []),
        (284, "H", [planar]),
    ]
    start = 8 + 2 + 12 * len(entries) + 4
    sizes = [struct.calcsize(f"{order}{len(v)}{f}") for _, f, v in entries]
    data_start = start + sum(size for size in sizes if size > 4)
    places = np.cumsum([data_start, *map(len, strips)])[:-1].tolist()
    table, extra = b"", b""
    for tag, form, content in entries:
        content = places if tag == 273 else content
        raw = struct.pack(f"{order}{len(content)}{form}", *content)
        if len(raw) > 4:
            raw, extra = struct.pack(f"{order}I", start + len(extra)), extra + raw
        table += struct.pack(f"{order}HHI", tag, 3 if form == "H" else 4, len(content)) + raw.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(entries)) + table + bytes(4) + extra + b"".join(strips)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [1, 2])
def test_tiff_of_sixteen_bits_in_planes_or_not(planar, order):
    assert off(tiff(PIXELS.astype(np.uint16) * 257, photometric=2, planar=planar, order=order), PIXELS) < 1


@pytest.mark.parametrize("orientation", [3, 5, 6])
@pytest.mark.parametrize("planar", [1, 2])
def test_tiff_of_sixteen_bits_is_set_upright_once(planar, orientation):
    wide = np.concatenate([PIXELS, PIXELS // 2], 1)
    content = tiff(wide.astype(np.uint16) * 257, photometric=2, planar=planar, orientation=orientation)
    turned = {3: np.rot90(wide, 2), 5: wide.transpose(1, 0, 2), 6: np.rot90(wide, -1)}[orientation]
    height, width = turned.shape[:2]
    picture = decode_picture(content, 32, fit="pad")
    assert (picture.shape.width, picture.shape.height) == (width, height)
    expected = np.asarray(Image.fromarray(turned).resize((width // 2, height // 2), Image.Resampling.LANCZOS))
    top, left = (32 - height // 2) // 2, (32 - width // 2) // 2
    found = picture.pixels[top : top + height // 2, left : left + width // 2]
    assert np.abs(found.astype(int) - expected).mean() < 1


def test_greys_of_which_white_is_zero():
    expected = np.repeat(GREY[..., None], 3, -1)
    assert off(tiff(GREY.astype(np.uint16) * 257, photometric=1), expected) < 1
    assert off(tiff(65535 - GREY.astype(np.uint16) * 257, photometric=0), expected) < 1


def test_twelve_bits_that_the_file_tells():
    values = np.rint(GREY * (4095 / 255)).astype(np.uint16)
    assert off(tiff(values, photometric=1, largest=4095), np.repeat(GREY[..., None], 3, -1)) < 1


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_alpha_that_hides_all_or_nothing_is_passed_over(alpha):
    image = Image.fromarray(np.dstack([PIXELS, np.full((32, 32), alpha, np.uint8)]))
    assert off(encoded(image), PIXELS) == 0


def srgb(linear: np.ndarray) -> np.ndarray:
    value = linear / 255
    return np.rint(255 * np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055))


SRGB_PRIMARIES = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))


@pytest.mark.parametrize("name", ["GIMP built-in Linear sRGB", "linear light"])
def test_a_profile_counts_by_what_it_does(name):
    profile = matrix_profile(name, SRGB_PRIMARIES, 1.0)
    assert off(encoded(SMOOTH, icc_profile=profile), srgb(PIXELS)) < 1


def test_srgb_by_any_name_changes_nothing():
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(own, "RGB") is None
    assert off(encoded(SMOOTH, icc_profile=own), PIXELS) == 0
    assert to_srgb(b"no profile", "RGB") is None


def to_srgb_from_adobe(pixels: np.ndarray) -> np.ndarray:
    """Own arithmetic: the published matrices of Adobe RGB and sRGB, both of D65."""
    adobe = np.array(
        [[0.5767309, 0.1855540, 0.1881852], [0.2973769, 0.6273491, 0.0752741], [0.0270343, 0.0706872, 0.9911085]]
    )
    back = np.array(
        [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
    )
    linear = ((pixels / 255) ** (563 / 256)) @ np.array(adobe).T @ np.array(back).T
    return srgb(np.clip(linear, 0, 1) * 255)


def test_adobe_rgb_told_by_exif_alone():
    """As cameras write it: an uncalibrated colour space and the interoperability index R03."""
    skin = Image.new("RGB", (32, 32), (182, 155, 139))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    told = decode(encoded(skin, "JPEG", quality=95, exif=exif), 32)[16, 16].astype(int)
    expected = to_srgb_from_adobe(np.array([182, 155, 139]))
    assert np.abs(told - expected).max() <= 3
    assert np.abs(told - [182, 155, 139]).max() > 8
    plain = decode(encoded(skin, "JPEG", quality=95), 32)[16, 16].astype(int)
    assert np.abs(plain - [182, 155, 139]).max() <= 2
    assert to_srgb(adobe_rgb(), "RGB") is not None


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    noisy = np.asarray(SMOOTH.resize((400, 400))).astype(int) + RNG.integers(-25, 26, (400, 400, 3))
    return encoded(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), "JPEG", quality=90)


def test_damage_that_the_jpeg_decoder_warns_of(jpeg):
    garbled = bytearray(jpeg)
    middle = len(jpeg) // 2
    garbled[middle : middle + 400] = RNG.integers(0, 255, 400).astype(np.uint8).tobytes()
    with pytest.raises(ImageRejected, match="broken: Corrupt JPEG data"):
        decode(bytes(garbled), 64)


def test_padding_as_some_phones_write_it_is_no_damage(jpeg):
    padded = jpeg[:-2] + bytes(40) + jpeg[-2:]
    assert np.array_equal(decode(padded, 64), decode(jpeg, 64))
    assert np.array_equal(decode(jpeg + b"trailing", 64), decode(jpeg, 64))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_pixels_are_those_of_pillow(mode, orientation):
    image = SMOOTH.resize((300, 200)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(image, "JPEG", quality=92, exif=exif)
    with Image.open(io.BytesIO(content)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    side = min(upright.size)
    left, top = (upright.width - side) / 2, (upright.height - side) / 2
    box = (left, top, left + side, top + side)
    expected = upright.resize((120, 120), Image.Resampling.LANCZOS, box=box)
    assert np.array_equal(decode(content, 120), np.asarray(expected))


def test_a_photograph_of_108_megapixels_is_decoded_in_part():
    content = encoded(Image.new("RGB", (12000, 9000), (200, 150, 120)), "JPEG", quality=60)
    assert np.abs(decode(content, 64).astype(int) - [200, 150, 120]).max() <= 2
    with pytest.raises(ImageRejected, match=r"raise images.max_megapixels"):
        decode(content, 64, max_pixels=10**6)


def test_a_large_picture_that_cannot_be_decoded_in_part_names_the_key():
    content = encoded(Image.new("L", (3000, 3000)))
    with pytest.raises(ImageRejected, match=r"3000 x 3000 pixels are more than 1000000; raise images.max_megapixels"):
        decode(content, 64, max_pixels=10**6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(128) + b"DICM" + bytes(100), "DICOM"),
        (b"\xff\x0a" + bytes(100), "JPEG XL"),
        (b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(100), "RAW"),
        (b"\0\0\0\x18ftypisom" + bytes(100), "a video, which is not read here: take a frame"),
        (b"Rar!\x1a\7" + bytes(100), "a RAR file, not a picture"),
        (b"<?php echo 1;", "a PHP script, not a picture"),
        (b"<div>Not found</div>", "an HTML page, not a picture"),
        (b"\x1f\x8b\x08" + bytes(100), "a gzip file, not a picture"),
    ],
)
def test_formats_are_called_by_their_names(monkeypatch, content, message):
    def lacking(name: str) -> object:
        raise ImportError(name)

    special._register.cache_clear()
    monkeypatch.setattr(special.importlib, "import_module", lacking)
    with pytest.raises(ImageRejected, match=message):
        decode(content, 32)


@pytest.mark.parametrize("kind", ["HEIF", "JXL"])
def test_plugins_read_what_pillow_does_not(kind):
    module = pytest.importorskip({"HEIF": "pillow_heif", "JXL": "pillow_jxl"}[kind])
    if kind == "HEIF":
        module.register_heif_opener()
    content = encoded(SMOOTH.resize((64, 64)), kind, quality=95)
    assert np.abs(decode(content, 32).astype(int) - PIXELS).mean() < 6


@pytest.mark.parametrize(("photometric", "invert"), [("RGB", False), ("MONOCHROME2", False), ("MONOCHROME1", True)])
def test_dicom_photographs(photometric, invert):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    values = PIXELS if photometric == "RGB" else GREY
    # A window over the whole range, so that greys keep their values.
    values = values.copy()
    values[0, 0], values[0, 1] = 0, 255
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if photometric == "RGB" else 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = photometric, 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    if photometric == "RGB":
        dataset.PlanarConfiguration = 0
    dataset.PixelData = (255 - values if invert else values).tobytes()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.4", "1.2.3"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    expected = values if values.ndim == 3 else np.repeat(values[..., None], 3, -1)
    assert np.array_equal(decode(out.getvalue(), 32), expected)


def test_room_is_shared_and_never_exceeded():
    room, held, most, lock = SharedRoom(100), 0, 0, threading.Lock()

    def work(wanted: int) -> None:
        nonlocal held, most
        with room.take(wanted):
            with lock:
                held += wanted
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= wanted

    threads = [threading.Thread(target=work, args=(wanted,)) for wanted in [40, 70, 30, 20] * 10]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == 0
    assert 0 < most <= 100
    # One that needs more than there is has it to itself.
    with room.take(1000):
        pass


def test_room_is_asked_for_before_pixels_are_decoded():
    asked = []

    def room(wanted: int):
        asked.append(wanted)
        return SharedRoom(wanted).take(wanted)

    content = encoded(SMOOTH.convert("RGBA").resize((320, 320)))
    decode_picture(content, 32, room=room)
    assert asked == [320 * 320 * 9 + len(content)]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    "kind", [("PNG", {}), ("TIFF", {"compression": "tiff_adobe_deflate"})], ids=lambda kind: kind[0]
)
def test_pixels_that_were_damaged_are_refused(kind):
    """Pillow shows what lies before the damage, and black behind it."""
    content = encoded(NOISE, kind[0], **kind[1])
    assert decode(content, 32).any()
    place = len(content) // 2
    with pytest.raises(ImageRejected, match="the checksum of its pixels is wrong"):
        decode(content[:place] + bytes(byte ^ 255 for byte in content[place : place + 9]) + content[place + 9 :], 32)
    with pytest.raises(ImageRejected, match="cut off"):
        decode(encoded(NOISE)[: len(encoded(NOISE)) // 2], 32)


@pytest.mark.parametrize("kind", [("WEBP", {"lossless": True}), ("WEBP", {}), ("AVIF", {}), ("JPEG2000", {})])
def test_a_file_that_never_came_whole_is_refused(kind):
    """Its decoder shows the rest as it likes."""
    content = encoded(NOISE, kind[0], **kind[1])
    assert decode(content, 32).any()
    half = len(content) // 2
    with pytest.raises(ImageRejected, match="ends in zeros"):
        decode(content[:half] + bytes(len(content) - half), 32)


def test_floats_between_0_and_1_are_no_black():
    values = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "TIFF")
    assert decode(out.getvalue(), 64).max() > 250
