"""What tables there are and what each says: plain data, read without any library of numbers.

Every number with an interval stands in one of them and is computed there alone; figures, cards and the report read it.
"""

from __future__ import annotations

from typing import NamedTuple

from sluguq.machine import extensions

_PHOTOGRAPHS = ("training", "external")
_MASKED = ("artefacts", *_PHOTOGRAPHS)


class Table(NamedTuple):
    """One table of a store: the roles of stores that it is made of, and what it says."""

    roles: tuple[str, ...]
    caption: str


TABLES: dict[str, Table] = {
    "levels": Table(_PHOTOGRAPHS, "Mean and quantiles of error, latent standard deviation and SLUG by group."),
    "skin_types": Table(_PHOTOGRAPHS, "Mean of error, latent standard deviation and SLUG by skin type."),
    "gaps": Table(_PHOTOGRAPHS, "Every group against the lightest: differences, ratios and effect sizes."),
    "intersections": Table(_PHOTOGRAPHS, "Mean error and SLUG of groups crossed with condition and body site."),
    "gaps_within": Table(_PHOTOGRAPHS, "Gaps among images of one condition or body site, and adjusted for them."),
    "gaps_by_annotation": Table(
        _PHOTOGRAPHS, "The darkest group against the lightest, by who says what an image's skin is."
    ),
    "flagging": Table(_PHOTOGRAPHS, "Whose images are flagged, and which of the worst errors are caught."),
    "correlations": Table(_PHOTOGRAPHS, "Correlation of SLUG with the error, over seeds and seed by seed."),
    "removal": Table(_PHOTOGRAPHS, "The error of what remains as uncertain images are removed."),
    "signals": Table(_PHOTOGRAPHS, "SLUG and cheaper signals under the same tests."),
    "signals_by_group": Table(_PHOTOGRAPHS, "Gaps between groups in every signal, and whose images it flags."),
    "labels_by_signal": Table(_PHOTOGRAPHS, "How well every signal tells images that carry a label."),
    "labelled": Table(_PHOTOGRAPHS, "How well summaries of the maps tell images that carry a label."),
    "appearance": Table(_PHOTOGRAPHS, "Tone, structure, relative error and error inside the lesion, by group."),
    "tone_trend": Table(_PHOTOGRAPHS, "Error and SLUG along the skin tone of the photographs."),
    "calibration": Table(
        _PHOTOGRAPHS, "Expected against observed squared error, by tenths of SLUG: of images, and of an image's pixels."
    ),
    "variability": Table(_PHOTOGRAPHS, "How different the images of a group are from each other."),
    "artefact_pixels": Table(_MASKED, "How well each map finds the pixels of an artefact, image by image."),
    "drawn_artefacts": Table(_MASKED, "How well each map finds the pixels of artefacts, with intervals."),
    "artefact_change": Table(("artefacts",), "SLUG and error with a drawn artefact over those without."),
    "tones": Table(("models",), "Skin tone of prior samples and of training images."),
}
extensions.refuse_twice("table", TABLES, extensions.TABLES)
TABLES |= {name: Table(added["roles"], added["caption"]) for name, added in extensions.TABLES.items()}


def tables_for(role: str) -> list[str]:
    """The tables of a store of this role (training, external, artefacts, models).

    :param role: of the store.
    """
    return [name for name, table in TABLES.items() if role in table.roles]
