"""What figures there are, what each is drawn from and what it shows: plain data, read without any plotting library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from sluguq.machine import extensions

Needs = Literal["dataset", "models", "labels", "sensitivity"]


class Specification(NamedTuple):
    """One figure.

    needs: what it is drawn from, an aggregated store (`dataset`), the store of models, a label table, or a table of
    sensitivity. roles: the roles of aggregated stores that it makes sense for (training, external, artefacts).
    caption: what it shows, in one or two sentences. paper: the figures of the papers it answers to. tables: those of
    its store that it is drawn from (`sluguq.analysis.catalogue`). function: what draws it, of figures that an extension
    adds.
    """

    needs: Needs
    roles: tuple[str, ...]
    caption: str
    paper: str = ""
    tables: tuple[str, ...] = ()
    function: Callable[..., Any] | None = None


_BOTH = ("training", "external")
_DRAWN = ("artefacts",)

FIGURES: dict[str, Specification] = {
    "error_by_group": Specification(
        "dataset",
        _BOTH,
        "The error of every test image by configuration and group, with the ratio of the groups' means.",
        tables=("gaps",),
    ),
    "slug_knows": Specification(
        "dataset",
        _BOTH,
        "SLUG against the error as percentiles of each network, and how much of the worst tenth of errors the highest "
        "tenth of each signal catches.",
        tables=("signals",),
    ),
    "fst_distribution": Specification(
        "labels",
        _BOTH,
        "Images of each Fitzpatrick skin type in the label table, and how many of them could be obtained.",
        "fairness paper, figure 2",
    ),
    "boxes_by_group": Specification(
        "dataset",
        _BOTH,
        "Mean squared error, latent standard deviation and SLUG of every test image, by group and configuration.",
        "fairness paper, figures 3 and 6; SLUG paper, figures 1 and 2",
    ),
    "boxes_by_group_seeds": Specification(
        "dataset",
        _BOTH,
        "Mean squared error, latent standard deviation and SLUG by group and configuration, one point per seed: the "
        "mean over its test images.",
        "fairness paper, figures 3 and 6; SLUG paper, figures 1 and 2",
    ),
    "boxes_by_fst": Specification(
        "dataset",
        _BOTH,
        "Mean squared error, latent standard deviation and SLUG of every image, by Fitzpatrick skin type.",
        "SLUG paper, figure 3",
    ),
    "slug_against_mse": Specification(
        "dataset",
        _BOTH,
        "SLUG against the error of every test image, with rank and linear correlation.",
        "SLUG paper, figure 4 left",
        tables=("correlations",),
    ),
    "correlation_by_seed": Specification(
        "dataset",
        _BOTH,
        "Rank and linear correlation of SLUG with the error in each seed, with 95 % intervals.",
        "SLUG paper, figure 4 left",
        tables=("correlations",),
    ),
    "retention": Specification(
        "dataset",
        _BOTH,
        "Mean error of what remains as the images with the highest SLUG are removed, beside the oracle's curve, "
        "random removal, and removal by the latent standard deviation.",
        "SLUG paper, figure 4 centre",
        tables=("removal",),
    ),
    "reconstructions": Specification(
        "dataset",
        _BOTH,
        "The same images reconstructed under every configuration, with their errors.",
        "fairness paper, figures 1, 4 and 5",
    ),
    "maps": Specification(
        "dataset",
        _BOTH,
        "Images, reconstructions, error maps and SLUG maps. Where convolutions pad with zeros (model.padding: zero), "
        "SLUG maps glow along the borders: that is of the network, not of the skin.",
        "SLUG paper, figure 4 right",
    ),
    "maps_page": Specification(
        "dataset",
        _BOTH,
        "Many more images, reconstructions, error maps and SLUG maps.",
        "SLUG paper, figure 4 right",
    ),
    "group_gaps": Specification(
        "dataset",
        _BOTH,
        "Every group against the lightest in error, latent standard deviation and SLUG: ratio of means and effect "
        "size, with 95 % intervals.",
        tables=("gaps",),
    ),
    "levels_by_group": Specification(
        "dataset",
        _BOTH,
        "Beyond means: mean, median and upper quantiles of error and SLUG of every group, with 95 % intervals, and "
        "which group is worst.",
        tables=("levels",),
    ),
    "gaps_within_labels": Specification(
        "dataset",
        _BOTH,
        "The gap between the darkest and the lightest group among images of one condition or body site, where such "
        "labels exist, and adjusted for them, with 95 % intervals.",
        tables=("gaps_within",),
    ),
    "whose_labels": Specification(
        "dataset",
        _BOTH,
        "Does the gap depend on who labelled? The darkest group against the lightest by the skin types that the groups "
        "are made of, by another annotation, where both agree, and by the skin tone that is measured from the pixels.",
        tables=("gaps_by_annotation",),
    ),
    "flagged": Specification(
        "dataset",
        _BOTH,
        "When the tenth of images with the highest SLUG is flagged: the share of each group that is flagged, that is "
        "among the worst errors, and the share of its worst errors that is caught.",
        tables=("flagging",),
    ),
    "signals": Specification(
        "dataset",
        _BOTH,
        "Is SLUG worth its cost? The same tests for cheaper signals, and partial rank correlations: what SLUG knows "
        "of the error that each of them does not.",
        tables=("signals",),
    ),
    "signals_by_group": Specification(
        "dataset",
        _BOTH,
        "The gap between the darkest and the lightest group in the error and in every signal, whether the signal "
        "orders the configurations as the error does, and whose images it flags.",
        tables=("signals_by_group",),
    ),
    "labels_by_signal": Specification(
        "dataset",
        _BOTH,
        "AUROC of every signal of a whole image, the error among them, for images that carry a yes-or-no label.",
        tables=("labels_by_signal",),
    ),
    "labelled_artefacts": Specification(
        "dataset",
        _BOTH,
        "AUROC of several summaries of the SLUG and the error map for images that carry a yes-or-no label: those of "
        "known artefacts (ruler, ink, patches and the like) first, then any other label, which need be no artefact.",
        "SLUG paper, figure 4 right",
        tables=("labelled",),
    ),
    "drawn_artefacts": Specification(
        "dataset",
        _DRAWN,
        "Pixel AUROC of SLUG maps, error maps and two plain maps of the photograph for drawn artefacts.",
        "SLUG paper, figure 4 right",
        tables=("drawn_artefacts",),
    ),
    "artefact_maps": Specification(
        "dataset",
        _DRAWN,
        "Images with drawn artefacts, their reconstructions, error maps and SLUG maps.",
        "SLUG paper, figure 4 right",
        tables=("artefact_pixels",),
    ),
    "artefact_change": Specification(
        "dataset",
        _DRAWN,
        "SLUG and error of an image with an artefact drawn on it, over those of the same image without: every image, "
        "and the mean ratio with its 95 % interval.",
        tables=("artefact_change",),
    ),
    "training_history": Specification("models", (), "Every term of the training loss by epoch."),
    "spectrum": Specification(
        "models", (), "Leading eigenvalues of the generalised Gauss-Newton matrix, with residuals."
    ),
    "samples": Specification("models", (), "Images that the decoders draw from the prior."),
    "sample_tones": Specification(
        "models",
        (),
        "Whose skin the models paint: the skin tone (ITA) of images drawn from the prior beside that of the training "
        "images, by configuration and group.",
        tables=("tones",),
    ),
    "snapshots": Specification(
        "models", (), "The same test images reconstructed at a few epochs of training, by configuration."
    ),
    "sensitivity": Specification(
        "sensitivity",
        (),
        "How SLUG depends on rank, probes, training images, image size, prior precision and seed: its rank correlation "
        "with the error and with the experiment's own SLUG of the same images, its level, and its standard error.",
    ),
}
extensions.refuse_twice("figure", FIGURES, extensions.FIGURES)
FIGURES |= {name: Specification("dataset", **added) for name, added in extensions.FIGURES.items()}


def names_for(role: str) -> list[str]:
    """The figures of an aggregated store of this role (training, external, artefacts), label tables' included.

    :param role: of the store.
    """
    return [name for name, figure in FIGURES.items() if role in figure.roles]


TITLES = {
    "error_by_group": "Error by group and configuration",
    "slug_knows": "SLUG against the error, and the worst errors it catches",
    "fst_distribution": "Images by skin type",
    "boxes_by_group": "Error and uncertainty by group",
    "boxes_by_group_seeds": "Error and uncertainty by group, means of seeds",
    "boxes_by_fst": "Error and uncertainty by skin type",
    "slug_against_mse": "SLUG against the error",
    "correlation_by_seed": "Correlation of SLUG with the error, seed by seed",
    "retention": "Error of what remains as uncertain images are removed",
    "reconstructions": "Reconstructions by configuration",
    "maps": "Error and SLUG maps",
    "maps_page": "Many images with their maps",
    "group_gaps": "Gaps between groups",
    "levels_by_group": "Mean and worst cases of each group",
    "gaps_within_labels": "Gaps within one condition or body site",
    "whose_labels": "Does the gap depend on who labelled?",
    "flagged": "Who is flagged",
    "signals": "SLUG beside cheaper signals",
    "signals_by_group": "Which signal sees the groups as the error does?",
    "labels_by_signal": "Which signal tells labelled images apart?",
    "labelled_artefacts": "Do maps tell labelled images apart?",
    "drawn_artefacts": "Do maps find artefacts?",
    "artefact_maps": "Drawn artefacts and their maps",
    "artefact_change": "The same image with and without an artefact",
    "training_history": "Training history",
    "spectrum": "Leading eigenvalues",
    "samples": "Samples from the prior",
    "sample_tones": "Whose skin the model paints",
    "snapshots": "Reconstructions during training",
    "sensitivity": "How sure is the score?",
}
"""Short titles, for lists of figures."""


def caption_text(name: str) -> str:
    """A figure's caption in Snakemake's report, which adds the settings of the run.

    :param name: of the figure.
    """
    figure = FIGURES[name]
    return figure.caption + (f" ({figure.paper})" if figure.paper else "") + " {{ snakemake.params.settings }}\n"
