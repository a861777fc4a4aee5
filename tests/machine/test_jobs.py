"""What a job sets up: its log, its threads, and a graphics card of its own among several."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.profiles import ProfileConfigFileParser

from sluguq.machine import devices
from sluguq.machine.jobs import abandon_others, fingerprint, job
from tests.places import ROOT

CLAIMING = """
import os, sys
from sluguq.machine.devices import claim_device
try:
    claim_device()
except RuntimeError as error:
    print("refused:", error, flush=True)
else:
    print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that claims a card and holds it until it is let go."""

    def __init__(self, folder: Path, cards: str | None, **environment: str):
        kept = {
            name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
        }
        visible = {} if cards is None else {"CUDA_VISIBLE_DEVICES": cards}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLAIMING],
            env={**kept, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "src"), **visible, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def card(self) -> str:
        return self.process.stdout.readline().strip()

    def let_go(self) -> None:
        self.process.communicate()


@pytest.fixture
def holders(tmp_path):
    started = []

    def start(cards: str | None, **environment: str) -> Holder:
        started.append(Holder(tmp_path, cards, **environment))
        return started[-1]

    yield start
    for holder in started:
        holder.process.kill()
        holder.process.communicate()


def test_jobs_started_together_take_different_cards(holders):
    together = [holders("0,3,GPU-17ab") for _ in range(3)]
    assert sorted(holder.card for holder in together) == ["0", "3", "GPU-17ab"]
    assert holders("0,3,GPU-17ab").card == (
        "refused: every one of the 3 GPUs (0, 3, GPU-17ab) is taken by another job; run with --resources gpu=3 or less"
    )


def test_a_card_is_free_again_when_its_job_ends_or_is_killed(holders):
    first, second = holders("0,1"), holders("0,1")
    cards = {first: first.card, second: second.card}
    first.let_go()
    assert holders("0,1").card == cards[first]
    second.process.kill()
    second.process.wait()
    assert holders("0,1").card == cards[second]


def test_a_choice_of_the_scheduler_stands(holders):
    assert [holders("2").card for _ in range(2)] == ["2", "2"]
    assert holders("").card == ""


def test_allocations_of_slurm_do_not_see_each_others_claims(holders):
    inside = [holders("0,1", SLURM_JOB_ID=allocation) for allocation in ("7", "7", "8", "8")]
    cards = [holder.card for holder in inside]
    assert sorted(cards[:2]) == sorted(cards[2:]) == ["0", "1"]


def test_all_cards_of_the_driver_are_visible_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_DRIVER", tmp_path)
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / card).mkdir()
    assert devices.visible_cards() == ["0", "1"]
    monkeypatch.setattr(devices, "_DRIVER", tmp_path / "absent")
    assert devices.visible_cards() == []


@pytest.mark.parametrize(("visible", "gpu", "threads"), [("0,1,2", 3, 2), ("5", 1, 2), ("", 1, None)])
def test_the_default_profile_runs_a_job_a_card(monkeypatch, visible, gpu, threads):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with (ROOT / "profiles" / "default" / "profile.yaml").open() as file:
        profile = ProfileConfigFileParser().parse(file)
    assert profile["resources"] == [f"gpu={gpu}"]
    rules = ("train", "eigenbasis", "eigenbasis_until_scored", "score")
    assert profile.get("set-threads") == (threads and [f"{rule}={threads}" for rule in rules])


SETTING_UP = """
import json, os, sys
from sluguq.machine.devices import prepare_networks
from sluguq.machine.jobs import job
with job("job.log", threads=int(sys.argv[1])):
    prepare_networks(gpu=False)
    import jax, numpy, threadpoolctl
    jax.numpy.ones((256, 256)).dot(jax.numpy.ones((256, 256))).block_until_ready()
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    xla = sum(name.startswith("tf_XLAEigen") for name in names)
    blas = max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
    json.dump({"xla": xla, "blas": blas, "devices": len(jax.devices()), "platform": jax.default_backend()},
              open("seen.json", "w"))
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_libraries_use_the_threads_of_the_job(tmp_path, threads):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", SETTING_UP, str(threads)], cwd=tmp_path, env=environment, check=True)
    seen = json.loads((tmp_path / "seen.json").read_text())
    # OpenBLAS takes no more threads than there are CPUs.
    assert seen == {"xla": threads, "blas": min(threads, os.cpu_count()), "devices": 1, "platform": "cpu"}


def test_a_log_holds_what_was_printed_and_why_it_ended(tmp_path, capsys):
    log = tmp_path / "new folder" / "job.log"
    with pytest.raises(ValueError, match="no images"), job(log):
        print("a line")
        print("\rbar 10 %", end="", file=sys.stderr)
        print("a warning", file=sys.stderr)
        raise ValueError("there are no images")
    lines = log.read_text().splitlines()
    assert lines[:3] == ["a line", "a warning", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: there are no images"
    shown = capsys.readouterr()
    assert shown.out == "a line\n"
    assert "bar 10 %" in shown.err


FAILING = """
from sluguq.machine.jobs import job
from sluguq.stores.files import DamagedFile
with job("job.log"):
    error = DamagedFile("seed-0.csv is not as it was written: delete it and run its rule again")
    error.add_note("it has 3 rows")
    raise error
"""


def test_a_failed_job_shows_words_and_logs_where_it_happened(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-c", FAILING], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.strip().splitlines() == [
        "seed-0.csv is not as it was written: delete it and run its rule again",
        "it has 3 rows",
        "(where it happened: job.log)",
    ]
    assert "Traceback (most recent call last)" in (tmp_path / "job.log").read_text()


def test_a_log_is_never_empty(tmp_path):
    with job(tmp_path / "job.log", threads=2):
        pass
    assert "done in 0.0 s on" in (tmp_path / "job.log").read_text()


def test_a_fingerprint_tells_settings_and_files_apart(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("one")
    first = fingerprint({"rank": 1, "seed": 0}, [file])
    assert fingerprint({"seed": 0, "rank": 1}, [file]) == first
    assert fingerprint({"rank": 2, "seed": 0}, [file]) != first
    file.write_text("two")
    assert fingerprint({"rank": 1, "seed": 0}, [file]) != first


def test_states_of_other_settings_are_removed_and_nothing_else(tmp_path, capsys):
    current, other = tmp_path / ".seed-1-0123456789ab", tmp_path / ".seed-1-ba9876543210"
    others = [tmp_path / ".seed-10-ba9876543210", tmp_path / ".seed-1-notes", tmp_path / "seed-1-ba9876543210"]
    for folder in (current, other, *others):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
    abandon_others(current)
    assert all(folder.exists() for folder in (current, *others))
    assert not other.exists()
    assert f"{other} is of a run with other settings or code" in capsys.readouterr().out
