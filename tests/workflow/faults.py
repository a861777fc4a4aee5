"""The fault matrix: what was done to a run of the tiny experiment, and what came out.

As a script it writes the tables into docs/reliability.md: `python -m tests.workflow.faults`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sluguq.networks.weights import WeightsError, load_network
from sluguq.stages.basis_store import read_basis_store
from sluguq.stages.taken import measurement
from sluguq.stores.files import DamagedFile
from sluguq.stores.store import StoreError, open_store
from sluguq.stores.tables import TableError, read_images, read_split
from tests.places import ROOT
from tests.workflow.conftest import SIDE_BY_SIDE, Checkout, copy_checkout, environment

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# When in a job they come, as shares of what the job takes: imports, reading, computing.
SHARES = (0.1, 0.45, 0.75)
SCRIPTS = tuple(path.stem for path in (ROOT / "scripts").glob("*.py"))
_SCRIPT = re.compile(rb"/\.snakemake/scripts/tmp[^/]*\.([a-z_]+)\.py")
_SKIPPED = (".snakemake_timestamp", ".made.json")


def digests(checkout: Checkout) -> dict[str, str]:
    """SHA-256 of every result, by name; pictures and pages, which name their time or ids, are left out."""
    found = {}
    for top in ("results", "data"):
        for path in sorted((checkout.folder / top).rglob("*")):
            name = path.relative_to(checkout.folder).as_posix()
            hidden = any(part.startswith(".") and part != ".manifest.json" for part in Path(name).parts)
            if path.is_file() and not hidden and path.suffix not in (".svg", ".png", ".html", ".parquet", ".md"):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def leftovers(checkout: Checkout) -> list[str]:
    """Hidden things that killed jobs left and that no later run removed."""
    names = (path.relative_to(checkout.folder).as_posix() for path in checkout.folder.glob("*/**/.*"))
    state = re.compile(r"\.partial-|\.owner$|/\.[^/]+-[0-9a-f]{12}$")
    return [name for name in names if state.search(name) and not name.startswith((".snakemake", "src", "workflow"))]


def running_jobs(checkout: Checkout) -> dict[int, str]:
    """Processes of scripts of a checkout, with the names of the scripts."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes().split(b"\0")
                script = _SCRIPT.search(b" ".join(command))
                # The shell that starts a script names it, too.
                if script and b"python" in command[0] and os.fsencode(checkout.folder) in script.string:
                    found[int(process.name)] = script[1].decode()
    return found


def times_taken(reference: Checkout) -> dict[str, float]:
    """Seconds that the quickest job of every script took in a run without disturbance, by script."""
    taken: dict[str, float] = {}
    for path in (reference.folder / "logs").rglob("*.tsv"):
        *_, rule, job = path.with_suffix("").parts
        script = f"{rule}_models" if job == "models" else rule if rule in SCRIPTS else path.parent.parent.name
        measured = measurement(path)
        if measured is not None:
            taken[script] = min(measured[0], taken.get(script, measured[0]))
    return taken


def killed_in_every_rule(
    checkout: Checkout, reference: Checkout, target: str = "all", patience: float = 1500.0
) -> dict[str, list[str]]:
    """Run everything while a job of every rule gets every signal once, each at its own time; Snakemake tries again.

    :param reference: a run without disturbance, which tells how long jobs take on this machine.
    :returns: names of the signals that reached a job, by script.
    """
    given: dict[str, list[str]] = defaultdict(list)
    command = checkout.command(target, *SIDE_BY_SIDE, "--retries", str(len(SIGNALS)), "--keep-going")
    run = subprocess.Popen(
        command,
        cwd=checkout.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=(checkout.folder / "faults.log").open("w"),
        start_new_session=True,
    )
    seen: dict[int, float] = {}
    taken = times_taken(reference)
    deadline = time.monotonic() + patience
    while run.poll() is None:
        assert time.monotonic() < deadline, "the run did not end"
        for process, script in running_jobs(checkout).items():
            first = seen.setdefault(process, time.monotonic())
            tried = len(given[script])
            if tried < len(SIGNALS) and time.monotonic() - first >= SHARES[tried] * taken.get(script, 1.0):
                number = SIGNALS[tried]
                try:
                    os.kill(process, number)
                except ProcessLookupError:
                    continue
                given[script].append(number.name)
                seen[process] = float("inf")
        time.sleep(0.05)
    (checkout.folder / "signals.json").write_text(json.dumps(given))
    return {script: names for script, names in given.items() if names}


_FULL_DISK = r"""
import os, re, resource, sys
script = re.search(r"/\.snakemake/scripts/tmp[^/]*\.([a-z_]+)\.py", " ".join(sys.orig_argv))
if script and os.path.basename(sys.orig_argv[0]).startswith("python"):
    try:
        os.close(os.open(os.path.join(os.path.dirname(__file__), "met", script[1]), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
"""
"""What Python runs at its start: the first job of every script can write no more than so much of a file."""


def met_by_a_full_disk(checkout: Checkout, folder: Path, target: str = "all") -> set[str]:
    """Run everything while the first job of every script finds no room; Snakemake tries again.

    A limit on the size of files stands in for the full disk: both refuse the write, of logs too.

    :param folder: a new folder for what this needs.
    :returns: the rules that met it and said so; a job that has next to nothing to write does not.
    """
    (folder / "met").mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(_FULL_DISK)
    run = subprocess.run(
        checkout.command(target, *SIDE_BY_SIDE, "--retries", "1", "--keep-going"),
        cwd=checkout.folder,
        env={**environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-8000:]
    rules = re.findall(r"^Error in rule (\w+):", run.stderr, flags=re.M)
    # Two jobs at a time: whose words are whose cannot be told, but each has some.
    words = [line for line in run.stderr.splitlines() if "too large" in line]
    assert len(words) >= len(rules), run.stderr[-8000:]
    return set(rules)


def table(reference: dict[str, str], checkout: Checkout, given: dict[str, list[str]]) -> str:
    """Rows for docs/reliability.md: which signals reached a job of which script, and what came of it."""
    same = digests(checkout) == reference
    rows = ["| rule | signals | the next attempts' results |", "| --- | --- | --- |"]
    for script, names in sorted(given.items()):
        rows.append(f"| {script} | {', '.join(names)} | {'as the reference, bit for bit' if same else 'differ'} |")
    return "\n".join(rows)


READERS: dict[str, Callable[[Path], Any]] = {
    "data/images/skin-32px.zarr": lambda path: open_store(path).load(),
    "results/tiny/artefacts/seed-0.zarr": lambda path: open_store(path).load(),
    "results/tiny/eigenbases/A/seed-0.zarr": read_basis_store,
    "results/tiny/scores/A/seed-0/skin.zarr": lambda path: open_store(path).load(),
    "results/tiny/models/A/seed-0/samples.zarr": lambda path: open_store(path).load(),
    "results/tiny/skin.zarr": lambda path: open_store(path).load(),
    "results/tiny/models.zarr": lambda path: open_store(path).load(),
    "results/tiny/models/A/seed-0/weights.safetensors": load_network,
    "results/tiny/splits/seed-0.csv": read_split,
    "data/raw/skin/images.csv": read_images,
}
"""Everything that a later rule reads, and how."""

DAMAGES = ("flip", "cut", "delete")


def message_of_damage(finished: Checkout, name: str, damage: str, folder: Path) -> str:
    """What the reader of a damaged copy says; empty where it says nothing."""
    source, copy = finished.folder / name, folder / Path(name).name
    if source.is_dir():
        shutil.copytree(source, copy)
        files = [path for path in copy.rglob("*") if path.is_file() and "c" in path.relative_to(copy).parts]
    else:
        shutil.copy(source, copy)
        seal = source.with_name(f".{source.name}.sha256")
        if seal.exists():
            shutil.copy(seal, copy.with_name(f".{copy.name}.sha256"))
        files = [copy]
    READERS[name](copy)
    victim = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 16
        victim.write_bytes(content)
    elif damage == "cut":
        victim.write_bytes(content[: len(content) // 2])
    else:
        victim.unlink()
    try:
        READERS[name](copy)
    except (StoreError, WeightsError, DamagedFile, TableError, FileNotFoundError) as error:
        return str(error).replace(str(folder), "").replace("//", "/")
    return ""


def damage_table(finished: Checkout, folder: Path) -> str:
    """Rows for docs/reliability.md."""
    rows = ["| what | a flipped bit | cut to half | deleted |", "| --- | --- | --- | --- |"]
    for name in READERS:
        cells = []
        for damage in DAMAGES:
            place = folder / name.replace("/", "-") / damage
            place.mkdir(parents=True)
            named = Path(name).name in message_of_damage(finished, name, damage, place)
            cells.append("refused, named" if named else "NOT NOTICED")
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def write_page(**tables: str) -> None:
    """Put tables into docs/reliability.md."""
    page = ROOT / "docs" / "reliability.md"
    text = page.read_text(encoding="utf-8")
    for name, rows in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda found, rows=rows: f"{found[1]}\n{rows}\n\n{found[2]}", text, flags=re.S)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Run the matrix in a temporary folder and write its tables."""
    folder = Path(tempfile.mkdtemp())
    try:
        reference = copy_checkout(folder / "reference")
        reference.snakemake("all", *SIDE_BY_SIDE)
        tried = copy_checkout(folder / "tried")
        given = killed_in_every_rule(tried, reference)
        filled = copy_checkout(folder / "filled")
        rules = met_by_a_full_disk(filled, folder / "full")
        assert digests(filled) == digests(reference)
        write_page(
            kills=table(digests(reference), tried, given),
            damage=damage_table(reference, folder / "damage"),
            full=", ".join(f"`{rule}`" for rule in sorted(rules)) + ".",
        )
        print("left behind:", leftovers(tried) + leftovers(filled) or "nothing")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
