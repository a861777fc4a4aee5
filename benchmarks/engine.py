"""Jobs and seconds of Snakemake's own time, at the papers' size and at ten times it.

    python benchmarks/engine.py [--real] [--seeds 10 100]

Plans the SLUG paper's experiment (10 seeds: 30 models, 4 data sets) and one with 100 seeds (300 models). With --real
the same is run as well with every script replaced by one that only touches its outputs, so that what remains is the
engine and the start of a Python process a job.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from slug_common import publish, table

ROOT = Path(__file__).parent.parent
TOUCH = """
from pathlib import Path
for output in snakemake.output:
    folder = output.endswith(".zarr")
    (Path(output) if folder else Path(output).parent).mkdir(parents=True, exist_ok=True)
    if not folder:
        Path(output).touch()
"""


def experiment(seeds: int) -> dict:
    """The SLUG paper's configuration with as many seeds; drawn photographs stand in for its data sets."""
    resolved = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    drawn = {"source": "phantom", "counts": dict.fromkeys(range(1, 7), 5000)}
    names = [resolved["training_dataset"], *resolved["external_datasets"]]
    return {**resolved, "seeds": seeds, "datasets": dict.fromkeys(names, drawn)}


def measure(folder: Path, seeds: int, *arguments: str) -> tuple[int, float, float]:
    """Number of jobs, seconds and CPU seconds of one call of Snakemake."""
    (folder / "experiment.yaml").write_text(yaml.safe_dump(experiment(seeds)))
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *arguments, "--configfile", "experiment.yaml"]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if run.returncode:
        sys.exit(run.stdout[-2000:] + run.stderr[-4000:])
    jobs = next(line.split()[1] for line in (run.stdout + run.stderr).splitlines() if line.startswith("total "))
    return int(jobs), seconds, busy


def import_seconds(module: str) -> float:
    """Processor seconds of a fresh interpreter that imports a module of the library."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", f"import {module}"]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="also run all jobs, with scripts that only touch outputs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 100], help="seeds of each experiment")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("Snakefile", "workflow", "profiles", "config", "scripts", "src"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        for script in (folder / "scripts").glob("*.py"):
            script.write_text(TOUCH)
        for seeds in options.seeds:
            kinds = {"dry run": ("--dry-run", "--quiet", "host"), **({"real run": ()} if options.real else {})}
            for kind, arguments in kinds.items():
                jobs, seconds, busy = measure(folder, seeds, *arguments)
                each = f"{busy / jobs:.2f}" if kind == "real run" else "–"
                rows.append([f"{3 * seeds} models", kind, f"{jobs:,}", f"{seconds:.1f}", f"{busy:.1f}", each])
                print(*rows[-1], flush=True)
    head = ["experiment", "", "jobs", "seconds", "processor seconds", "of them a job"]
    body = [
        "The SLUG paper's experiment with 4 data sets; in real runs every script only touches its outputs.",
        "",
        table(head, rows),
        "",
        f"Importing what a training needs takes {import_seconds('sluguq.stages.train'):.1f} processor seconds, what a "
        f"scoring needs {import_seconds('sluguq.stages.score'):.1f}. The demo's jobs of networks, small as any, take "
        "8 to 20 s (see above), those of the papers minutes to hours, so each is a job of its own; `--groups` shares "
        "a start where a queue makes it dear (docs/cluster.md).",
    ]
    publish("Cost of the engine", f"python benchmarks/engine.py{' --real' * options.real}", "\n".join(body))


if __name__ == "__main__":
    main()
