"""The packaged registry says of each published source what a person needs to know."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from sluguq.config import sources
from sluguq.datasets.acquisition import entry_of
from sluguq.datasets.registry import load_registry


def published_sources() -> set[str]:
    models = get_args(get_args(sources.Source)[0])
    remote = [model for model in models if issubclass(model, sources.PublishedSource)]
    return {get_args(model.model_fields["source"].annotation)[0] for model in remote}


def test_every_published_source_is_registered():
    registered = {re.sub(r"^isic\d+$", "isic", name) for name in load_registry()}
    assert registered == published_sources()


def test_a_source_knows_its_entry():
    def entry(**keys: object):
        return entry_of(TypeAdapter(sources.Source).validate_python(keys))

    assert entry(source="isic", edition=2018).title.startswith("ISIC 2018")
    assert entry(source="scin").title.startswith("SCIN")
    assert entry(source="phantom", counts={1: 1}) is None


def test_what_must_be_asked_for_or_is_not_commercial_must_be_accepted():
    to_accept = {name for name, entry in load_registry().items() if entry.licence.to_be_accepted}
    assert to_accept == {"fitzpatrick17k", "fitzpatrick17k_c", "passion", "ddi", "isic2018", "isic2019", "milk10k"}


def test_addresses_are_secure_and_files_keep_to_the_raw_folder():
    for entry in load_registry().values():
        assert entry.homepage.startswith("https://")
        assert entry.licence.url.startswith("https://")
        assert entry.citation
        assert entry.obtain
        assert bool(entry.files) != entry.licence.by_request
        for file in entry.files.values():
            assert file.url.startswith("https://")
            assert re.fullmatch(r"[\w.-]+", file.name)
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_the_label_tables_checksum_is_that_of_the_real_table(shared):
    import hashlib

    content = (shared / "fitzpatrick17k" / "fitzpatrick17k.csv").read_bytes()
    registered = load_registry()["fitzpatrick17k"].files["labels"]
    assert hashlib.sha256(content).hexdigest() == registered.sha256
    assert len(content) == registered.bytes


def test_a_mistyped_registry_is_refused(tmp_path):
    (tmp_path / "r.yaml").write_text("a: {title: A, licens: x}\n")
    with pytest.raises(ValidationError, match="licens"):
        load_registry(tmp_path / "r.yaml")
