"""A small experiment through profiles/slurm on a private Slurm: queue, cards, groups, retries, checkpoints."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pandas as pd
import pytest

from tests.slurm.private_slurm import PrivateSlurm, why_not
from tests.workflow.conftest import Checkout, copy_checkout, environment

pytestmark = [pytest.mark.slurm, pytest.mark.workflow]

CARDS = 2
MEMORY = 1200

EXPERIMENT = f"""
experiment: queue
datasets:
  skin: {{source: phantom, counts: {{1: 12, 2: 12}}, size: 32}}
  other: {{source: phantom, counts: {{3: 3, 6: 3}}, seed: 1, size: 32}}
training_dataset: skin
external_datasets: [other]
groups: {{light: [1, 2]}}
configurations: {{A: {{light: 1.0}}}}
seeds: 2
images: {{size: 32}}
split: {{train_images: 8, test_images: 4}}
model: {{width: 4, depth: 1, latent_channels: 4, bottleneck_blocks: 0}}
training: {{epochs: 2, batch_size: 8, perceptual_weight: 0.0, samples: 0, snapshots: 0}}
eigenbasis: {{rank: 2, batch_size: 8}}
score: {{probes: 2}}
artefacts: {{images: 0}}
resources: {{mem_mb: {MEMORY}, runtime: 10}}
"""

# Put before every script: a line where it starts and one where it ends, and a rendezvous, so that jobs that may run
# at the same time are seen to do so, whatever the speed of the machine.
PREFACE = """
import atexit as _atexit, json as _json, os as _os, time as _time
def _note(event):
    with open("events.jsonl", "a") as file:
        file.write(_json.dumps({
            "event": event, "rule": snakemake.rule, "wildcards": dict(snakemake.wildcards), "time": _time.time(),
            "process": _os.getpid(), "job": _os.environ.get("SLURM_JOB_ID"),
            "card": _os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": snakemake.threads,
            "memory": snakemake.resources.mem_mb}) + "\\n")
_note("start")
_atexit.register(_note, "end")
def _started(rule):
    with open("events.jsonl") as file:
        rows = [_json.loads(line) for line in file]
    return {str(row["wildcards"]) for row in rows if row["event"] == "start" and row["rule"] == rule}
_deadline = _time.time() + 120
while snakemake.rule in ("acquire", "train") and len(_started(snakemake.rule)) < 2 and _time.time() < _deadline:
    _time.sleep(0.1)
if snakemake.rule == "eigenbasis" and snakemake.wildcards.seed == "1" and snakemake.resources.mem_mb < 2 * MEMORY:
    _ballast = bytearray(MEMORY * 2**20)
    _ballast[::4096] = bytes([1]) * len(_ballast[::4096])
    _time.sleep(120)
""".replace("MEMORY", str(MEMORY))


class Submitting(Checkout):
    """Snakemake in this checkout submits to Slurm, asking it every second how jobs are."""

    def command(self, *arguments: str) -> list[str]:
        # fmt: off
        return [
            sys.executable, "-m", "snakemake", *arguments, "--workflow-profile", "profiles/slurm",
            "--configfile", "config/queue.yaml", "--max-threads", "2", "--latency-wait", "10",
            "--slurm-no-account", "--slurm-status-command", "squeue",
            "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
        ]
        # fmt: on

    def begin(self, *arguments: str) -> subprocess.Popen:
        """Start a run without waiting for it; its messages go to run.log."""
        with (self.folder / "run.log").open("w") as log:
            return subprocess.Popen(
                self.command(*arguments), cwd=self.folder, env=environment(), stdout=log, stderr=subprocess.STDOUT
            )

    def events(self) -> pd.DataFrame:
        """What jobs noted: one row per process, with the times of its start and end."""
        rows = [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]
        starts = pd.DataFrame([row for row in rows if row["event"] == "start"]).rename(columns={"time": "start"})
        ends = pd.DataFrame([row for row in rows if row["event"] == "end"])[["process", "time"]]
        return starts.merge(ends.rename(columns={"time": "end"}), on="process", how="left")


@pytest.fixture(scope="module")
def slurm():
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with PrivateSlurm(cpus=4, gpus=CARDS) as running:
        yield running


@pytest.fixture(scope="module")
def run(slurm, tmp_path_factory) -> Submitting:
    """A checkout in which the small experiment has run through Slurm."""
    folder = copy_checkout(tmp_path_factory.mktemp("slurm") / "my checkout").folder
    (folder / "config" / "queue.yaml").write_text(EXPERIMENT)
    for script in (folder / "scripts").glob("*.py"):
        script.write_text(PREFACE + script.read_text())
    checkout = Submitting(folder)
    done = checkout.snakemake("results/queue/skin.zarr", "data/raw/other/images.csv")
    (folder / "run.log").write_text(done.stdout + done.stderr)
    return checkout


def test_every_job_ran_as_a_job_of_slurm(run):
    events = run.events()
    assert (run.results.parent / "queue" / "skin.zarr" / "zarr.json").is_file()
    assert events.job.notna().all()
    counts = events.drop_duplicates(["rule", "job"]).rule.value_counts()
    assert (counts["acquire"], counts["prepare"], counts["train"], counts["score"]) == (2, 1, 2, 2)
    assert set(events.threads) == {1, 2}


def test_stages_on_the_cpu_run_beside_each_other(run):
    first, second = run.events().query("rule == 'acquire'").itertuples()
    assert max(first.start, second.start) < min(first.end, second.end)


def test_short_jobs_share_a_submission(run):
    splits = run.events().query("rule == 'split'")
    assert len(splits) == 2
    assert splits.job.nunique() == 1


def test_no_card_serves_two_jobs_at_once(run):
    events = run.events().query("rule in ('train', 'eigenbasis', 'score')")
    assert set(events.card) == {str(card) for card in range(CARDS)}
    events = events.sort_values("start")
    # A killed job noted no end: its successor on the card then only has to come after its start.
    for _, jobs in events.assign(end=events.end.fillna(events.start)).groupby("card"):
        assert (jobs.start.to_numpy()[1:] >= jobs.end.to_numpy()[:-1]).all()
    trained = run.events().query("rule == 'train'").sort_values("start")
    assert trained.start.iloc[1] < trained.end.iloc[0], "two cards, but training used one"


def test_a_job_that_ran_out_of_memory_is_retried_with_more(run):
    events = run.events().query("rule == 'eigenbasis'")
    attempts = events[events.wildcards.map(lambda wildcards: wildcards["seed"] == "1")].sort_values("start")
    assert list(attempts.memory) == [MEMORY, 2 * MEMORY]
    assert attempts.job.nunique() == 2
    others = events.drop(attempts.index)
    assert set(others.memory) == {MEMORY}


def _wait(condition: Callable[[], object], process: subprocess.Popen, what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the run ended before there was {what}"
        assert time.monotonic() < deadline, f"there was no {what} within {seconds} s"
        time.sleep(0.2)


def test_cancelled_and_timed_out_training_goes_on_from_its_checkpoint(run, slurm):
    model = run.results.parent / "queue" / "models" / "A" / "seed-0"
    weights = model / "weights.safetensors"
    arguments = (str(weights.relative_to(run.folder)), "--config", "training={epochs: 4000, checkpoint_minutes: 0.01}")
    log = run.folder / "logs" / "queue" / "train" / "A-seed-0.log"

    def checkpoint() -> list:
        return list(model.parent.glob(".seed-0-*/checkpoint.safetensors"))

    # Cancelled, with no retry: the run fails and the checkpoint stays.
    first = run.begin(*arguments, "--retries", "0")
    _wait(checkpoint, first, "checkpoint")
    (job,) = slurm.jobs("train")
    slurm.ask("scancel", job)
    assert first.wait(timeout=300) != 0, (run.folder / "run.log").read_text()
    assert not weights.exists()
    assert checkpoint()
    stopped = _step(log.read_text())

    # The next run goes on, is told that its time is over, and its retry ends the training.
    second = run.begin(*arguments)
    _wait(lambda: slurm.jobs("train"), second, "job")
    (job,) = slurm.jobs("train")
    old = checkpoint()[0].stat().st_mtime
    _wait(lambda: checkpoint()[0].stat().st_mtime > old, second, "newer checkpoint")
    slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=2")
    assert second.wait(timeout=600) == 0, (run.folder / "run.log").read_text()
    trained = run.events().query("rule == 'train'").sort_values("start").tail(3)
    assert trained.job.nunique() == 3
    resumed = int(log.read_text().split("resumed at step ")[1].split()[0])
    assert 0 < stopped < resumed < 4000
    assert len(pd.read_csv(model / "history.csv")) == 4000
    assert not checkpoint()


def _step(text: str) -> int:
    """The step after which SIGTERM stopped a training, by its log."""
    return int(text.split("stopped by SIGTERM after step ")[-1].split()[0])
