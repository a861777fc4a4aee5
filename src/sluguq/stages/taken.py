"""What jobs took, from the measurements that Snakemake leaves beside their logs."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sluguq.stages.cost import Cost

_FOLDERS = {
    "acquire": "acquire and prepare",
    "perceptual_weights": "acquire and prepare",
    "prepare": "acquire and prepare",
    "split": "split",
    "train": "train",
    "adopt": "train",
    "eigenbasis": "eigenbasis",
    "score": "score",
    "rivals": "rivals",
}
"""Stage of :class:`~sluguq.stages.cost.StageCost` by the folder of a job's log; of all others, the last stage."""

_OTHERS = "aggregate and figures"


class Taken(NamedTuple):
    """What the jobs of a stage took.

    :ivar jobs: how many were measured.
    :ivar seconds: of all of them, one after another.
    :ivar memory_mb: the most that one of them had in memory.
    """

    jobs: int
    seconds: float
    memory_mb: float


def taken(experiment: str, logs: str | os.PathLike[str] = "logs") -> dict[str, Taken]:
    """What the jobs of an experiment took, by stage.

    :param experiment: its name.
    :param logs: folder of all logs; those of shared data lie in it directly.
    """
    root = Path(logs)
    jobs_of: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for base in (root / experiment, *(root / name for name in ("acquire", "prepare", "perceptual_weights"))):
        for file in base.rglob("*.tsv"):
            inside = file.relative_to(root).parts
            folder = inside[1] if inside[0] == experiment else inside[0]
            cost = measurement(file)
            if cost is not None and folder != "sensitivity":
                jobs_of[_FOLDERS.get(folder, _OTHERS)].append(cost)
    return {
        stage: Taken(len(jobs), sum(seconds for seconds, _ in jobs), max(memory for _, memory in jobs))
        for stage, jobs in jobs_of.items()
    }


def expected_seconds(planned: Mapping[str, int], experiment: str, logs: str | os.PathLike[str] = "logs") -> float:
    """Seconds that planned jobs will take, one after another, as far as jobs like them have been measured.

    :param planned: number of jobs by rule.
    """
    before = taken(experiment, logs)
    total = 0.0
    for rule, count in planned.items():
        stage = _FOLDERS.get(rule.split("_")[0], _OTHERS)
        if stage in before:
            total += count * before[stage].seconds / before[stage].jobs
    return total


def planned_jobs(configfile: str | os.PathLike[str]) -> dict[str, int]:
    """Jobs that a run would start now, by rule: Snakemake's own plan, after whatever was edited.

    :param configfile: of the experiment.
    :raises RuntimeError: where Snakemake cannot plan, with what it says.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "host", "--configfile", str(configfile)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError((run.stderr or run.stdout).strip()[-2000:])
    output = run.stdout + run.stderr
    _, heading, table = output.partition("Job stats:")
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)} if heading else {}


def left(cost: Cost, planned: Mapping[str, int]) -> list[str]:
    """What planned jobs will take, one line per rule, dearest first.

    :param cost: of the experiment.
    :param planned: from :func:`planned_jobs`.
    """
    by_stage = {stage: [other for other in cost.stages if other.stage == stage] for stage in _FOLDERS.values()}
    lines = []
    for rule, count in planned.items():
        if rule in ("all", "total"):
            continue
        like = by_stage.get(_FOLDERS.get(rule.split("_")[0], ""), [])
        jobs = sum(other.jobs for other in like)
        pflop = count * sum(other.pflop for other in like) / jobs if jobs else 0.0
        seconds = expected_seconds({rule: count}, cost.experiment)
        words = [f"{pflop:.4g} PFLOP"] if pflop else []
        words += [f"about {duration(seconds)}"] if seconds else []
        lines.append((pflop, seconds, f"{rule}: {count} jobs" + (f", {', '.join(words)}" if words else "")))
    return [line for _, _, line in sorted(lines, reverse=True)]


def duration(seconds: float) -> str:
    """A time in words.

    :param seconds: the time.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def plan_and_taken(cost: Cost) -> list[dict[str, str]]:
    """By stage, what was planned and what it took, as text for a table.

    :param cost: of the experiment.
    """
    before = taken(cost.experiment)
    rows = []
    for stage in dict.fromkeys(stage.stage for stage in cost.stages):
        planned = [other for other in cost.stages if other.stage == stage]
        hours = [other.hours for other in planned if other.hours is not None]
        past = before.get(stage)
        rows.append(
            {
                "stage": stage,
                "jobs planned": str(sum(other.jobs for other in planned)),
                "PFLOP planned": f"{sum(other.pflop for other in planned):.4g}",
                "hours planned": f"{sum(hours):.3g}" if hours else "",
                "jobs measured": str(past.jobs) if past else "0",
                "hours taken": f"{past.seconds / 3600:.3g}" if past else "",
                "most memory, MB": f"{past.memory_mb:.0f}" if past else "",
            }
        )
    return rows


def measurement(file: Path) -> tuple[float, float] | None:
    """What one job took.

    :param file: that Snakemake left.
    :returns: seconds and the most resident memory in MB; None where the job was not measured.
    """
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            row = next(csv.DictReader(lines, delimiter="\t"))
        memory = row.get("max_rss") or "0"
        return float(row["s"]), 0.0 if memory in ("-", "NA") else float(memory)
    except (OSError, StopIteration, KeyError, ValueError):
        return None
