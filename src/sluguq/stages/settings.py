"""What a result was made with, as YAML: in the attributes of its store, and in a file beside a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml

from sluguq.stores.files import whole_file


def in_yaml(settings: Mapping[str, Any]) -> str:
    """Settings as YAML, in their order.

    :param settings: plain numbers, texts, lists and mappings.
    """
    return yaml.safe_dump(dict(settings), sort_keys=False)


def write_settings(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
    """Write the settings of a network, whole or not at all.

    :param path: configuration.yaml to write.
    :param settings: as for :func:`in_yaml`.
    """
    with whole_file(path) as partial:
        partial.write_text(in_yaml(settings), encoding="utf-8")
