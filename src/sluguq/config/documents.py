"""The reference of all keys and the JSON schema, generated from the configuration models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from sluguq.config.experiment import Experiment
from sluguq.config.loading import json_schema, models_in

_INTRODUCTION = """# Configuration

One file describes one experiment. It is checked whole before any job starts; a mistyped key or an impossible value is
refused with its path and what is allowed. Give the file with `--configfile`; without one, `config/config.yaml` is used.

| file | experiment |
| --- | --- |
| `config.yaml` | the SLUG paper, on its data sets |
| `fairness.yaml` | the fairness paper, on its data set |
| `own-data.yaml` | a folder of your own images and a csv |
| `demo.yaml` | synthetic photographs, minutes on a laptop |

Single keys can be set on the command line, nested ones in YAML: `--config seeds=3 score='{probes: 32}'`. With several
files after `--configfile`, later ones are merged into earlier ones: keys are added or replaced, lists are replaced,
nothing is removed. Editors complete and check the keys where a file begins with
`# yaml-language-server: $schema=schema.json`.

This page is generated from the models in `src/sluguq/config` by `make documents`.
"""


def reference() -> str:
    """All keys with type, default and meaning, as Markdown."""
    parts = [_INTRODUCTION, _section("Experiment", "The top level of the file.", Experiment)]
    models: list[type[BaseModel]] = []
    _walk(Experiment, "", parts, models)
    return "\n".join(parts).rstrip() + "\n"


def schema_text() -> str:
    """The JSON schema as text."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def write_documents(folder: Path) -> None:
    """Write README.md and schema.json.

    :param folder: to write to.
    """
    (folder / "README.md").write_text(reference(), encoding="utf-8")
    (folder / "schema.json").write_text(schema_text(), encoding="utf-8")


def _walk(model: type[BaseModel], path: str, parts: list[str], seen: list[type[BaseModel]]) -> None:
    for name, field in model.model_fields.items():
        for inner in models_in(field):
            if inner in seen:
                continue
            seen.append(inner)
            source = inner.model_fields.get("source")
            tag = getattr(source.annotation, "__args__", ("",))[0] if source else ""
            here = f"{path}.{name}" if path else name
            title = f"`{here}.<name>` with `source: {tag}`" if tag else f"`{here}`"
            parts.append(_section(title, (inner.__doc__ or "").strip().splitlines()[0], inner))
            _walk(inner, f"{here}.<name>" if tag else here, parts, seen)


def _section(title: str, text: str, model: type[BaseModel]) -> str:
    rows = [f"## {title}\n", f"{text}\n", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        kind = _kind(properties[name])
        description = (field.description or "see below").rstrip(".").replace("|", "\\|")
        rows.append(f"| `{name}` | {kind} | {_default(field.default, field.default_factory)} | {description} |")
    return "\n".join(rows) + "\n"


def _default(default: Any, factory: Any) -> str:
    if default is PydanticUndefined:
        return "see below" if factory is not None else "required"
    if isinstance(default, BaseModel):
        return "see below"
    if isinstance(default, Path):
        return f"`{default}`"
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(part) for part in schema["anyOf"]))
    if "$ref" in schema or "oneOf" in schema:
        return "section"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        items = schema.get("items")
        return f"list of {_kind(items)}" if items else "list"
    names = {"object": "mapping", "string": "text", "boolean": "true or false", "integer": "whole number"}
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    return " ".join([names.get(kind, kind), *bounds])


if __name__ == "__main__":
    write_documents(Path("config"))
