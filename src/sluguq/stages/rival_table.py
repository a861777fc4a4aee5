"""The table of a model's cheaper scores, between the job that makes it and the store that gathers it."""

from __future__ import annotations

import os

import pandas as pd

from sluguq.stores.tables import read_numbers

WHOLE = "slug"
"""The name under which the table has what SLUG of all weights takes; its scores are those of the score store."""

COLUMNS = ("rival", "id", "slug", "slug_sem", "passes")
"""passes: forward passes of the network an image, its share of the eigenbasis among them."""


def read_rivals(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The table of one model, with the columns `COLUMNS`; slug is NaN in the rows of `WHOLE`.

    :param path: csv that `sluguq.stages.rivals.score_rivals` wrote.
    """
    return read_numbers(path, texts=COLUMNS[:2])
