"""What the parts of claims on artefacts are: drawn ones with masks, and real ones by label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from sluguq.analysis.statistics import Array, logarithm, mean
from sluguq.claims.rules import FINDS, SMALLEST_AUROC, SMALLEST_RATIO, WELL_RECONSTRUCTED, Part, above, below
from sluguq.claims.run import NotInRun, Run

KINDS = ("ruler", "ink", "patch")
"""The artefacts that the SLUG paper names, as they are drawn."""

ARTEFACT_LABELS_ASKED = ("ruler", "ink", "patch", "patches")
"""The same as labels of photographs are called."""

SUMMARY = "contrast"
"""The summary of a map by which an image with an artefact is told (of `drawn_artefacts.SUMMARIES`): an artefact
that a map highlights is a small part of the image, far above the rest."""


def finds(which: str, claimed: Callable[..., Part], kinds: tuple[str, ...]) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        frame = run.pixels
        configuration = run.for_artefacts
        chosen = frame[frame["map"] == which]
        return [
            claimed(
                f"{kind}, {configuration}",
                run.table_estimate(chosen[chosen["artefact"] == kind], mean, {"x": "auroc"}, "share"),
                FINDS,
            )
            for kind in _kinds(run, chosen, kinds)
        ]

    return parts


def _kinds(run: Run, frame: pd.DataFrame, kinds: tuple[str, ...] = KINDS) -> list[str]:
    """Those of the kinds that a table has rows of.

    :raises NotInRun: none.
    """
    there = [kind for kind in kinds if (frame["artefact"] == kind).any()]
    if not there:
        raise run.nothing_drawn(kinds)
    return there


def finds_the_artefact(run: Run) -> list[Part]:
    parts = finds("slug_map", above, KINDS)(run)
    configuration, frame = run.for_artefacts, run.pixels
    keys = ["artefact", "seed", "id", "clean_image"]
    wide = frame.pivot(index=keys, columns="map", values="auroc").reset_index()
    if "slug_bare" not in wide:
        raise NotInRun("the images were not scored without their artefacts")

    def gain(x: Array, y: Array, weights: Array) -> Array:
        return mean(x - y, weights)

    return parts + [
        above(
            f"{kind}, {configuration}, less that of the bare image's map",
            run.table_estimate(wide[wide["artefact"] == kind], gain, {"x": "slug_map", "y": "slug_bare"}, "delta"),
            smallest=SMALLEST_AUROC,
        )
        for kind in KINDS
        if (wide["artefact"] == kind).any()
    ]


def beats_the_error_map(run: Run) -> list[Part]:
    configuration, frame = run.for_artefacts, run.pixels
    keys = ["artefact", "seed", "id", "clean_image"]
    wide = frame.pivot(index=keys, columns="map", values="auroc").reset_index()

    def gain(x: Array, y: Array, weights: Array) -> Array:
        return mean(x - y, weights)

    columns = {"x": "slug_map", "y": "error_map"}
    return [
        above(
            f"{kind}, {configuration}",
            run.table_estimate(wide[wide["artefact"] == kind], gain, columns, "delta"),
            smallest=SMALLEST_AUROC,
        )
        for kind in _kinds(run, wide)
    ]


def reconstructed(run: Run) -> list[Part]:
    def log_mean_ratio(x: Array, y: Array, weights: Array) -> Array:
        return mean(logarithm(x) - logarithm(y), weights)

    configuration = run.for_artefacts
    frame = run.regions[run.regions["configuration"] == configuration]
    columns = {"x": "error_artefact", "y": "error_bare"}
    return [
        below(
            f"{kind}, {configuration}",
            run.table_estimate(frame[frame["artefact"] == kind], log_mean_ratio, columns),
            float(np.log(WELL_RECONSTRUCTED)),
        )
        for kind in _kinds(run, frame)
    ]


def between(run: Run) -> list[Part]:
    def log_mean_ratio(x: Array, y: Array, weights: Array) -> Array:
        return mean(logarithm(x) - logarithm(y), weights)

    drawn = run.regions[run.regions["artefact"].isin(KINDS)]
    parts = []
    for configuration in (run.both, run.dark_only):
        frame = drawn[drawn["configuration"] == configuration]
        parts += [
            above(
                f"{configuration}, {high} over {low}",
                run.table_estimate(frame, log_mean_ratio, {"x": f"slug_{high}", "y": f"slug_{low}"}, of=configuration),
                smallest=SMALLEST_RATIO,
            )
            for high, low in (("artefact", "lesion"), ("lesion", "rest"))
        ]
    return parts


def tells_labels(which: str, claimed: Callable[..., Part]) -> Callable[[Run], list[Part]]:
    def parts(run: Run) -> list[Part]:
        told = run.tells_labels(ARTEFACT_LABELS_ASKED, which, SUMMARY)
        if not told:
            raise NotInRun("no data set has maps and photographs labelled with and without rulers, ink or patches")
        return [claimed(f"{name}, {label}, {run.for_artefacts}", estimate, FINDS) for name, label, estimate in told]

    return parts
