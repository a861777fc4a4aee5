"""Synthetic close-up skin photographs, made deterministically from a seed.

They let every stage run, and be tested, with no download and no patient. They prove nothing about people:
whatever is made of them is to be labelled *synthetic*.

An image depends on (skin type, seed, index) alone, not on how many are made or in which order, and shows the
same scene at every size: light is computed on a canvas of at least 128 px and averaged down.

Skin types differ by physics, not by a trick. Base colours follow published angles (see `subjects`); lesions
add or remove melanin and haemoglobin, which absorb in proportion to what light is left (see `optics`). So
redness and moles stand out less, in absolute terms, on dark skin, while a loss of pigment and the sheen of
the surface stand out more. Shape, size, texture, framing and light come from the same laws for all types.
"""

from sluguq.images.phantom.scene import PhantomImage, render
from sluguq.images.phantom.subjects import CONDITIONS, SKIN_TYPES, PhantomRecord, phantom_records

__all__ = ["CONDITIONS", "SKIN_TYPES", "PhantomImage", "PhantomRecord", "phantom_records", "render"]
