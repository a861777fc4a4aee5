"""Every rule's script in an environment of just its pins, with nothing of the driver's environment in reach.

Builds virtual environments from the package registry, which takes minutes and hundreds of megabytes, so it is run
only where SLUGUQ_BUILD_ENVIRONMENTS=1 is set.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.workflow.conftest import copy_checkout
from tests.workflow.test_environments import ROOT, pins, rules

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        os.environ.get("SLUGUQ_BUILD_ENVIRONMENTS") != "1",
        reason="building environments takes minutes and hundreds of megabytes: set SLUGUQ_BUILD_ENVIRONMENTS=1",
    ),
]

# Stands in for Snakemake's object, so that a script can run where Snakemake is not installed.
RUNNER = """
import json, runpy, sys

class Named(list):
    def __init__(self, values, names):
        super().__init__(values)
        self._names = {name: values[at] if isinstance(at, int) else values[slice(*at)] for name, at in names.items()}
    def __getitem__(self, key):
        return self._names[key] if isinstance(key, str) else super().__getitem__(key)
    def __getattr__(self, name):
        try:
            return self.__dict__["_names"][name]
        except KeyError:
            raise AttributeError(name) from None
    def get(self, name, default=None):
        return self._names.get(name, default)

class Snakemake:
    pass

given = json.load(open(sys.argv[1]))
snakemake = Snakemake()
for key, value in given.items():
    named = isinstance(value, dict) and set(value) == {"values", "names"}
    setattr(snakemake, key, Named(value["values"], value["names"]) if named else value)
runpy.run_path(sys.argv[2], init_globals={"snakemake": snakemake})
own = {"__main__", "__mp_main__", "sluguq", *sys.stdlib_module_names}
foreign = sorted(
    name for name, module in sys.modules.items()
    if "." not in name and name not in own and not name.startswith("_sysconfigdata")
    and getattr(module, "__file__", None) and not module.__file__.startswith(sys.prefix)
)
assert not foreign, f"from elsewhere: {foreign}"
"""

# Put in place of a script: hands Snakemake's object over to the environment's Python.
HANDOVER = """
import json, pathlib, subprocess, tempfile

def _named(given):
    names = {name: at if end is None else [at, end] for name, (at, end) in given._get_names()}
    return {"values": list(given), "names": names}

_data = {
    "input": _named(snakemake.input), "output": _named(snakemake.output), "params": _named(snakemake.params),
    "wildcards": _named(snakemake.wildcards), "log": list(snakemake.log), "threads": snakemake.threads,
    "resources": {"values": [], "names": {}},
    "config": snakemake.config, "rule": snakemake.rule, "scriptdir": SCRIPTS,
}
with tempfile.NamedTemporaryFile("w", suffix=".json") as _file:
    json.dump(_data, _file, default=str)
    _file.flush()
    subprocess.run([PYTHON, "-P", RUNNER, _file.name, SCRIPT], check=True)
"""


@pytest.mark.parametrize("environment", ["images", "networks", "results"])
def test_rules_run_in_an_environment_of_just_their_pins(environment, finished, tmp_path):
    prefix = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    python = prefix / "bin" / "python"
    packages = [str(pin) for pin in pins(ROOT / "workflow" / "envs" / f"{environment}.yaml").values()]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
    checkout = copy_checkout(tmp_path / "checkout")
    for folder in ("data", "results"):
        subprocess.run(["cp", "-r", finished.folder / folder, checkout.folder], check=True)
    runner = tmp_path / "runner.py"
    runner.write_text(RUNNER)
    scripts = {rule: script for rule, (script, of) in rules().items() if of == f"{environment}.yaml"}
    originals = tmp_path / "scripts"
    originals.mkdir()
    for script in set(scripts.values()):
        file = checkout.folder / "scripts" / script
        (originals / script).write_text(file.read_text())
        constants = {"PYTHON": python, "RUNNER": runner, "SCRIPT": originals / script, "SCRIPTS": ROOT / "scripts"}
        file.write_text("".join(f"{name} = {json.dumps(str(at))}\n" for name, at in constants.items()) + HANDOVER)
    run = checkout.planned("--forceall")
    wanted = sorted(set(scripts) & set(run))
    assert wanted
    checkout.snakemake("--allowed-rules", *wanted, "--forcerun", *wanted, "--rerun-triggers", "mtime")
