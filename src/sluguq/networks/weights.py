"""Networks and other named arrays on disk: safetensors, written whole or not at all."""

import dataclasses
import json
import os
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from sluguq.machine.errors import SluguqError
from sluguq.machine.owner import owned
from sluguq.networks.network import Network, Settings
from sluguq.networks.own import load_own
from sluguq.networks.registry import ArchitectureError, found, name_of, place_of

_REFERENCE = "reference"
_KEY = "sluguq"  # a single entry, since the order of several in the file is left to chance


_WITH_DESCRIPTION = "description and arrays: "


class WeightsError(SluguqError, ValueError):
    """A file of weights that is damaged, or not of the network that is wanted."""


def _digest(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any] | None = None) -> str:
    """Of the arrays and what describes them; of the arrays alone in files of earlier versions."""
    digest = sha256()
    if description is not None:
        digest.update(json.dumps(description, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.asarray(array, order="C").data)
    return ("" if description is None else _WITH_DESCRIPTION) + digest.hexdigest()


def write_arrays(path: str | Path, arrays: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Write named arrays and a JSON description with them, whole or not at all.

    The file is written beside `path` and then takes its place, so a reader, or a job after a crash, finds
    the old file or the new one and never a part.

    :param path: safetensors.
    :param arrays: by name.
    :param description: anything that JSON can hold.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps({**description, "sha256": _digest(values, description)})
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with owned(path) as certain:
        if certain:  # what killed runs left
            for partial in path.parent.glob(f".{path.name}.partial-*"):
                partial.unlink(missing_ok=True)
        try:
            save_file(values, temporary, metadata={_KEY: text})
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`write_arrays` wrote: the arrays by name, and their description.

    :param path: safetensors.
    :raises WeightsError: naming the file, where it was not written by ``write_arrays`` or has changed since.
    :raises FileNotFoundError: where there is none.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except KeyError:
        raise WeightsError(f"{path}: not written by sluguq") from None
    except Exception as error:  # a flipped bit in its head can be anything: a type, a shape, a size
        raise WeightsError(f"{path}: damaged ({error}); delete it and make it again") from error
    digest = description.pop("sha256", None) if isinstance(description, dict) else None
    covered = str(digest).startswith(_WITH_DESCRIPTION)
    if digest != _digest(arrays, description if covered else None):
        raise WeightsError(f"{path}: damaged (its checksum differs); delete it and make it again")
    return arrays, description


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their paths, such as `encoder.blocks.0.conv1.kernel`.

    :param tree: of arrays.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {".".join(_part(step) for step in path): leaf for path, leaf in leaves}


def _part(step: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(step, attribute):
            return str(getattr(step, attribute))
    return str(step)


def restored(template: Any, arrays: Mapping[str, np.ndarray], origin: str) -> Any:
    """A pytree of the template's structure with its leaves taken by name from ``arrays``.

    :param template: a pytree of arrays, or of their shapes and types.
    :param arrays: by name.
    :param origin: where they are from, for messages.
    :raises WeightsError: naming the first leaf that is missing, left over or of another shape or type.
    """
    leaves = named(template)
    for name in [*leaves, *arrays]:
        if name not in arrays:
            raise WeightsError(f"{origin}: has no {name}: written for another network")
        if name not in leaves:
            raise WeightsError(f"{origin}: holds {name}, which this network lacks: written for another network")
        here, there = leaves[name], arrays[name]
        if here.shape != there.shape or here.dtype != there.dtype:
            raise WeightsError(
                f"{origin}: {name} is {there.dtype} {there.shape}, this network has {here.dtype} {here.shape}"
            )
    return jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(arrays[name]) for name in leaves])


def save_network(path: str | Path, network: Network, *, architecture: str | None = None, **description: Any) -> None:
    """Write a network: weights and statistics, with its settings and ``description`` as metadata.

    :param path: of the safetensors file.
    :param network: the network.
    :param architecture: name under which :mod:`~sluguq.networks.registry` finds its settings; None looks it up there.
    :param description: anything else that JSON can hold, such as configuration and seed.
    """
    weights, statistics = network.split()
    settings = network.settings
    content = {
        "kind": architecture if architecture is not None else name_of(settings),
        "settings": dataclasses.asdict(settings),
        "description": description,
    }
    write_arrays(path, named({"weights": weights, "statistics": statistics}), content)


def save_reference(
    path: str | Path,
    factory: str,
    weights: str | Path,
    *,
    image_size: int,
    options: Mapping[str, Any],
    **description: Any,
) -> None:
    """Write, in place of a network, where it is: a factory in a file and the weights that it reads.

    :param path: of the safetensors file, which holds no array.
    :param factory: ``path/to/file.py:factory``, see :func:`sluguq.networks.own.load_own`.
    :param weights: the file that the factory is given.
    :param image_size: height and width in pixels.
    :param options: further arguments of the factory.
    :param description: anything else that JSON can hold.
    """
    content = {
        "kind": _REFERENCE,
        "factory": factory,
        "weights": str(weights),
        "weights_sha256": _file_digest(weights),
        "image_size": image_size,
        "options": dict(options),
        "description": description,
    }
    write_arrays(path, {}, content)


def _file_digest(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def load_network(path: str | Path, settings: Settings | None = None) -> Network:
    """Read a network written by :func:`save_network` or :func:`save_reference`.

    :param path: of the safetensors file.
    :param settings: what the network is expected to be; None takes what the file says.
    :raises WeightsError: naming the file, where it is damaged, holds no network, or one of other settings (the first
        array that does not fit is named); where the weights that it refers to are gone or others.
    """
    arrays, description = read_arrays(path)
    if description.get("kind") == _REFERENCE:
        return _referred(path, description)
    try:
        own = found(place_of(str(description.get("kind"))))(**description["settings"])
    except (ArchitectureError, KeyError) as error:
        raise WeightsError(f"{path}: holds no network ({error})") from error
    shape = settings if settings is not None else own
    weights, statistics = jax.eval_shape(lambda: shape.initial(None).split())
    tree = restored({"weights": weights, "statistics": statistics}, arrays, str(path))
    if shape != own:
        raise WeightsError(f"{path}: is a network of {own}, wanted {shape}")
    return shape.join(tree["weights"], tree["statistics"])


def _referred(path: str | Path, description: Mapping[str, Any]) -> Network:
    weights = Path(description["weights"])
    if not weights.is_file():
        raise WeightsError(f"{path}: refers to {weights}, which is not there")
    if _file_digest(weights) != description["weights_sha256"]:
        raise WeightsError(f"{path}: refers to {weights}, which has changed since; delete {path} and run again")
    return load_own(
        description["factory"], weights, image_size=description["image_size"], options=description["options"]
    )
