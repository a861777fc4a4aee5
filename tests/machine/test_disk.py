"""Room on a disk is taken before it is used."""

import errno
import resource
import signal
import subprocess
import sys

import pytest

from sluguq.config import ConfigurationError, resolve
from sluguq.machine.disk import full_disk_told, reserve
from sluguq.machine.jobs import in_words
from sluguq.stages import preflight
from tests.places import ROOT
from tests.stages.test_cost import SMALL

FULL = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np, pathlib
from sluguq.slug.rows import HostRows
HostRows(8, 100_000, np.float32, pathlib.Path(sys.argv[1])).write(0, np.zeros(100_000, np.float32))
"""


def test_a_reserved_file_is_all_there(tmp_path):
    reserve(tmp_path / "rows.bin", 1_000_000)
    state = (tmp_path / "rows.bin").stat()
    assert state.st_size == 1_000_000
    assert state.st_blocks * 512 >= 1_000_000


def test_a_full_disk_under_a_memory_map_is_an_error_in_words(tmp_path):
    """A limit on file sizes stands in for the full disk."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(ROOT / "src")],
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "lanczos-1.bin takes 0.0 GB, but its disk has" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_eigenbases_side_by_side_are_counted_side_by_side(tmp_path, monkeypatch):
    experiment = resolve(
        {**SMALL, "model": {"width": 64, "depth": 4, "latent_channels": 64}, "images": {"size": 128}, "training": {}}
        | {"split": {"train_images": 64, "test_images": 6}}
    )
    monkeypatch.setattr(preflight, "free_bytes", lambda folder: 20 * 10**9)
    assert "while one is computed" in preflight.check_disk(experiment, tmp_path, kept=4, removed=0)
    with pytest.raises(ConfigurationError, match="while 4 are computed side by side"):
        preflight.check_disk(experiment, tmp_path, kept=4, removed=0, at_once=4)


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)])
def test_a_full_disk_is_told_with_what_was_being_written(tmp_path, number, told):
    with pytest.raises(OSError) as caught, full_disk_told(tmp_path / "outer"), full_disk_told(tmp_path / "a.zarr"):
        raise OSError(number, "No")
    words = in_words(caught.value)
    assert ("a.zarr could not be written, as its disk" in words) == told
    assert ("make room, and run the same command again" in words) == told
    assert "outer" not in words
