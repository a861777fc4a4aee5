"""profiles/cluster-generic as it stands, on stand-ins for the commands of Grid Engine."""

import importlib.util
import os
import stat
import sys

import pytest

from tests.workflow.conftest import Checkout, copy_checkout

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None,
        reason="no snakemake_executor_plugin_cluster_generic: make plugins",
    ),
]

# Starts the script and lets go of it, as a scheduler does. The first job named prepare is killed at once: nothing but
# the accounting tells.
QSUB = """
import os, pathlib, subprocess, sys
options, script = sys.argv[1:-1], sys.argv[-1]
spool = pathlib.Path(__file__).parent / "spool"
spool.mkdir(exist_ok=True)
number = len(list(spool.glob("*.options"))) + 1
name = options[options.index("-N") + 1]
killed = name == "prepare" and not any("prepare" in file.read_text() for file in spool.glob("*.options"))
(spool / f"{number}.options").write_text("\\n".join(options))
output = pathlib.Path(options[options.index("-o") + 1]) / f"{name}.o{number}"
run = "exit 137" if killed else f'sh "{script}" > "{output}" 2>&1'
subprocess.Popen(
    ["sh", "-c", f'( {run} ); echo $? > "{spool}/{number}.status"'],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
)
print(number)
"""
QSTAT = """
import pathlib, sys
sys.exit((pathlib.Path(__file__).parent / "spool" / f"{sys.argv[-1]}.status").exists())
"""
QACCT = """
import pathlib, sys
status = int((pathlib.Path(__file__).parent / "spool" / f"{sys.argv[-1]}.status").read_text())
print(f"qname        all.q\\nfailed       {100 if status > 128 else 0}\\nexit_status  {status}")
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in (("qsub", QSUB), ("qstat", QSTAT), ("qacct", QACCT)):
        file = commands / name
        file.with_suffix(".py").write_text(text)
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{file}.py" "$@"\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return copy_checkout(tmp_path / "my checkout")


def test_jobs_are_submitted_grouped_and_tried_again_when_killed(checkout, tmp_path):
    target = "results/tiny/artefacts/seed-0.zarr"
    # fmt: off
    checkout.snakemake(
        target, "--workflow-profile", "profiles/cluster-generic", "--seconds-between-status-checks", "1",
        "--latency-wait", "10",
    )
    # fmt: on
    assert (checkout.folder / target / "zarr.json").is_file()
    spool = tmp_path / "commands" / "spool"
    options = [(spool / f"{number}.options").read_text().split("\n") for number in range(1, 5)]
    assert not (spool / "5.options").exists()
    names = [line[line.index("-N") + 1] for line in options]
    # Splitting and drawing artefacts are one submission.
    assert names == ["acquire", "prepare", "prepare", "GROUP"]
    asked = [line[line.index("-l") + 1] for line in options]
    assert asked[0] == "h_vmem=2000M,h_rt=00:2880:00,gpu=0"
    # Killed, so tried again with twice its memory.
    assert [line.split(",")[0] for line in asked[1:3]] == ["h_vmem=4000M", "h_vmem=8000M"]
    assert [(spool / f"{number}.status").read_text().strip() for number in range(1, 5)] == ["0", "137", "0", "0"]
    logs = checkout.folder / "logs" / "cluster"
    assert sorted(file.name for file in logs.iterdir()) == ["GROUP.o4", "acquire.o1", "prepare.o3"]
