"""A result has one live writer at a time, and what a dead one left is removed by the next."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sluguq.machine.owner import Occupied, owned
from sluguq.stores.files import whole_file
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import described
from tests.places import ROOT

OWN = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

HOLD = """
import sys
from sluguq.machine.owner import owned
with owned(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""

HALF = """
import os, sys
import numpy as np
from sluguq.stores.files import whole_file
from sluguq.stores.store import StoreWriter
from sluguq.stores.variables import described
with StoreWriter(sys.argv[1] + "/a.zarr", attributes={}) as writer, whole_file(sys.argv[1] + "/a.csv") as partial:
    writer.create("mse", ("image",), (4,), "float32", attributes=described("m", "t"))
    partial.write_text("half")
    print("begun", flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that is writing `a.zarr`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "a.zarr")], env=OWN, **pipes)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def write(folder):
    with StoreWriter(folder / "a.zarr", attributes={}) as writer:
        writer.create("mse", ("image",), (4,), "float32", attributes=described("m", "t"))
        writer.append("mse", np.arange(4, dtype="float32"))


def test_a_live_writer_is_named_and_not_disturbed(tmp_path, holder):
    with pytest.raises(Occupied, match=rf"a\.zarr is being written by process {holder.pid} on .*, since 20"):
        write(tmp_path)
    assert not (tmp_path / "a.zarr").exists()
    with owned(tmp_path / "b.zarr"):
        pass


@pytest.mark.parametrize("ending", ["end", "kill"])
def test_a_claim_ends_with_its_process(tmp_path, holder, ending):
    if ending == "kill":
        holder.kill()
    else:
        holder.stdin.close()
    holder.wait()
    write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr"]


def test_a_process_may_claim_again_what_it_holds(tmp_path):
    with owned(tmp_path / "a.zarr") as certain:
        assert certain
        write(tmp_path)
        with pytest.raises(KeyError), owned(tmp_path / "a.zarr"):
            raise KeyError
        write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr"]


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    half = [sys.executable, "-c", HALF, str(tmp_path)]
    run = subprocess.run(half, env=OWN, capture_output=True, text=True, check=False)
    assert "begun" in run.stdout
    assert len(list(tmp_path.glob(".a.zarr.partial-*"))) == len(list(tmp_path.glob(".a.csv.partial-*"))) == 1
    write(tmp_path)
    with whole_file(tmp_path / "a.csv") as partial:
        partial.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.zarr"]
    assert open_store(tmp_path / "a.zarr").mse.values.tolist() == [0, 1, 2, 3]
