"""Time of every stage of a finished demo, and how much of it is start-up and compilation.

Run `make demo` in a fresh checkout, where the compilation cache is empty, then this script there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from slug_common import publish, table

METADATA = Path(".snakemake") / "metadata"
NETWORKS = ("train", "eigenbasis", "score")
IMPORTS = {
    "train": "sluguq.stages.train",
    "eigenbasis": "sluguq.stages.eigenbasis",
    "score": "sluguq.stages.score",
}


def jobs_by_rule() -> dict[str, list[tuple[float, float]]]:
    """Start and end of every job, in order, by rule."""
    jobs: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for file in METADATA.iterdir():
        record = json.loads(file.read_text())
        # A job has a record for each of its outputs, but one log.
        jobs[record["rule"]][record["log"][0]] = (record["starttime"], record["endtime"])
    return {rule: sorted(times.values()) for rule, times in jobs.items()}


def import_seconds(module: str) -> float:
    """Seconds until a fresh interpreter has imported a module."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Read what Snakemake recorded, and write the section of RESULTS.md."""
    if not METADATA.is_dir():
        sys.exit(f"there is no {METADATA}: run `make demo` here first")
    jobs = jobs_by_rule()
    begun = min(start for times in jobs.values() for start, _ in times)
    ended = max(end for times in jobs.values() for _, end in times)
    rows = []
    compiled = imported = 0.0
    for rule, times in sorted(jobs.items(), key=lambda item: item[1][0]):
        seconds = [end - start for start, end in times]
        rest = sum(seconds[1:]) / len(seconds[1:]) if seconds[1:] else None
        if rule in NETWORKS:
            compiled += max(0.0, seconds[0] - (rest or 0.0))
            imported += len(seconds) * import_seconds(IMPORTS[rule])
        cells = [f"{seconds[0]:.1f}", "–" if rest is None else f"{rest:.1f}", f"{sum(seconds):.1f}"]
        rows.append([rule, str(len(seconds)), *cells])
    total = ended - begun
    body = [
        "Seconds; *first* is the first job of a rule, which compiles, *rest* the mean of the others, which find its "
        "code in the cache.",
        "",
        table(["rule", "jobs", "first", "rest", "all"], rows),
        "",
        f"The whole demo took {total:.0f} s. First jobs of the rules that run networks took {compiled:.0f} s longer "
        f"than the others ({100 * compiled / total:.0f} %): compilation, which later models share. Importing what "
        f"these jobs need took {imported:.0f} s in all ({100 * imported / total:.0f} %).",
    ]
    publish("Stages of the demo", "make demo; python benchmarks/demo_stages.py", "\n".join(body))


if __name__ == "__main__":
    main()
