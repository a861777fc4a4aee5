"""Extension files: run once, whole or not at all, and never in the place of what the library has."""

import json
import os

import pytest

from sluguq.machine import extensions
from sluguq.machine.extensions import ExtensionError


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """Nothing added, before and after."""
    monkeypatch.setattr(extensions, "_LOADED", {})
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    before = [dict(registry) for registry in extensions._REGISTRIES]
    yield
    for registry, kept in zip(extensions._REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(kept)


def written(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


TABLE = "from sluguq.machine.extensions import add_table\nadd_table({name!r}, print, caption='x')\n"


def test_jobs_find_all_files_that_were_loaded_also_in_odd_folders(tmp_path):
    first, second = (
        written(tmp_path, f"{folder}/mine.py", TABLE.format(name=name))
        for folder, name in (("a:b", "one"), ("a folder", "two"))
    )
    extensions.load([first])
    extensions.load([second])
    assert json.loads(os.environ[extensions.VARIABLE]) == [str(first), str(second)]
    assert {"one", "two"} <= set(extensions.TABLES)
    extensions.load_announced()
    assert extensions.files_adding("table") == [first, second]
    assert extensions.files_adding("claim") == []


@pytest.mark.parametrize("end", ["raise ValueError('no')", "raise SystemExit(0)", "import no_such_module"])
def test_a_file_that_fails_adds_nothing_and_fails_again(tmp_path, end):
    path = written(tmp_path, "mine.py", TABLE.format(name="half") + end)
    for _ in range(2):
        with pytest.raises(ExtensionError, match=r"mine\.py fails"):
            extensions.load([path])
    assert "half" not in extensions.TABLES
    assert extensions.VARIABLE not in os.environ


def test_a_name_that_is_there_is_refused(tmp_path):
    twice = written(tmp_path, "mine.py", TABLE.format(name="one") * 2)
    with pytest.raises(ExtensionError, match=r"mine\.py adds the table 'one', which there is already"):
        extensions.load([twice])
    with pytest.raises(ExtensionError, match="the table 'signals' is one of the library's"):
        extensions.refuse_twice("table", {"signals"}, ["signals"])
    with pytest.raises(ExtensionError, match="of='everything' must be one of"):
        extensions.add_table("two", print, caption="x", of="everything")
