"""What every page and card says that these numbers do not show."""

from __future__ import annotations

from sluguq.analysis.aggregated import FITZPATRICK, Scale

_FITZPATRICK = (
    "Fitzpatrick types are a coarse and contested scale: made for the skin's reaction to sun, assigned here by people "
    "who look at photographs, and of low agreement between them."
)

_LIMITS = (
    "A group's error depends on how its images were taken and selected as much as on skin. A gap shows that the model "
    "serves one group worse on these photographs; it does not show why.",
    "SLUG is the uncertainty of one trained network under a low-rank Laplace approximation. It says nothing of errors "
    "that every network of this kind shares.",
    "SLUG maps glow along image borders where convolutions pad with zeros, and show the up-sampling's checkerboard: "
    "both are of the network, not of the skin.",
    "Intervals are over trainings, and test images, drawn from one pool of photographs. The seeds' training images "
    "overlap, the more the smaller a group is, so intervals say what another draw from this pool would give, not "
    "what photographs of other people would.",
    "Claims are judged one by one; of those near their threshold some are decided wrongly by chance.",
    "Not for clinical use.",
)


def limits(scale: Scale = FITZPATRICK, *, synthetic: bool = False) -> tuple[str, ...]:
    """Sentences that hold for every experiment.

    :param scale: the scale that its groups are made of.
    :param synthetic: whether its photographs were drawn by a program.
    """
    of_scale = (
        _FITZPATRICK
        if scale.name == FITZPATRICK.name
        else f"{scale.title} ({scale.name}) has few levels, which were assigned to photographs: skin varies within a "
        "level, and who assigned them may err."
    )
    return (of_scale, *(["Synthetic images prove nothing about people."] if synthetic else []), *_LIMITS)
