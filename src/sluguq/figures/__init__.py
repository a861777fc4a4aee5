"""The figures: each takes opened stores and gives a figure and the tidy table behind it.

`FIGURES` names them all and says what each needs; `draw` makes one, `save` writes it as SVG, PNG and CSV.
Nothing here knows of folders' grammar, configuration files or Snakemake.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from sluguq.figures.association import correlation_by_seed, slug_against_mse
from sluguq.figures.boxes import boxes
from sluguq.figures.distribution import fst_distribution
from sluguq.figures.fairness import flagged, group_gaps
from sluguq.figures.objects import drawn_objects, labelled_objects, object_change, object_maps
from sluguq.figures.pictures import maps, reconstructions, samples
from sluguq.figures.retention import retention
from sluguq.figures.sensitivity import sensitivity as draw_sensitivity
from sluguq.figures.signals import signals
from sluguq.figures.style import styled
from sluguq.figures.training import spectrum, training_history

Needs = Literal["dataset", "models", "labels", "sensitivity"]


class Specification(NamedTuple):
    """One figure.

    function: gives (Figure, DataFrame). needs: what it is drawn from, an aggregated store (`dataset`), the
    store of models, a label table, or a table of sensitivity. roles: the roles of aggregated stores that it
    makes sense for (training, external, artefacts).
    caption: what it shows, in one or two sentences. paper: the figures of the papers it answers to.
    """

    function: Callable[..., tuple[Figure, pd.DataFrame]]
    needs: Needs
    roles: tuple[str, ...]
    caption: str
    paper: str = ""


_BOTH = ("training", "external")
_DRAWN = ("artefacts",)

FIGURES: dict[str, Specification] = {
    "fst_distribution": Specification(
        fst_distribution,
        "labels",
        _BOTH,
        "Images of each Fitzpatrick skin type in the label table, and how many of them were to be had.",
        "fairness paper, figure 2",
    ),
    "boxes_by_group": Specification(
        lambda dataset: boxes(dataset, "group", "image"),
        "dataset",
        _BOTH,
        "Mean squared error, latent standard deviation and SLUG of every test image, by group and configuration.",
        "fairness paper, figures 3 and 6; SLUG paper, figures 1 and 2",
    ),
    "boxes_by_group_seeds": Specification(
        lambda dataset: boxes(dataset, "group", "seed"),
        "dataset",
        _BOTH,
        "Mean squared error, latent standard deviation and SLUG by group and configuration, one point a seed: the mean "
        "over its test images.",
        "fairness paper, figures 3 and 6; SLUG paper, figures 1 and 2",
    ),
    "boxes_by_fst": Specification(
        lambda dataset: boxes(dataset, "fst", "image"),
        "dataset",
        _BOTH,
        "Mean squared error, latent standard deviation and SLUG of every image, by Fitzpatrick skin type.",
        "SLUG paper, figure 3",
    ),
    "slug_against_mse": Specification(
        slug_against_mse,
        "dataset",
        _BOTH,
        "SLUG against the error of every test image, with rank and linear correlation.",
        "SLUG paper, figure 4 left",
    ),
    "correlation_by_seed": Specification(
        correlation_by_seed,
        "dataset",
        _BOTH,
        "Rank and linear correlation of SLUG with the error in each seed, with 95 % intervals.",
        "SLUG paper, figure 4 left",
    ),
    "retention": Specification(
        retention,
        "dataset",
        _BOTH,
        "Mean error of what remains as the images with the highest SLUG are removed, beside the oracle's curve, "
        "random removal, and removal by the latent standard deviation.",
        "SLUG paper, figure 4 centre",
    ),
    "reconstructions": Specification(
        reconstructions,
        "dataset",
        _BOTH,
        "The same images reconstructed under every configuration, with their errors.",
        "fairness paper, figures 1, 4 and 5",
    ),
    "maps": Specification(
        maps,
        "dataset",
        _BOTH,
        "Images, reconstructions, error maps and SLUG maps. A glow along the borders of SLUG maps comes from the "
        "zero padding of the network, not from the skin.",
        "SLUG paper, figure 4 right",
    ),
    "maps_page": Specification(
        lambda dataset: maps(dataset, many=True),
        "dataset",
        _BOTH,
        "Many more images, reconstructions, error maps and SLUG maps.",
        "SLUG paper, figure 4 right",
    ),
    "group_gaps": Specification(
        group_gaps,
        "dataset",
        _BOTH,
        "Every group against the lightest in error, latent standard deviation and SLUG: ratio of means and effect "
        "size, with 95 % intervals.",
    ),
    "flagged": Specification(
        flagged,
        "dataset",
        _BOTH,
        "When the tenth of images with the highest SLUG is flagged: the share of each group that is flagged, that is "
        "among the worst errors, and the share of its worst errors that is caught.",
    ),
    "signals": Specification(
        signals,
        "dataset",
        _BOTH,
        "Is SLUG worth its cost? The same tests for cheaper signals, and partial rank correlations: what SLUG knows "
        "of the error that each of them does not.",
    ),
    "labelled_objects": Specification(
        labelled_objects,
        "dataset",
        _BOTH,
        "AUROC of several summaries of the SLUG and the error map for images labelled as having a foreign object.",
        "SLUG paper, figure 4 right",
    ),
    "drawn_objects": Specification(
        drawn_objects,
        "dataset",
        _DRAWN,
        "Pixel AUROC of SLUG maps, error maps and two plain maps of the photograph for drawn objects.",
        "SLUG paper, figure 4 right",
    ),
    "object_maps": Specification(
        object_maps,
        "dataset",
        _DRAWN,
        "Images with drawn objects, their reconstructions, error maps and SLUG maps.",
        "SLUG paper, figure 4 right",
    ),
    "object_change": Specification(
        object_change,
        "dataset",
        _DRAWN,
        "SLUG and error of an image with an object drawn on it, over those of the same image without.",
    ),
    "training_history": Specification(training_history, "models", (), "Every term of the training loss by epoch."),
    "spectrum": Specification(
        spectrum, "models", (), "Leading eigenvalues of the generalised Gauss-Newton matrix, with residuals."
    ),
    "samples": Specification(samples, "models", (), "Images that the decoders draw from the prior."),
    "sensitivity": Specification(
        draw_sensitivity,
        "sensitivity",
        (),
        "How SLUG and its rank correlation with the error depend on rank, probes, training images, image size and "
        "prior precision.",
    ),
}


def draw(
    name: str,
    dataset: xr.Dataset | None = None,
    *,
    models: xr.Dataset | None = None,
    labels: pd.DataFrame | None = None,
    sensitivity: pd.DataFrame | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Draw a figure of `FIGURES`.

    Give what `FIGURES[name].needs` names; `fst_distribution` takes a dataset besides, for its marks.
    Returns the figure and the tidy table behind it.

    Raises ValueError where there is no such figure, or what it needs was not given.
    """
    if name not in FIGURES:
        raise ValueError(f"there is no figure {name!r}; there are {', '.join(sorted(FIGURES))}")
    specification = FIGURES[name]
    given: dict[str, Any] = {"dataset": dataset, "models": models, "labels": labels, "sensitivity": sensitivity}
    if given[specification.needs] is None:
        raise ValueError(f"the figure {name!r} is drawn from {specification.needs}, which was not given")
    with styled():
        if specification.needs == "labels":
            return specification.function(labels, dataset)
        return specification.function(given[specification.needs])


def names_for(role: str) -> list[str]:
    """The figures of an aggregated store of this role (training, external, artefacts), label tables' included."""
    return [name for name, figure in FIGURES.items() if role in figure.roles]


def save(figure: Figure, table: pd.DataFrame, folder: str | Path, name: str, *, origin: str = "") -> list[Path]:
    """Write `name`.svg, `name`.png (200 dots an inch) and `name`.csv into a folder; returns the paths.

    Both pictures carry `origin`, where they come from, as their description. The SVG carries no date, so that the
    same figure is the same file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("svg", "png", "csv")]
    with styled():
        figure.savefig(paths[0], metadata={"Date": None, "Description": origin})
        figure.savefig(paths[1], metadata={"Description": origin})
    table.to_csv(paths[2], index=False)
    return paths
