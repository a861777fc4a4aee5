"""Time of every stage of the demo, and how much of it is start-up and compilation.

Runs the demo twice in a folder of its own: once with an empty compilation cache, once with the cache that the first
run left. Usage: python benchmarks/demo_stages.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from slug_common import publish, table

ROOT = Path(__file__).parents[1]
STAGES = ("acquire", "prepare", "split", "artefacts", "train", "eigenbasis", "score", "aggregate", "aggregate_models")


def run_demo(folder: Path, cache: Path) -> tuple[float, dict[str, list[float]]]:
    """Seconds of the whole demo, and of every job by rule."""
    for name in (".snakemake", "results", "data", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    start = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(folder), "--configfile", str(ROOT / "config" / "demo.yaml")),
        ],
        check=True,
        cwd=ROOT,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    jobs: dict[str, dict[tuple[float, float], None]] = defaultdict(dict)
    for file in (folder / ".snakemake" / "metadata").iterdir():
        record = json.loads(file.read_text())
        # A job has a record for each of its outputs.
        jobs[record["rule"]][record["starttime"], record["endtime"]] = None
    return seconds, {rule: [end - start for start, end in sorted(times)] for rule, times in jobs.items()}


def start_up() -> float:
    """Seconds until a job of the networks has imported what it needs."""
    code = "import sluguq.stages.train, sluguq.stages.score, sluguq.stages.eigenbasis"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Run, and write the section of RESULTS.md."""
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name) / "demo", Path(name) / "cache"
        folder.mkdir()
        cold_total, cold = run_demo(folder, cache)
        warm_total, warm = run_demo(folder, cache)
        imports = start_up()
    rows = []
    for rule in sorted(cold, key=lambda rule: (STAGES.index(rule) if rule in STAGES else len(STAGES), rule)):
        cells = [rule, str(len(cold[rule]))]
        for times in (cold[rule], warm[rule]):
            rest = f"{sum(times[1:]) / len(times[1:]):.1f}" if times[1:] else "–"
            cells += [f"{times[0]:.1f}", rest, f"{sum(times):.1f}"]
        rows.append(cells)
    head = ["rule", "jobs", *(f"{run}: {what}" for run in ("cold", "warm") for what in ("first", "rest", "all"))]
    networks = [rule for rule in cold if rule in ("train", "eigenbasis", "score")]
    saved = sum(sum(cold[rule]) - sum(warm[rule]) for rule in networks)
    count = sum(len(cold[rule]) for rule in networks)
    body = [
        "Seconds; *first* is the first job of a rule, *rest* the mean of the others. The cold run starts with an empty "
        "compilation cache, the warm one with the cache that the cold run left.",
        "",
        table(head, rows),
        "",
        f"Whole demo: {cold_total:.0f} s cold, {warm_total:.0f} s warm. The cache saves {saved:.0f} s of the jobs that "
        f"run networks. Each of these {count} jobs spends {imports:.1f} s on imports, {count * imports:.0f} s in all, "
        f"{100 * count * imports / warm_total:.0f} % of the warm run.",
    ]
    publish("Stages of the demo", "python benchmarks/demo_stages.py", "\n".join(body))


if __name__ == "__main__":
    main()
