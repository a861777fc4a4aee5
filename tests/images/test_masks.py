"""Lesion masks of every kind mean the same pixels, and masks of other pictures are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sluguq.images.decoding import ImageRejected, decode_mask, decode_picture
from sluguq.images.masks import Shape, are_outlines, covers_border, disagreement
from tests.places import SHARED

LESION = np.zeros((48, 48), bool)
LESION[6:26, 8:30] = True


def encoded(image: Image.Image, kind: str = "PNG", **keys: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **keys)
    return out.getvalue()


def rgba(lesion: tuple[int, ...], rest: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(LESION[..., None], lesion, rest).astype(np.uint8))


def paletted() -> Image.Image:
    image = Image.fromarray(LESION.astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


KINDS = {
    "0 and 255": encoded(Image.fromarray(LESION.astype(np.uint8) * 255)),
    "0 and 1": encoded(Image.fromarray(LESION.astype(np.uint8))),
    "label 3": encoded(Image.fromarray(LESION.astype(np.uint8) * 3)),
    "one bit": encoded(Image.fromarray(LESION)),
    "16 bits, 0 and 1": encoded(Image.fromarray(LESION.astype(np.uint16))),
    "16 bits, label 3": encoded(Image.fromarray(LESION.astype(np.uint16) * 3), "TIFF"),
    "16 bits, 0 and 65535": encoded(Image.fromarray(LESION.astype(np.uint16) * 65535)),
    "32 bits": encoded(Image.fromarray(LESION.astype(np.int32)), "TIFF"),
    "floats": encoded(Image.fromarray(LESION.astype(np.float32)), "TIFF"),
    "white on transparent": encoded(rgba((255, 255, 255, 255), (0, 0, 0, 0))),
    "red on transparent": encoded(rgba((255, 0, 0, 255), (0, 0, 0, 0))),
    "black on transparent": encoded(rgba((0, 0, 0, 255), (255, 255, 255, 0))),
    "opaque with alpha": encoded(rgba((255, 255, 255, 255), (0, 0, 0, 255))),
    "red on black": encoded(rgba((255, 0, 0), (0, 0, 0))),
    "palette": encoded(paletted()),
    "JPEG": encoded(Image.fromarray(LESION.astype(np.uint8) * 255), "JPEG", quality=40),
}


@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_any_kind_mean_the_lesion(kind):
    found = decode_mask(KINDS[kind], 48).astype(bool)
    assert (found != LESION).mean() < (0.03 if kind == "JPEG" else 1e-9)


def test_all_labels_but_the_background_are_meant():
    labels = np.where(LESION, 2, 0).astype(np.uint8)
    labels[6:10, 8:30] = 1
    assert np.array_equal(decode_mask(encoded(Image.fromarray(labels)), 48).astype(bool), LESION)


def test_a_mask_of_which_it_cannot_be_told_what_is_meant():
    photograph = np.dstack([np.full((48, 48, 3), 200), np.where(LESION, 255, 0)]).astype(np.uint8)
    photograph[::2, :, :3] = 20
    with pytest.raises(ImageRejected, match=r"lesion mask: .*several colours"):
        decode_mask(encoded(Image.fromarray(photograph)), 48)


def test_colours_of_labels_are_meant_however_dim(tmp_path):
    """The palette of PASCAL VOC has (64, 0, 0) beside (192, 128, 128)."""
    labels = np.where(LESION, 2, 0).astype(np.uint8)
    labels[6:10, 8:30] = 1
    image = Image.fromarray(labels).convert("P")
    image.putpalette([0, 0, 0, 64, 0, 0, 192, 128, 128])
    assert np.array_equal(decode_mask(encoded(image), 48).astype(bool), LESION)
    assert np.array_equal(decode_mask(encoded(image.convert("RGB")), 48).astype(bool), LESION)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (encoded(rgba((0, 0, 255), (255, 0, 0))), "2 colours and no black"),
        (encoded(rgba((255, 255, 255, 0), (0, 0, 0, 255))), "its corners are opaque"),
        (encoded(rgba((255, 0, 0, 0), (255, 255, 255, 255))), "its corners are opaque"),
        (encoded(Image.fromarray(LESION.astype(np.uint8)), "JPEG", quality=95), "a JPEG .or lossy WebP. of values"),
        (encoded(Image.linear_gradient("L")), "greys of all kinds, as a photograph has"),
        (encoded(Image.merge("RGB", [Image.linear_gradient("L")] * 3), "JPEG"), "greys of all kinds"),
    ],
)
def test_masks_that_mean_one_thing_or_its_opposite_are_refused(mask, reason):
    with pytest.raises(ImageRejected, match=f"^lesion mask: .*{reason}"):
        decode_mask(mask, 48)


def test_photographs_are_no_masks_and_masks_are_no_photographs():
    """Of a sample of real ones, by the two names that a wrong column would give."""
    folder = SHARED / "fitzpatrick17k_masks"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    pictures = {"mask": sorted(folder.rglob("*.png"))[:40], "photograph": sorted(folder.rglob("*.jpg"))[:40]}
    refused = dict.fromkeys(pictures, 0)
    for kind, files in pictures.items():
        assert files, kind
        for file in files:
            try:
                decode_mask(file.read_bytes(), 64)
            except ImageRejected:
                refused[kind] += 1
    assert refused["mask"] == 0
    assert refused["photograph"] >= 0.85 * len(pictures["photograph"])


def test_thin_lines_and_soft_edges_are_masks():
    lines = np.zeros((400, 400), np.uint8)
    for first in range(4):
        lines[first::64] = lines[:, first::64] = 255
    soft = Image.fromarray(lines).resize((100, 100), Image.Resampling.LANCZOS)
    for kind in ("PNG", "JPEG"):
        share = decode_mask(encoded(soft, kind), 100).mean()
        assert share == pytest.approx((np.asarray(soft) > soft.getextrema()[1] // 2).mean(), abs=0.02)


@pytest.mark.parametrize(
    ("size", "orientation", "mask_orientation", "ambiguous"),
    [
        ((64, 48), 1, 1, False),
        ((64, 48), 3, 1, True),
        ((64, 48), 3, 3, False),
        ((64, 48), 6, 1, False),  # proportions tell that the mask is upright
        ((48, 48), 6, 1, True),
        ((48, 48), 6, 6, False),
        ((48, 48), 1, 2, True),
        ((64, 48), 6, 8, True),
    ],
)
def test_a_pair_of_which_exif_turns_one_without_a_trace_is_told(size, orientation, mask_orientation, ambiguous):
    lesion = Image.new("L", size)
    lesion.paste(255, (4, 4, 20, 20))
    photograph = decode_picture(turned(Image.new("RGB", size), "JPEG", orientation), 48).shape
    upright = orientation == 6 and mask_orientation == 1
    mask = lesion.transpose(Image.Transpose.ROTATE_270) if upright else lesion
    told: list[bool] = []
    decode_mask(turned(mask, "PNG", mask_orientation), 48, photograph=photograph, unsure=lambda: told.append(True))
    assert bool(told) == ambiguous


@pytest.mark.parametrize(
    ("mask", "photograph", "agree"),
    [
        ((48, 48), (480, 480), True),
        ((64, 48), (640, 480), True),
        ((333, 250), (1000, 750), True),
        ((1024, 767), (4000, 3000), True),
        ((200, 90), (120, 120), False),
        ((48, 64), (64, 48), False),
        ((600, 450), (600, 500), False),
    ],
)
def test_proportions(mask, photograph, agree):
    assert (disagreement(Shape(*mask), Shape(*photograph)) == "") == agree


def turned(image: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif)


def test_a_mask_drawn_on_the_stored_pixels_of_a_turned_photograph():
    wide, lesion = Image.new("RGB", (64, 48)), np.zeros((48, 64), np.uint8)
    lesion[4:20, 4:20] = 255
    photograph = decode_picture(turned(wide, "JPEG", 6), 48).shape
    assert (photograph.width, photograph.height) == (48, 64)
    stored = Image.fromarray(lesion)
    with pytest.raises(ImageRejected, match="EXIF turns the photograph alone"):
        decode_mask(encoded(stored), 48, photograph=photograph)
    # Turned alike, by EXIF or by its pixels, it fits.
    upright = stored.transpose(Image.Transpose.ROTATE_270)
    by_pixels = decode_mask(encoded(upright), 48, photograph=photograph)
    for kind in ("PNG", "TIFF"):
        by_exif = decode_mask(turned(stored, kind, 6), 48, photograph=photograph)
        assert np.array_equal(by_pixels, by_exif)
    assert by_pixels.sum() > 0
    with pytest.raises(ImageRejected, match="EXIF turns the mask alone"):
        decode_mask(turned(stored, "PNG", 6), 48, photograph=Shape(64, 48))


def test_probabilities_are_cut_at_their_half():
    soft = np.where(LESION, 0.9, 0.03).astype(np.float32)
    assert np.array_equal(decode_mask(encoded(Image.fromarray(soft), "TIFF"), 48), LESION)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.where(LESION, 2, 1), "none is 0"),
        (np.where(LESION, 1, 0) + 255 * (np.arange(48) == 5)[:, None], "what is void"),
    ],
)
def test_labels_that_may_mean_several_things_are_refused(values, reason):
    with pytest.raises(ImageRejected, match=reason):
        decode_mask(encoded(Image.fromarray(values.astype(np.uint8))), 48)


PLACES = np.mgrid[:120, :120] - 60
DISTANCE = np.hypot(*PLACES)


def squares(count: int) -> np.ndarray:
    """So many squares, numbered from 1."""
    values = np.zeros((120, 120), np.uint8)
    for number in range(count):
        top, left = 12 * (number // 10), 12 * (number % 10)
        values[top : top + 8, left : left + 8] = number + 1
    return values


def test_numbers_of_instances_are_all_meant_or_refused():
    assert np.array_equal(decode_mask(encoded(Image.fromarray(squares(31))), 120), squares(31) > 0)
    with pytest.raises(ImageRejected, match="numbers of things that are all meant, or shares of agreement"):
        decode_mask(encoded(Image.fromarray(squares(60))), 120)


def test_classes_of_greys_are_refused():
    with pytest.raises(ImageRejected, match="greys or colours in plain areas"):
        decode_mask(encoded(Image.fromarray(np.where(LESION, 255, np.arange(48) // 24 * 128).astype(np.uint8))), 48)


@pytest.mark.parametrize("width", [1, 4, 20])
def test_what_passes_gradually_is_cut_at_its_half(width):
    soft = np.clip((40 - DISTANCE) / width + 0.5, 0, 1) * 255
    found = decode_mask(encoded(Image.fromarray(soft.astype(np.uint8))), 120)
    assert np.array_equal(found, soft.astype(np.uint8) > 127)


def test_faint_probabilities_are_no_labels():
    faint = 31 * np.exp(-((DISTANCE / 40) ** 2))
    with pytest.raises(ImageRejected, match="rise gradually, as probabilities do"):
        decode_mask(encoded(Image.fromarray(faint.astype(np.uint8))), 120)


def test_inverted_masks_and_outlines_are_noticed():
    disc, ring = DISTANCE < 40, np.abs(DISTANCE - 40) < 2
    at_the_side = np.arange(120)[None] < np.full((120, 1), 60)
    masks = np.stack([disc, ~disc, ring, at_the_side, disc & (DISTANCE > 20), np.ones_like(disc), np.zeros_like(disc)])
    assert covers_border(masks.astype(np.uint8)).tolist() == [False, True, False, False, False, False, False]
    assert are_outlines(masks.astype(np.uint8)).tolist() == [False, False, True, False, False, False, False]


def test_labels_in_a_lossy_file_are_refused():
    labels = Image.fromarray(9 * LESION.astype(np.uint8))
    with pytest.raises(ImageRejected, match="does not keep them"):
        decode_mask(encoded(labels.convert("RGB"), "WEBP", quality=50), 48)
    assert np.array_equal(decode_mask(encoded(labels.convert("RGB"), "WEBP", lossless=True), 48), LESION)
