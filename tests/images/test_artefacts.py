"""Drawn artefacts: exact masks, the same artefact from the same seed, clear refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.images.artefacts import KINDS, draw

SKIN = (224, 172, 140)


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 4, (height, width, 3))
    return np.clip(np.array(SKIN) + noise, 0, 255).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32),
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    content=st.integers(0, 3),
)
def test_every_changed_pixel_is_inside_the_mask(kind, seed, height, width, content):
    pixels = np.random.default_rng(content).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = pixels.copy()
    drawn = draw(pixels, kind, seed=seed)
    assert drawn.pixels.dtype == np.uint8
    assert drawn.pixels.shape == pixels.shape
    assert drawn.mask.dtype == bool
    assert drawn.mask.shape == (height, width)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(drawn.pixels[~drawn.mask], pixels[~drawn.mask])
    assert 3 <= drawn.mask.sum() <= 0.5 * height * width


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_where_the_object_covers(kind):
    """On images of opposite content an artefact's pixels differ from at least one of them, and only there."""
    black, white = (np.full((64, 80, 3), value, np.uint8) for value in (0, 255))
    # A bubble bends what is behind it: on an even colour only its rim and glint would be seen.
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 80, 3), dtype=np.uint8)
    pictures = (black, white) if kind != "bubble" else tuple(noise)
    for seed in range(5):
        results = [draw(picture, kind, seed=seed) for picture in pictures]
        changed = np.zeros((64, 80), bool)
        for picture, result in zip(pictures, results, strict=True):
            np.testing.assert_array_equal(result.mask, results[0].mask)
            changed |= (result.pixels != picture).any(axis=-1)
        np.testing.assert_array_equal(changed, results[0].mask)


@pytest.mark.parametrize("kind", ["ruler", "patch"])
def test_the_mask_counts_all_but_the_faintest_fringe(kind):
    """Black and white backgrounds tell the opacity of every pixel: within the mask it is 4 % or more."""
    least = 1.0
    for seed in range(20):
        over_black, over_white = (draw(np.full((96, 96, 3), value, np.uint8), kind, seed=seed) for value in (0, 255))
        through = (over_white.pixels.astype(float) - over_black.pixels).mean(axis=-1) / 255
        assert (through[~over_black.mask] == 1).all()
        least = min(least, (1 - through[over_black.mask]).min())
    assert 0.03 < least < 0.12


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_and_another_something_else(kind):
    pixels = photograph(64, 64)
    first, again, other = draw(pixels, kind, seed=7), draw(pixels, kind, seed=7), draw(pixels, kind, seed=8)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.mask != other.mask).any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_keeps_its_place_at_another_resolution(kind):
    for seed in range(4):
        small = draw(photograph(64, 64), kind, seed=seed).mask
        large = draw(photograph(128, 128), kind, seed=seed).mask
        share = large.reshape(64, 2, 64, 2).mean(axis=(1, 3))
        overlap = (small & (share > 0)).sum() / (small | (share > 0)).sum()
        assert overlap > 0.75


def test_a_clear_ruler_lets_the_skin_shine_through_and_a_sticker_does_not():
    dark, light = photograph(96, 96) // 4, photograph(96, 96)
    for seed in range(6):
        on_dark, on_light = draw(dark, "patch", seed=seed), draw(light, "patch", seed=seed)
        inner = on_dark.mask & (np.abs(on_dark.pixels.astype(int) - on_light.pixels).max(axis=-1) == 0)
        assert inner.sum() > 0.8 * on_dark.mask.sum()
    through = [
        np.abs(draw(dark, "ruler", seed=seed).pixels.astype(int) - draw(light, "ruler", seed=seed).pixels)[
            draw(dark, "ruler", seed=seed).mask
        ].mean()
        for seed in range(12)
    ]
    assert min(through) < 8 < 60 < max(through)


def test_ink_darkens_and_ticks_alternate_with_the_ruler():
    pixels = photograph(96, 96)
    for seed in range(6):
        drawn = draw(pixels, "ink", seed=seed)
        assert drawn.pixels[drawn.mask].mean() < pixels[drawn.mask].mean() - 20
        ruler = draw(pixels, "ruler", seed=seed)
        assert ruler.pixels[ruler.mask].mean(axis=-1).std() > 20  # ticks against the body


def test_bubbles_have_bright_glints():
    pixels = photograph(128, 128)
    for seed in range(6):
        drawn = draw(pixels, "bubble", seed=seed)
        assert drawn.pixels[drawn.mask].mean(axis=-1).max() > pixels.mean(axis=-1).max() + 10


def test_what_cannot_be_drawn_on_is_refused():
    pixels = photograph(40, 40)
    with pytest.raises(ValueError, match=r"no artefact called 'tattoo'.*ruler, ink, patch, bubble"):
        draw(pixels, "tattoo", seed=0)
    with pytest.raises(ValueError, match=r"uint8 RGB.*float64"):
        draw(pixels / 255.0, "ink", seed=0)
    with pytest.raises(ValueError, match=r"\(40, 40\)"):
        draw(pixels[..., 0], "ink", seed=0)
    with pytest.raises(ValueError, match="at least 32 pixels along each side, not 40 x 31"):
        draw(pixels[:31], "ink", seed=0)
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        draw(pixels, "ink", seed=-1)
