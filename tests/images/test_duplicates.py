"""Groups of exact and near-duplicates."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from sluguq.images.decoding import decode
from sluguq.images.duplicates import HASH_SIZE, NEAR_BITS, duplicate_groups, near_pairs, perceptual_hash
from tests.places import SHARED


def flipped(value: np.ndarray, bits: int) -> np.ndarray:
    """A hash with its first so many bits flipped."""
    flat = np.unpackbits(value.view(np.uint8))
    flat[:bits] ^= 1
    return np.packbits(flat).view(np.uint64)


def random_hashes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, (n, 4), np.uint64)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 600), st.integers(0, 140), st.integers(0, 10**6))
def test_pairs_are_those_of_brute_force(n, bits, seed):
    hashes = random_hashes(n, seed)
    hashes[1::3] = hashes[: len(hashes[1::3])]
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(-1)
    expected = np.argwhere(np.triu(distance <= bits, 1))
    found = near_pairs(hashes, bits)
    assert np.array_equal(found[np.lexsort(found.T[::-1])], expected)


def test_the_bound_is_inclusive_and_duplicates_of_duplicates_are_one_group():
    first, other = random_hashes(2)
    hashes = np.stack([first, flipped(first, NEAR_BITS), flipped(first, 2 * NEAR_BITS), other])
    keys = [b"a", b"b", b"c", b"d"]
    assert duplicate_groups(keys, hashes).tolist() == [0, 0, 0, -1]
    assert duplicate_groups(keys[:2], np.stack([first, flipped(first, NEAR_BITS + 1)])).tolist() == [-1, -1]


def test_equal_pixels_are_duplicates_whatever_the_hash():
    hashes = random_hashes(4)
    assert duplicate_groups([b"x", b"y", b"x", b"y"], hashes).tolist() == [0, 1, 0, 1]
    same = np.repeat(random_hashes(1), 3, axis=0)
    assert duplicate_groups([b"x", b"y", b"x"], same, bits=-1).tolist() == [0, -1, 0]


def test_nothing_at_all():
    assert duplicate_groups([], np.empty((0, 4), np.uint64)).tolist() == []


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def changed(image: Image.Image) -> dict[str, Image.Image]:
    width, height = image.size
    box = (width // 100, height // 100, width - width // 100, height - height // 100)
    return {
        "half": image.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "brighter": ImageEnhance.Brightness(image).enhance(1.2),
        "contrast": ImageEnhance.Contrast(image).enhance(1.2),
        "cropped": image.crop(box),
        "saved again": Image.open(io.BytesIO(encoded(image, 50))),
    }


def test_real_photographs_are_near_their_copies_and_far_from_each_other():
    folder = SHARED / "padufes20" / "images"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    photographs = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.jpg"))[::24]]
    hashes = [perceptual_hash(decode(encoded(image), 128)) for image in photographs]
    assert len(near_pairs(np.stack(hashes))) == 0
    for image, hashed in zip(photographs, hashes, strict=True):
        for name, copy in changed(image).items():
            distance = np.bitwise_count(hashed ^ perceptual_hash(decode(encoded(copy), 128))).sum()
            assert distance <= NEAR_BITS, name


def test_the_hash_has_the_promised_length():
    assert perceptual_hash(np.zeros((64, 64, 3), np.uint8)).size * 64 == HASH_SIZE**2
