"""The scale that skin is sorted by: ordered levels, from the lightest to the darkest."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_LEVELS = 20
SkinType = Annotated[int, Field(ge=1, le=MOST_LEVELS)]
"""A level of a scale; which there are, the experiment's scale says."""

FitzpatrickType = Annotated[int, Field(ge=1, le=6)]


class Scale(BaseModel):
    """An ordered scale of skin, Fitzpatrick's unless something else is said."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field("FST", min_length=1, max_length=12, description="Short name, as figures and tables write it.")
    title: str = Field("Fitzpatrick skin type", min_length=1, description="The name in full.")
    levels: int = Field(
        6,
        ge=2,
        le=MOST_LEVELS,
        description="Number of levels, 1 being the lightest: 6 of Fitzpatrick's, 10 of Monk's. `groups` are sets of "
        "these. What a table of yours writes in their place is said there (`fst_values`).",
    )
