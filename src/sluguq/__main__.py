"""The command line: `python -m sluguq`, or `sluguq` where the package is installed."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import sluguq
from sluguq.machine.errors import SluguqError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status, 1 where it could not be done (the reason is on stderr)."""
    options = _parser().parse_args(arguments)
    return {"init": _init, "crate": _crate, "cost": _cost, "flag": _flag}[options.command](options)


def _init(options: argparse.Namespace) -> int:
    from sluguq.config.loading import load_experiment
    from sluguq.datasets.base import AcquisitionError
    from sluguq.datasets.inspection import inspect_folder
    from sluguq.datasets.proposal import name_for, proposed_configuration, told
    from sluguq.stages.preflight import check_experiment
    from sluguq.stores.files import whole_file

    name = options.name or name_for(options.folder)
    target = options.out or Path("config" if Path("config").is_dir() else ".", f"{name}.yaml")
    try:
        if target.exists() and not options.dry_run:
            raise AcquisitionError(f"{target} is there already: name another file with --out")
        inspection = inspect_folder(options.folder, options.table)
        text = proposed_configuration(inspection, name, Path.cwd())
        if options.dry_run:
            comments = "\n".join(f"# {part}" for line in told(inspection) for part in line.splitlines())
            print(comments, text, sep="\n\n", end="")
            return 0
        print("\n".join(told(inspection)))
        with whole_file(target) as partial:
            partial.write_text(text, encoding="utf-8")
        check_experiment(load_experiment(target))
    except (SluguqError, OSError) as error:
        print(f"sluguq {options.command}: {error}", file=sys.stderr)
        return 1
    print(f"\n{target}: check it, then look at the photographs, and at last run all of it:")
    # Targets come first: Snakemake takes every word after --configfile for a file.
    for goal in ("prepared ", ""):
        print(f"  {_snakemake()} {goal}--cores {os.cpu_count() or 1} --configfile {shlex.quote(str(target))}")
    return 0


def _snakemake() -> str:
    """How Snakemake is called from here: by its path where the environment that runs this is not the shell's."""
    ours = Path(sys.executable).parent / "snakemake"
    if not ours.exists() or shutil.which("snakemake") == str(ours):
        return "snakemake"
    return shlex.quote(str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours))


def _flag(options: argparse.Namespace) -> int:
    # The libraries behind the commands take seconds to import, which --help and a mistyped option need not wait for.
    from sluguq.machine.devices import prepare_networks

    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "sluguq" / "jax"))
    prepare_networks(gpu=os.environ.get("JAX_PLATFORMS") != "cpu")
    from sluguq.flag.run import flag

    try:
        flagged = flag(
            options.folder,
            options.experiment,
            configuration=options.configuration,
            out=options.out,
            probes=options.probes,
        )
    except (SluguqError, OSError) as error:
        print(f"sluguq {options.command}: {error}", file=sys.stderr)
        return 1
    print(f"{flagged.judged} photographs judged, {flagged.rejected} could not be read; most suspect first:")
    print(f"  {flagged.page}\n  {flagged.table}")
    return 0


def _crate(options: argparse.Namespace) -> int:
    from sluguq.report.crate import write_crate

    try:
        print(write_crate(options.experiment))
    except (SluguqError, OSError) as error:
        print(f"sluguq {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _cost(options: argparse.Namespace) -> int:
    from sluguq.config import ConfigurationError, load_experiment
    from sluguq.stages.cost import cost_of, rates_of, table_of
    from sluguq.stages.taken import left, plan_and_taken, planned_jobs

    try:
        experiment = load_experiment(options.configfile)
        rates = None
        if options.device == "this":
            from sluguq.machine.devices import prepare_networks

            prepare_networks(gpu=experiment.resources.gpu and os.environ.get("JAX_PLATFORMS") != "cpu")
            from sluguq.stages.warm_up import measured_rates

            rates = measured_rates(experiment)
        elif options.device:
            rates = rates_of(options.device, experiment.training.precision)
    except (ConfigurationError, ValueError) as error:
        print(f"sluguq {options.command}: {error}", file=sys.stderr)
        return 1
    cost = cost_of(experiment, rates)
    if options.left:
        try:
            lines = left(cost, planned_jobs(options.configfile))
        except RuntimeError as error:
            print(f"sluguq {options.command}: {error}", file=sys.stderr)
            return 1
        print(json.dumps(lines, indent=1) if options.json else "\n".join(lines or ["nothing is left to do"]))
        return 0
    content = cost.as_dict() | {"taken": plan_and_taken(cost)}
    print(json.dumps(content, indent=1) if options.json else table_of(cost))
    if not options.json and any(row["hours taken"] for row in content["taken"]):
        print("\nwhat it took so far:")
        for row in content["taken"]:
            print(f"  {row['stage']}: {row['jobs measured']} of {row['jobs planned']} jobs, {row['hours taken']} hours")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluguq", description="SLUG uncertainty of generative models of skin images.")
    parser.add_argument("--version", action="version", version=sluguq.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser(
        "init",
        help="look at a folder of photographs and write a configuration for it",
        description="Look at a folder of photographs and its tables, say what was found (columns, separator, encoding, "
        "skin types, sizes, patients), and write a commented configuration that runs, sized to what is there.",
    )
    init.add_argument("folder", type=Path, metavar="FOLDER", help="photographs, also in folders below")
    init.add_argument("--table", type=Path, metavar="FILE", help="table of labels (default: found in the folder)")
    init.add_argument("--name", type=_name, metavar="NAME", help="name of the experiment (default: the folder's)")
    init.add_argument("--out", type=Path, metavar="FILE", help="configuration to write (default: config/NAME.yaml)")
    init.add_argument("--dry-run", action="store_true", help="print the configuration, write nothing")
    flag = commands.add_parser(
        "flag",
        help="score the photographs of a folder with trained models, most suspect first",
        description="Score the photographs of a folder with the models of a finished experiment, and compare each with "
        "the experiment's own test images. Writes flagged.csv, flagged.html and flagged.rejected.csv. "
        "A research tool, not for clinical use.",
    )
    flag.add_argument("folder", type=Path, metavar="FOLDER", help="photographs, also in folders below")
    flag.add_argument(
        "--experiment", type=Path, required=True, metavar="results/NAME", help="folder of the experiment's results"
    )
    flag.add_argument(
        "--configuration", metavar="NAME", help="configuration whose models judge (default: the most mixed one)"
    )
    flag.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: results/NAME/flagged/<name of FOLDER>)"
    )
    flag.add_argument(
        "--probes",
        type=_probes,
        metavar="N",
        help="random probes of an image (default: as the experiment was scored); with another number than the "
        "experiment's, its test images are scored anew too",
    )
    crate = commands.add_parser(
        "crate",
        help="describe a finished experiment as a Workflow Run RO-Crate",
        description="Write ro-crate-metadata.json into the results of an experiment: workflow, configuration, data "
        "sets, results and software versions in the words of RO-Crate. Needs the package rocrate.",
    )
    crate.add_argument("experiment", type=Path, metavar="results/NAME", help="folder of the experiment's results")
    cost = commands.add_parser(
        "cost",
        help="what an experiment will take: jobs, operations, hours, disk and memory by stage",
        description="What an experiment will take, from its configuration alone, before anything runs. PFLOP are 10^15 "
        "operations of the networks; hours are of one device, one job after another.",
    )
    cost.add_argument("--configfile", type=Path, required=True, metavar="FILE", help="configuration of the experiment")
    cost.add_argument(
        "--device",
        metavar="NAME",
        help="hours on a device: t4, v100, l4, rtx4090, a100, h100 or h200 at a third of its peak, or `this`, measured "
        "in some seconds",
    )
    cost.add_argument(
        "--left",
        action="store_true",
        help="only what a run would do now, and what that takes: after an edit, what it costs (run it where you run "
        "snakemake)",
    )
    cost.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _name(text: str) -> str:
    """A name of an experiment, which is that of a folder too."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: take letters, digits, - and _, at most 40")
    return text


def _probes(text: str) -> int:
    """A number of probes; a standard error needs two."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 2")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
