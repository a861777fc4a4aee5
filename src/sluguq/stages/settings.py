"""Sections of the configuration as objects, and as YAML: in the attributes of a store, in a file beside a network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml

from sluguq.stores.files import whole_file

Settings = TypeVar("Settings")


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


def settings_from(kind: type[Settings], section: Mapping[str, Any], **others: Any) -> Settings:
    """The settings of one kind that a section of the configuration holds.

    :param kind: a dataclass.
    :param section: may hold further keys, and lack those that have a default.
    :param others: values in place of the section's.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{**{name: value for name, value in section.items() if name in names}, **others})
