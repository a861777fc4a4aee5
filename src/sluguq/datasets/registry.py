"""The registry of published data sets: addresses, licences, citations, stated counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Model):
    """Terms of a data set.

    :ivar name: its usual name.
    :ivar url: where to read it.
    :ivar non_commercial: it forbids commercial use.
    :ivar by_request: the data set must be asked for, and cannot be downloaded by a program.
    """

    name: str
    url: str
    non_commercial: bool
    by_request: bool

    @property
    def to_be_accepted(self) -> bool:
        """Whether `accept_licence: true` is wanted before the first download."""
        return self.non_commercial or self.by_request


class RegisteredFile(_Model):
    """One downloadable file, or the root of many.

    :ivar url: address.
    :ivar name: name under the raw folder.
    :ivar sha256: SHA-256 in hexadecimal, where published or measured.
    :ivar md5: MD5 in hexadecimal, where published.
    :ivar bytes: size, where known.
    """

    url: str
    name: str
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None


class Entry(_Model):
    """One published data set."""

    title: str
    version: str
    homepage: str
    licence: Licence
    citation: str
    obtain: str
    states: dict[str, int | str]
    files: dict[str, RegisteredFile]


Registry = Mapping[str, Entry]


def load_registry(path: str | os.PathLike[str] | None = None) -> dict[str, Entry]:
    """Read a registry; by default the packaged one.

    :raises pydantic.ValidationError: where an entry lacks a key or has an unknown one.
    """
    packaged = resources.files(__package__).joinpath("registry.yaml")
    text = (packaged if path is None else Path(path)).read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Entry]).validate_python(yaml.safe_load(text))
