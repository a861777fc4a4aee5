"""From YAML to a checked `Experiment`, with errors that name the key and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sluguq.config.experiment import Experiment
from sluguq.machine.errors import SluguqError


class ConfigurationError(SluguqError, ValueError):
    """The configuration cannot be used; the message has one line per mistake."""


def load_experiment(path: str | Path) -> Experiment:
    """Read and check a configuration file.

    :param path: YAML.
    :raises ConfigurationError: where the file is missing, is no YAML mapping or holds a mistake.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold keys and values, not {type(content).__name__}")
    return resolve(content, origin=str(path))


def read_yaml(path: str | Path) -> Any:
    """What a YAML or JSON file holds.

    :raises ConfigurationError: where it cannot be read, is not valid, or gives one key twice: elsewhere the last one
        would count without a word.
    """
    path = Path(path)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no configuration file {path}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not encoded as UTF-8: save it so") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{path} is not valid YAML: its values are nested too deep") from None


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML, in which a key stands once and a number means what it looks like."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse keys that are written twice, before what ``<<`` merges comes among them."""
        seen: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    f"the key {key.value!r} stands twice", seen[name].start_mark, "remove one of them", key.start_mark
                )
            seen[name] = key
        super().flatten_mapping(node)

    def construct_plain_number(self, node: yaml.ScalarNode) -> int | float:
        """Refuse what YAML takes for octal or for sixties: 010 is 8 to it, and 1:30 is 90."""
        kind = node.tag.rsplit(":", 1)[-1]
        number = self.construct_yaml_int(node) if kind == "int" else self.construct_yaml_float(node)
        written = str(node.value).replace("_", "").lstrip("+-")
        if ":" in written or (kind == "int" and re.fullmatch("0[0-7]+", written)):
            plain = "" if ":" in written else f"write {written.lstrip('0') or '0'}, or "
            problem = f"YAML reads {node.value} as {number}: {plain}put it into quotes if it is a name"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return number


for _kind in ("int", "float"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _StrictLoader.construct_plain_number)


def resolve(content: Mapping[str, Any], *, origin: str = "the configuration") -> Experiment:
    """Check a configuration and fill in its defaults.

    :param content: of the file, as YAML reads it.
    :param origin: file that it is from, for messages.
    :raises ConfigurationError: with one line for every mistake: the key's path, what is wrong, what is allowed.
    """
    try:
        experiment = Experiment.model_validate(_hashable_keys(content))
        lines = list(_misread(content, experiment.model_dump()))
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors(include_url=False)]
    if lines:
        raise ConfigurationError(f"{origin} cannot be used:\n" + "\n".join(f"  {line}" for line in lines))
    return experiment


def _misread(written: Any, taken: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Values that YAML reads otherwise than they are meant, and that a conversion would hide.

    :param written: a part of the configuration as YAML gave it.
    :param taken: the same part as it would be used.
    :param path: its keys.
    """
    shown = ".".join(path)
    if isinstance(written, Mapping):
        for key, value in written.items():
            if isinstance(key, bool) or key is None:
                yield f"{shown}: YAML reads yes, no, on, off and null as no text; put this key into quotes (got {key})"
                continue
            # Keys that are text may have been converted from numbers, or to them.
            found = [other for name, other in taken.items() if name == key or str(name) == str(key)]
            if found:
                yield from _misread(value, found[0], (*path, str(key)))
    elif isinstance(written, list | tuple) and isinstance(taken, list | tuple) and len(written) == len(taken):
        for number, (value, other) in enumerate(zip(written, taken, strict=True)):
            yield from _misread(value, other, (*path, str(number)))
    elif isinstance(written, bool) and not isinstance(taken, bool):
        yield f"{shown}: YAML reads yes, no, on and off as true and false, which is no number here (got {written})"
    elif isinstance(taken, Path) and isinstance(written, str):
        if not written.strip():
            yield f"{shown}: expected a path (got the text {written!r})"
        elif re.match("[A-Za-z]:", written) and any(ord(sign) < 32 for sign in written):
            yield (
                f"{shown}: within double quotes YAML takes a back-slash for the beginning of a code, which broke this "
                f"path; use single quotes (got the text {written!r})"
            )


def resolved_yaml(experiment: Experiment, *, exclude: Any = None) -> str:
    """The whole configuration with every default, as YAML; `exclude` as pydantic's `model_dump` takes it.

    :param experiment: the experiment.
    :param exclude: keys that are left out.
    """
    return yaml.safe_dump(experiment.model_dump(mode="json", exclude=exclude), sort_keys=False, allow_unicode=True)


def _hashable_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    """Plain dicts with string keys at the top, whatever mapping type the workflow engine hands over."""
    return {str(key): value for key, value in content.items()}


def _explain(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    # A data set's location carries its source's name as the union's tag, which is no key of the file.
    parts = location[:2] + location[3:] if location[0:1] == ["datasets"] else location
    path = ".".join(parts)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        keys = _known_keys(location[:-1])
        close = difflib.get_close_matches(location[-1], keys, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{path}: unknown key; {hint}known here: {', '.join(keys)}"
    if item["type"] == "missing":
        return f"{path}: this key is required"
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _of_source(path, item)
    message = _in_words(item) or message
    return f"{path}: {message} (got {_shown(item['input'])})" if item["loc"] else message


_EXPECTED = {
    "tuple": "a list, such as [a, b]",
    "list": "a list, such as [a, b]",
    "dict": "keys with values below it",
    "model": "keys with values below it",
    "string": "text (in quotes where it looks like a number)",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path",
    "none": "null",
}
"""What pydantic's types of errors begin with, and what the user is to write."""


def _in_words(item: Any) -> str:
    """What is wrong with a value, in words for people who do not know Python; empty for what pydantic says well."""
    kind = item["type"]
    if kind == "string_pattern_mismatch":
        return "expected letters, digits, - and _, beginning with a letter or digit"
    if kind in ("literal_error", "enum"):
        allowed = item["ctx"]["expected"]
        names = re.findall(r"'([^']*)'", allowed)
        close = difflib.get_close_matches(str(item["input"]), names, n=1)
        return f"expected {allowed}" + (f"; did you mean {close[0]!r}?" if close else "")
    if kind in ("int_from_float", "int_parsing", "int_type"):
        return "expected a whole number"
    words = _EXPECTED.get(kind.split("_")[0]) if kind.endswith(("_type", "_parsing")) else None
    return f"expected {words}" if words else ""


def _of_source(path: str, item: Any) -> str:
    """A source that there is none of, with the one that is nearest."""
    sources = sorted(re.findall(r"'([^']*)'", item["ctx"].get("expected_tags", ""))) or sorted(_sources())
    if item["type"] == "union_tag_not_found":
        return f"{path}.source: this key is required; one of {', '.join(sources)}"
    name = item["ctx"]["tag"]
    close = difflib.get_close_matches(name, sources, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{path}.source: there is no source {name!r}; {hint}known here: {', '.join(sources)}"


def _sources() -> list[str]:
    models = models_in(Experiment.model_fields["datasets"])
    return [tag for model in models if (tag := _source_tag(model))]


def _shown(value: Any) -> str:
    """A value as a person wrote it: text in quotes, and not too long."""
    kind = "the text " if isinstance(value, str) else ""
    return f"{kind}{value!r:.120}"


def _known_keys(location: list[str]) -> list[str]:
    """Keys allowed at a path of the configuration, found by walking the models."""
    models: list[type[BaseModel]] = [Experiment]
    for part in location:
        within: list[type[BaseModel]] = []
        for model in models:
            field = model.model_fields.get(part)
            if field is not None:
                within += models_in(field)
        # A dictionary's key or a union's tag names no field: stay with the models it holds.
        models = within or models
    of_tag = [m for m in models if location and _source_tag(m) == location[-1]]
    return sorted({key for model in (of_tag or models) for key in model.model_fields})


def _source_tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("source")
    return None if field is None else getattr(field.annotation, "__args__", (None,))[0]


def models_in(field: FieldInfo) -> list[type[BaseModel]]:
    """Models that a field holds, directly or inside containers and unions.

    :param field: of a model of pydantic.
    """
    models: list[type[BaseModel]] = []
    pending: list[Any] = [field.annotation]
    while pending:
        annotation = pending.pop(0)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            models.append(annotation)
        else:
            pending += list(getattr(annotation, "__args__", ()))
            value = getattr(annotation, "__value__", None)
            if value is not None:
                pending.append(value)
    return models


def json_schema() -> dict[str, Any]:
    """JSON schema of a configuration file, for editors and validators."""
    return TypeAdapter(Experiment).json_schema()
