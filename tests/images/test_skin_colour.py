"""Conversions against published values, and the individual typology angle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.images.skin_colour import (
    ITA_CLASSES,
    ita,
    ita_class,
    ita_of_lab,
    lab_to_srgb,
    linear_to_srgb,
    srgb_to_lab,
    srgb_to_linear,
)

# sRGB colours in CIELAB (D65, 2 degrees), as tabulated by B. Lindbloom, brucelindbloom.com.
PUBLISHED = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.2408, 80.0925, 67.2032),
    (0, 255, 0): (87.7347, -86.1827, 83.1793),
    (0, 0, 255): (32.2970, 79.1875, -107.8602),
    (0, 255, 255): (91.1132, -48.0875, -14.1312),
    (255, 0, 255): (60.3242, 98.2343, -60.8249),
    (255, 255, 0): (97.1393, -21.5537, 94.4780),
}


def test_lab_agrees_with_published_values():
    colours = np.array(list(PUBLISHED), np.uint8)
    np.testing.assert_allclose(srgb_to_lab(colours), list(PUBLISHED.values()), atol=0.01)
    np.testing.assert_allclose(lab_to_srgb(np.array(list(PUBLISHED.values()))) * 255, colours, atol=0.1)


def test_dark_branches_meet_the_bright_ones():
    """Both transfer functions and L* are smooth enough where their branches meet."""
    for function, joint in ((srgb_to_linear, 0.04045), (linear_to_srgb, 0.0031308)):
        below, above = function(np.array([joint - 1e-9, joint + 1e-9]))
        assert below == pytest.approx(above, abs=1e-6)
    greys = np.linspace(0, 0.2, 2001)[:, None].repeat(3, axis=1)
    lightness = srgb_to_lab(greys)[:, 0]
    assert (np.diff(lightness) > 0).all()
    assert np.abs(np.diff(lightness, 2)).max() < 1e-2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_lab_and_back(colour):
    np.testing.assert_allclose(lab_to_srgb(srgb_to_lab(np.array(colour))), colour, atol=1e-6)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(colour)), colour, atol=1e-6)


def test_angle_of_known_colours():
    assert ita_of_lab((65.0, 8.0, 15.0)) == pytest.approx(45.0)
    assert ita_of_lab((50.0, 8.0, 15.0)) == pytest.approx(0.0)
    assert ita_of_lab((35.0, 8.0, 15.0)) == pytest.approx(-45.0)
    assert ita_of_lab((50 + 12 * np.sqrt(3), 8.0, 12.0)) == pytest.approx(60.0)
    assert ita_of_lab((70.0, 0.0, 0.0)) == pytest.approx(90.0)  # no yellow at all is no division by zero


def test_classes_and_their_limits():
    names = [ita_class(angle) for angle in (60, 55, 41.1, 41, 30, 28, 15, 10, 0, -30, -60)]
    assert names == [
        *("very light", "light", "light", "intermediate", "intermediate"),
        *("tan", "tan", "brown", "brown", "dark", "dark"),
    ]
    assert ita_class(-170.0) == ITA_CLASSES[-1][0]
    with pytest.raises(ValueError, match="not a number"):
        ita_class(float("nan"))


def test_angle_of_a_photograph_is_that_of_its_median():
    skin = np.rint(lab_to_srgb((65.0, 8.0, 15.0)) * 255).astype(np.uint8)
    pixels = np.broadcast_to(skin, (20, 30, 3)).copy()
    pixels[:9] = 0  # less than half
    assert ita(pixels) == pytest.approx(45.0, abs=1.0)
    assert ita(pixels / 255.0) == pytest.approx(ita(pixels))
    mask = np.zeros((20, 30), bool)
    mask[:9] = True
    assert ita(pixels, ~mask) == pytest.approx(45.0, abs=1.0)
    assert ita(pixels, mask) == pytest.approx(-90.0)  # black


def test_what_is_no_colour_is_refused():
    pixels = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="last axis of length 3"):
        srgb_to_lab(np.zeros((4, 4)))
    with pytest.raises(TypeError, match=r"uint8 .* or floating"):
        srgb_to_lab(np.zeros((4, 3), np.int64))
    with pytest.raises(ValueError, match=r"\(height, width, 3\)"):
        ita(pixels[0])
    with pytest.raises(ValueError, match=r"bool of shape \(4, 5\)"):
        ita(pixels, np.ones((5, 4), bool))
    with pytest.raises(ValueError, match="empty"):
        ita(pixels, np.zeros((4, 5), bool))
