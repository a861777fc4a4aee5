"""Colour of skin from its pigments, in linear light.

    R = s + (B - s) * ((D - s) / (B - s))^f * exp(-m k_melanin - h k_haemoglobin)

per colour channel: B the patient's base colour, D that of skin without melanin (never darker than B), s the
part of the light that the surface returns untouched by any pigment, m and h melanin and haemoglobin in excess
of the base (optical densities of the green channel), f in [0, 1] the part of the melanin that is missing. It is
the Beer-Lambert law, so what is added absorbs a share of the light that is there: the same dose changes dark
skin less in absolute terms.
"""

from __future__ import annotations

import numpy as np

from sluguq.images.phantom.fields import Array
from sluguq.images.skin_colour import lab_to_linear

# Melanin absorbs as wavelength^-3.48 (Jacques, Melanosome absorption coefficient, OMLC, 1998): taken at about
# 605, 540 and 460 nm, relative to green. Oxyhaemoglobin hardly absorbs red; green and blue light it takes in
# alike, blue somewhat less because it returns from less deep (Anderson and Parrish, J. Invest. Dermatol. 77:13,
# 1981; rounded). The surface's share and the colour without melanin are chosen to look right.
MELANIN = np.array([0.67, 1.0, 1.75], np.float32)
HAEMOGLOBIN = np.array([0.06, 1.0, 0.75], np.float32)
SURFACE = 0.018  # of the incident light, diffusely, from the stratum corneum
UNPIGMENTED = (75.0, 8.0, 12.0)  # CIELAB of skin that has lost its melanin


def skin_reflectance(lab: tuple[float, float, float], melanin: Array, haemoglobin: Array, missing: Array) -> Array:
    """Linear-light RGB (3, n, n) of skin of base colour `lab` with pigment maps (n, n); see above.

    :param lab: CIELAB of the base colour.
    :param melanin: in excess of the base, (n, n), as optical density of the green channel.
    :param haemoglobin: likewise.
    :param missing: part of the melanin that is missing, (n, n), in [0, 1].
    """
    base = np.maximum(lab_to_linear(np.array(lab)) - SURFACE, 0.004)
    bare = np.maximum(lab_to_linear(np.array(UNPIGMENTED)) - SURFACE, base)
    gain = np.log(bare / base).astype(np.float32)
    colours = np.empty((3, *melanin.shape), np.float32)
    for channel, colour in enumerate(colours):
        np.multiply(melanin, -MELANIN[channel], out=colour)
        colour -= HAEMOGLOBIN[channel] * haemoglobin
        colour += gain[channel] * missing
        np.exp(colour, out=colour)
        colour *= np.float32(base[channel])
        colour += np.float32(SURFACE)
    return colours
