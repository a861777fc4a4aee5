"""A Workflow Run RO-Crate of a finished experiment: what ran, on what, with which software, and what came of it.

The profile is "Workflow Run Crate" 0.6 (https://w3id.org/ro/wfrun/workflow/0.6) of Leo S. et al., Recording provenance
of workflow runs with RO-Crate, PLoS ONE 19(9), 2024. Everything is taken from the attributes of the stores.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from sluguq.config import resolve
from sluguq.config.paths import ResultPaths
from sluguq.config.sources import registry_name
from sluguq.datasets.registry import load_registry
from sluguq.machine.errors import SluguqError
from sluguq.stores.files import file_sha256, whole_file
from sluguq.stores.store import open_store

METADATA = "ro-crate-metadata.json"
PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.6",
    "https://w3id.org/ro/wfrun/workflow/0.6",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1",
)
_WORKFLOW = Path(__file__).parents[3] / "workflow"
_FORMATS = {".csv": "text/csv", ".html": "text/html", ".safetensors": "application/octet-stream"}


class CrateError(SluguqError, RuntimeError):
    """The crate cannot be written; the message says what is missing."""


def write_crate(results: str | Path) -> Path:
    """Describe the results of an experiment in ``ro-crate-metadata.json`` beside them.

    Beside it appear the resolved configuration and a copy of the workflow, so that the folder is a whole crate.

    :param results: folder of a finished experiment.
    :returns: path of the description.
    :raises CrateError: where the package rocrate or the workflow is missing, or the experiment is not finished.
    :raises StoreError: where a store is not readable.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise CrateError("the package rocrate is missing: pip install rocrate") from error
    results = Path(results)
    paths = ResultPaths(results)
    if not Path(paths.claims()).is_file():
        raise CrateError(f"there is no finished experiment in {results}: it has no claims.csv")
    if not _WORKFLOW.is_dir():
        raise CrateError(f"there is no workflow at {_WORKFLOW}: run this in a clone")
    stores = {path.name: open_store(path) for path in sorted(results.glob("*.zarr"))}
    training = next((store for store in stores.values() if store.attrs.get("role") == "training"), None)
    if training is None:
        raise CrateError(f"there is no store of the training data set in {results}")

    shutil.copytree(_WORKFLOW, results / "workflow", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with whole_file(results / "configuration.yaml") as partial:
        partial.write_text(training.attrs["configuration"], encoding="utf-8")

    crate = ROCrate()
    name = str(training.attrs["experiment"])
    crate.name = f"Experiment {name} of sluguq"
    crate.description = "SLUG uncertainty and fairness of generative models of skin images" + (
        "; synthetic photographs, which say nothing of people" if training.attrs.get("synthetic") else ""
    )
    end = max(path.stat().st_mtime for path in (results / "claims.csv", *results.glob("*.zarr/zarr.json")))
    crate.datePublished = datetime.fromtimestamp(end, UTC)
    crate.root_dataset["conformsTo"] = [_thing(crate, profile, "CreativeWork", name=profile) for profile in PROFILES]
    workflow = crate.add_workflow(
        results / "workflow" / "Snakefile",
        "workflow/Snakefile",
        main=True,
        lang="snakemake",
        properties={"name": "sluguq"},
    )
    workflow["version"] = training.attrs["commit"]
    workflow["softwareRequirements"] = [
        _thing(crate, f"#{package}", "SoftwareApplication", name=package, softwareVersion=version)
        for package, _, version in (item.partition("=") for item in training.attrs["versions"].split())
    ]
    configuration = crate.add_file(
        results / "configuration.yaml", "configuration.yaml", properties={"encodingFormat": "application/yaml"}
    )
    action = crate.add_action(
        workflow,
        object=[configuration, *_datasets(crate, training)],
        result=list(_results(crate, results, stores)),
        properties={"name": f"Run of experiment {name}", "endTime": datetime.fromtimestamp(end, UTC).isoformat()},
    )
    crate.root_dataset["mentions"] = [action]
    with whole_file(results / METADATA) as partial:
        partial.write_text(json.dumps(crate.metadata.generate(), indent=2, ensure_ascii=False), encoding="utf-8")
    return results / METADATA


def _thing(crate: Any, identifier: str, kind: str, **properties: Any) -> Any:
    """Something that is named in the description but is no file of the crate."""
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _datasets(crate: Any, store: xr.Dataset) -> list[Any]:
    """The data sets of the experiment, those that are published with licence and citation."""
    registry = load_registry()
    things = []
    for name, options in resolve(yaml.safe_load(store.attrs["configuration"])).datasets.items():
        entry = registry.get(registry_name(options) or "")
        properties: dict[str, Any] = {"name": name, "description": f"source: {options.source}"}
        if entry:
            properties |= {"name": entry.title, "version": entry.version, "url": entry.homepage}
            properties |= {"license": entry.licence.url, "citation": entry.citation}
        things.append(_thing(crate, f"#data-{name}", "Dataset", **properties))
    return things


def _results(crate: Any, results: Path, stores: dict[str, xr.Dataset]) -> Any:
    """Stores, weights with their checksums, tables and pages."""
    for name, store in stores.items():
        yield crate.add_dataset(
            results / name, f"{name}/", properties={"name": store.attrs["title"], "encodingFormat": "application/zarr"}
        )
    for folder in ("figures", "tables", "model_cards"):
        if (results / folder).is_dir():
            yield crate.add_dataset(results / folder, f"{folder}/", properties={"name": folder.replace("_", " ")})
    paths = ResultPaths(results)
    weights = sorted(results.glob(Path(paths.weights("*", "*")).relative_to(results).as_posix()))
    files = [Path(paths.claims()), Path(paths.report()), *weights]
    for file in (file for file in files if file.is_file()):
        properties = {"encodingFormat": _FORMATS[file.suffix], "sha256": file_sha256(file)}
        yield crate.add_file(file, file.relative_to(results).as_posix(), properties=properties)
