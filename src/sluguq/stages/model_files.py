"""What training leaves of a network."""

from __future__ import annotations

import os
from typing import NamedTuple


class ModelFiles(NamedTuple):
    """The files of one network.

    :ivar weights: safetensors.
    :ivar history: csv, one row per epoch.
    :ivar configuration: YAML, what it depends on.
    :ivar samples: store of its pictures.
    """

    weights: str | os.PathLike[str]
    history: str | os.PathLike[str]
    configuration: str | os.PathLike[str]
    samples: str | os.PathLike[str]
