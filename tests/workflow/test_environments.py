"""The conda environments of the rules: pinned to what the tests run, and holding what their scripts import.

No conda channel is needed: pins are compared with requirements.lock and imports are followed through the source.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from sluguq.machine.code import LIBRARY, packages_needed
from tests.places import ROOT

ENVIRONMENTS = sorted((ROOT / "workflow" / "envs").glob("*.yaml"))
NETWORKS = {"jax", "jaxlib", "flax", "optax"}


def pins(file: Path) -> dict[str, Requirement]:
    """The packages of an environment file, by canonical name."""
    (listed,) = (entry["pip"] for entry in yaml.safe_load(file.read_text())["dependencies"] if isinstance(entry, dict))
    requirements = [Requirement(line) for line in listed]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def _python(file: Path) -> str:
    """The version of Python, such as 3.11, that an environment file asks for."""
    listed = (str(entry) for entry in yaml.safe_load(file.read_text())["dependencies"])
    (python,) = (entry.split("=")[-1] for entry in listed if entry.startswith("python"))
    return python


@cache
def _locked(python: str) -> dict[str, Version]:
    """What the lock file installs under a version of Python; newer ones get newer packages."""
    versions: dict[str, Version] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\"))
            context = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
            if requirement.marker is None or requirement.marker.evaluate(context):
                (pin,) = requirement.specifier
                versions[canonicalize_name(requirement.name)] = Version(pin.version)
    return versions


@cache
def rules() -> dict[str, tuple[str, str]]:
    """Script and environment of every rule that runs a script."""
    found = {}
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for block in re.split(r"(?m)^ *(?=rule |use rule )", file.read_text()):
            script = re.search(r'script:\s*"\.\./\.\./scripts/([^"]+)"', block)
            if script:
                environment = re.search(r'conda:\s*(?:"\.\./envs/([^"]+)"|(\w+))', block)
                name = re.match(r"rule (\w+)", block)
                assert environment, f"{file.name}: a rule with a script has no environment:\n{block[:200]}"
                assert name
                found[name[1]] = (script[1], environment[1] or "networks.yaml")
    return found


def test_every_script_has_a_rule_and_an_environment():
    assert {script for script, _ in rules().values()} == {file.name for file in (ROOT / "scripts").glob("*.py")}
    assert {environment for _, environment in rules().values()} == {file.name for file in ENVIRONMENTS} - {
        "networks-gpu.yaml"
    }


def test_newer_pythons_get_newer_packages():
    oldest, newest = _locked("3.11"), _locked("3.13")
    assert oldest["jax"] < newest["jax"]
    assert oldest["zarr"] < newest["zarr"]
    assert "hash=" in (lock := (ROOT / "requirements.lock").read_text())
    assert "://" not in lock, "the lock file names the host of a registry"


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_pins_are_those_of_the_lock_file(file):
    environment = yaml.safe_load(file.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python = _python(file)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = Requirement(f"python{project['requires-python']}").specifier
    assert wanted.contains(f"{python}.0")
    assert "pip" in environment["dependencies"]
    for name, requirement in pins(file).items():
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{file.name}: {requirement} is not pinned"
        locked = _locked(python).get(name)
        assert Version(pin.version) == locked, f"{file.name}: {requirement}, but requirements.lock has {locked}"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_file_satisfies_the_project(python):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (Requirement(line) for group in groups for line in group):
        version = _locked(python)[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, but {version} is locked"


def test_only_environments_of_networks_hold_networks():
    holding = {file.stem for file in ENVIRONMENTS if NETWORKS & set(pins(file))}
    assert holding == {"networks", "networks-gpu"}
    on_gpu, on_cpu = (pins(ROOT / "workflow" / "envs" / f"networks{end}.yaml") for end in ("-gpu", ""))
    assert on_gpu["jax"].extras == {"cuda12"}
    assert set(on_cpu) - set(on_gpu) <= {"jaxlib"}
    assert set(on_gpu) <= set(on_cpu)


def _third_party(script: str) -> dict[str, Path]:
    """Top-level modules from outside that a script needs, each with a file that imports it."""
    # Adapters are imported by the name of their source.
    adapters = sorted((LIBRARY / "datasets" / "sources").glob("*.py")) if script == "acquire.py" else []
    needed = packages_needed(ROOT / "scripts" / script, *adapters)
    return {name: file for name, file in needed.items() if name not in sys.stdlib_module_names}


def _closure(environment: str) -> frozenset[str]:
    """Distributions that installing an environment's pins brings in."""
    return _closure_of(*map(str, pins(ROOT / "workflow" / "envs" / environment).values()))


@cache
def _closure_of(*requirements: str) -> frozenset[str]:
    """Distributions that installing these brings in, by the metadata of the installed ones."""
    pending = list(map(Requirement, requirements))
    found: set[str] = set()
    asked: set[tuple[str, frozenset[str]]] = set()
    while pending:
        requirement = pending.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in asked:
            continue
        asked.add((name, extras))
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in map(Requirement, lines):
            contexts = [{**default_environment(), "extra": extra} for extra in ("", *extras)]
            if line.marker is None or any(line.marker.evaluate(context) for context in contexts):
                pending.append(line)
    return frozenset(found)


@pytest.mark.parametrize("rule", sorted(rules()))
def test_scripts_import_nothing_that_their_environment_lacks(rule):
    script, environment = rules()[rule]
    owners = importlib.metadata.packages_distributions()
    needed = _third_party(script)
    assert "numpy" in needed, "no imports were found"
    lacking = {
        f"{module} (imported by {file})"
        for module, file in needed.items()
        if not {canonicalize_name(owner) for owner in owners.get(module, [])} & _closure(environment)
    }
    assert not lacking, f"{environment} lacks {', '.join(sorted(lacking))}"


def test_a_lacking_package_would_be_noticed(monkeypatch):
    without = frozenset(_closure("results.yaml") - {"scipy"})
    monkeypatch.setattr(sys.modules[__name__], "_closure", lambda _: without)
    with pytest.raises(AssertionError, match="lacks scipy"):
        test_scripts_import_nothing_that_their_environment_lacks("claims")


def test_a_plain_snakemake_reads_the_workflow():
    """What the rules import while they are planned comes with Snakemake itself; all else is for environments."""
    planned = re.findall(
        r"^from (sluguq[\w.]*) import", (ROOT / "workflow" / "rules" / "common.smk").read_text(), flags=re.MULTILINE
    )
    assert {"sluguq.config", "sluguq.stages.preflight", "sluguq.figures"} <= set(planned)
    script = (
        f"import json, sys; import {', '.join(planned)}; import yaml\n"
        "for name in ('config', 'demo'):\n"
        "    experiment = sluguq.config.resolve(yaml.safe_load(open(f'config/{name}.yaml')))\n"
        "    sluguq.stages.preflight.check_experiment(experiment)\n"
        "print(json.dumps([name for name, module in sys.modules.items() if '.' not in name and "
        "'site-packages' in (getattr(module, '__file__', None) or '')]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, check=True)
    owners = importlib.metadata.packages_distributions()
    needed = {canonicalize_name(owners[name][0]) for name in json.loads(run.stdout) if name in owners}
    assert "pydantic" in needed
    # The tests' own Python may load modules at its start, such as those of editable installations.
    assert needed - _closure_of("snakemake") - {"setuptools", "sluguq"} == set()
