"""Kills, damage, full disks and odd surroundings: right, or refused in words."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from tests.places import ROOT
from tests.workflow.conftest import SIDE_BY_SIDE, copy_checkout, environment
from tests.workflow.faults import (
    DAMAGES,
    READERS,
    digests,
    killed_in_every_rule,
    leftovers,
    message_of_damage,
    met_by_a_full_disk,
)

pytestmark = pytest.mark.workflow


def test_a_job_of_every_rule_killed_in_every_way_changes_nothing(finished, tmp_path):
    checkout = copy_checkout(tmp_path / "tried")
    given = killed_in_every_rule(checkout, finished, "stores")
    assert {"acquire", "prepare", "train", "eigenbasis", "score", "aggregate"} <= set(given)
    assert sum(map(len, given.values())) >= 18
    reference = digests(finished)
    found = digests(checkout)
    assert found
    assert [name for name, digest in found.items() if reference[name] != digest] == []
    assert leftovers(checkout) == []


def test_a_full_disk_in_every_rule_is_told_and_changes_nothing(finished, tmp_path):
    checkout = copy_checkout(tmp_path / "tried")
    met = met_by_a_full_disk(checkout, tmp_path / "full", "stores")
    assert {"acquire", "prepare", "split", "artefacts", "train", "eigenbasis", "score", "aggregate"} <= met
    reference, found = digests(finished), digests(checkout)
    assert found
    assert [name for name, digest in found.items() if reference[name] != digest] == []
    assert leftovers(checkout) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_damage_stops_the_reader_with_the_path(finished, tmp_path, name, damage):
    assert name.rsplit("/", 1)[1] in message_of_damage(finished, name, damage, tmp_path)


FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from sluguq.networks.weights import write_arrays
from sluguq.stores.files import whole_file
from sluguq.stores.store import StoreWriter
from sluguq.stores.variables import described
folder, kind = Path(sys.argv[1]), sys.argv[2]
values = np.random.default_rng(0).random((64, 32, 32)).astype("float32")
if kind == "store":
    with StoreWriter(folder / "a.zarr", attributes={}) as writer:
        writer.create("map", ("image", "y", "x"), values.shape, "float32", attributes=described("m", "t"))
        writer.append("map", values)
elif kind == "file":
    with whole_file(folder / "a.csv") as partial:
        partial.write_bytes(values.tobytes())
else:
    write_arrays(folder / "a.safetensors", {"values": values}, {"kind": "test"})
"""


@pytest.mark.parametrize("kind", ["store", "file", "weights"])
def test_a_file_that_finds_no_room_is_an_error_and_leaves_nothing(tmp_path, kind):
    """A limit on file sizes stands in for a full disk: both refuse the write."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), kind],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "File too large" in run.stderr
    assert list(tmp_path.iterdir()) == []


def without_the_rights_of_root() -> list[str]:
    """What a command begins with that is to be refused read-only folders, whoever runs the tests."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"] if setpriv and os.geteuid() == 0 else []


def test_an_odd_surrounding_plans_and_runs(tmp_path):
    """ASCII as locale, files for oneself alone, no home, no folder for temporary files, code that nobody may change."""
    checkout = copy_checkout(tmp_path / "checkout")
    code = [path for name in ("src", "workflow", "scripts") for path in (checkout.folder / name).rglob("*")]
    odd = {
        **environment(),
        **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        **{"HOME": "/dev/null/home", "TMPDIR": "/dev/null/tmp", "XDG_CACHE_HOME": str(tmp_path / "cache")},
    }
    target = "results/tiny/splits/seed-0.csv"
    for path in code:
        path.chmod(0o555)
    try:
        run = subprocess.run(
            [*without_the_rights_of_root(), *checkout.command(target, *SIDE_BY_SIDE)],
            cwd=checkout.folder,
            env=odd,
            umask=0o077,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in code:
            path.chmod(0o755)
    assert run.returncode == 0, run.stderr[-4000:]
    assert (checkout.folder / target).stat().st_mode & 0o077 == 0


def test_two_runs_at_once_in_one_folder_are_told(finished):
    """Snakemake's lock: the second run is refused, with what to do."""
    locks = finished.folder / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = locks / "0.output.lock"
    lock.write_text("results/tiny/index.html\n")
    try:
        run = finished.snakemake("--forcerun", "report_page", check=False)
        assert run.returncode != 0
        assert "--unlock" in run.stderr + run.stdout
    finally:
        lock.unlink(missing_ok=True)
