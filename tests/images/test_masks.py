"""Lesion masks of every kind mean the same pixels, and masks of other pictures are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sluguq.images.decoding import ImageRejected, decode_mask, decode_picture
from sluguq.images.masks import Shape, disagreement

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
    by_exif = decode_mask(turned(stored, "PNG", 6), 48, photograph=photograph)
    assert np.array_equal(by_pixels, by_exif)
    assert by_pixels.sum() > 0
    with pytest.raises(ImageRejected, match="EXIF turns the mask alone"):
        decode_mask(turned(stored, "PNG", 6), 48, photograph=Shape(64, 48))
