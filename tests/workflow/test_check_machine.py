"""What a machine that lacks something is told before anything is installed there."""

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tests.places import ROOT

TOOL = ROOT / "tools" / "check_machine.py"
GB = 1024**3


def _told(folder: Path, *, memory: int | None = None, **environment: str) -> tuple[int, str]:
    """Exit status and messages of the check, run in a folder with so many bytes of address space."""
    run = subprocess.run(
        [sys.executable, TOOL],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=memory and (lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))),
    )
    return run.returncode, run.stderr


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("check_machine", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_machine_that_runs_the_tests_is_fit(tmp_path):
    assert _told(tmp_path) == (0, "")


def test_missing_git(tmp_path):
    code, told = _told(tmp_path, PATH=str(tmp_path))
    assert code == 1
    assert told.startswith("error: git is missing: install it")


def test_too_little_memory(tmp_path):
    code, told = _told(tmp_path, memory=2 * GB)
    assert code == 1
    assert told == "error: 2.0 GB of memory may be used here, the networks need 4 GB\n"


def test_memory_of_a_container_counts(tool, tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text(f"{GB}\n")
    monkeypatch.setattr(tool, "LIMITS", [str(limit)])
    assert tool.memory_gb() == 1
    limit.write_text("max\n")
    assert tool.memory_gb() > 1


def test_too_little_disk(tool, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10e9, 8.9e9, 1.1e9))
    assert tool.problems() == ["1.1 GB are free here, the environment and a demo need 5 GB"]


def test_an_old_python_hears_of_nothing_else(tool, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    (problem,) = tool.problems()
    assert "Python 3.8 is too old, 3.11 or newer is needed: make PYTHON=" in problem


def test_a_missing_module_venv(tool, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else found(name))
    (problem,) = tool.problems()
    assert "apt-get install python3-venv" in problem


def test_make_says_that_there_is_no_python(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    run = subprocess.run(
        ["make", "demo", "PYTHON=python-of-tomorrow"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "error: there is no python-of-tomorrow: install Python 3.11 or newer" in run.stderr
    assert not (tmp_path / ".venv").exists()
