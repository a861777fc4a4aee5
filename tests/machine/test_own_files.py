"""Files of the user's own: each a module by itself, whatever it is run for."""

from __future__ import annotations

import sys

import pytest

from sluguq.config.sources import OwnSource
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.datasets.sources.own import collect
from sluguq.machine.own_files import run_file
from sluguq.networks.registry import found

RECORD = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar

@dataclass
class Record:
    count: ClassVar[int] = {count}
"""
ADAPTER = """
from sluguq.datasets.base import Acquired

def collect(options, raw_folder):
    return Acquired(images=[{"id": str(Record.count)}])
"""


@pytest.fixture
def alike(tmp_path):
    """Two files that are called alike, in folders of their own."""
    paths = []
    for count in (1, 2):
        path = tmp_path / str(count) / "mine.py"
        path.parent.mkdir()
        path.write_text(RECORD.format(count=count) + ADAPTER)
        paths.append(path)
    return paths


def test_files_that_are_called_alike_are_modules_of_their_own(alike):
    for one, other in (
        [run_file(path, "test").Record for path in alike],
        [found(f"{path}:Record") for path in alike],
    ):
        assert (one.count, other.count) == (1, 2)
        assert sys.modules[one.__module__].Record is one
        assert sys.modules[other.__module__].Record is other


def test_an_adapter_may_define_dataclasses(alike, tmp_path):
    for count, path in enumerate(alike, 1):
        acquired = collect(OwnSource(source="own", adapter=path), tmp_path)
        assert isinstance(acquired, Acquired)
        assert [row["id"] for row in acquired.images] == [str(count)]
    with pytest.raises(AcquisitionError, match="no Python file"):
        collect(OwnSource(source="own", adapter=tmp_path / "gone.py"), tmp_path)


def test_what_fails_is_forgotten_and_neighbours_are_found_where_they_may_be(tmp_path):
    (tmp_path / "beside_the_file.py").write_text("value = 3\n")
    path = tmp_path / "mine.py"
    path.write_text("from beside_the_file import value\n")
    modules, folders = set(sys.modules), list(sys.path)
    with pytest.raises(ModuleNotFoundError):
        run_file(path, "test")
    assert set(sys.modules) == modules
    assert run_file(path, "test", neighbours=True).value == 3
    assert sys.path == folders
    sys.modules.pop("beside_the_file")


@pytest.mark.parametrize("name", ["gone.py", "mine.txt"])
def test_what_is_no_python_file_is_told(tmp_path, name):
    (tmp_path / "mine.txt").write_text("value = 3\n")
    with pytest.raises(FileNotFoundError, match="there is no Python file"):
        run_file(tmp_path / name, "test")
