"""A basis in one file: the safetensors format, written and read a row at a time.

The format is eight bytes, a header in JSON, and the arrays one after another, so that vectors larger than memory are
written row by row and read as a map of the file. bfloat16 stays bfloat16. Any reader of safetensors opens such files.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from sluguq.stores.files import whole_file

VERSION = 1  # of what the file holds; a reader refuses later ones

_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int8": "I8",
    "uint32": "U32",
    "uint8": "U8",
    "bool": "BOOL",
}
_DTYPES = {short: np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name) for name, short in _NAMES.items()}


class Saved(NamedTuple):
    """What a file holds.

    :ivar estimator: the name of the estimator that the basis belongs to.
    :ivar arrays: by name; those of two dimensions are maps of the file.
    :ivar scalars: numbers and texts by name.
    """

    estimator: str
    arrays: dict[str, Any]
    scalars: dict[str, Any]


def write_basis(path: str | os.PathLike[str], estimator: str, basis: Any) -> None:
    """Write a basis, whole or not at all.

    :param path: of the file; a name that ends in ``.safetensors`` tells others what it is.
    :param estimator: the name of the estimator that the basis belongs to.
    :param basis: a named tuple of arrays, numbers, texts, and further such tuples.
    :raises ValueError: for an array of a type that the format does not have.
    """
    fields = dict(_fields(basis))
    arrays = {name: value for name, value in fields.items() if getattr(value, "ndim", 0)}
    scalars = {name: _plain(value) for name, value in fields.items() if name not in arrays}
    # Longest first: what follows it then starts at a multiple of its own size.
    names = sorted(arrays, key=lambda name: -_bytes(arrays[name]))
    header: dict[str, Any] = {
        "__metadata__": {"sluguq": json.dumps({"version": VERSION, "estimator": estimator, "scalars": scalars})}
    }
    end = 0
    for name in names:
        start, end = end, end + _bytes(arrays[name])
        header[name] = {
            "dtype": _short(name, arrays[name]),
            "shape": list(arrays[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path) as partial, Path(partial).open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            for row in range(arrays[name].shape[0]) if arrays[name].ndim > 1 else (...,):
                file.write(np.ascontiguousarray(arrays[name][row]).tobytes())
        file.flush()
        os.fsync(file.fileno())


def read_basis(path: str | os.PathLike[str]) -> Saved:
    """Read what :func:`write_basis` wrote; the arrays of two dimensions stay on disk until they are used.

    :raises FileNotFoundError: where there is no such file.
    :raises ValueError: where it is no such file, is cut off, or was written by a later version of this package.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            if start > path.stat().st_size:
                raise ValueError("its header is cut off")
            header = json.loads(file.read(start - 8))
        description = json.loads(header.pop("__metadata__")["sluguq"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no basis that basis.save wrote ({error})") from error
    if description["version"] > VERSION:
        raise ValueError(
            f"{path} has version {description['version']} of the format, and this package reads up to {VERSION}: "
            "update sluguq"
        )
    end = start + max(entry["data_offsets"][1] for entry in header.values())
    if path.stat().st_size != end:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, but should have {end}: it was cut off in copying")
    arrays = {name: _mapped(path, start, entry) for name, entry in header.items()}
    return Saved(description["estimator"], arrays, description["scalars"])


def _mapped(path: Path, start: int, entry: Mapping[str, Any]) -> np.ndarray:
    offset, shape = start + entry["data_offsets"][0], tuple(entry["shape"])
    mapped = np.memmap(path, _DTYPES[entry["dtype"]], mode="r", offset=offset, shape=shape)
    return mapped if len(shape) > 1 else np.array(mapped)


def _fields(basis: Any) -> Iterator[tuple[str, Any]]:
    for name, value in basis._asdict().items():
        if hasattr(value, "_asdict"):
            yield from _fields(value)
        else:
            yield name, value


def _bytes(array: Any) -> int:
    return int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize


def _short(name: str, array: Any) -> str:
    try:
        return _NAMES[np.dtype(array.dtype).name]
    except KeyError:
        raise ValueError(f"{name} is {array.dtype}, which safetensors does not have") from None


def _plain(value: Any) -> Any:
    """A number or text as JSON has it."""
    return value.item() if hasattr(value, "item") else value
