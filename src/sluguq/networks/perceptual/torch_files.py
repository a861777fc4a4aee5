"""Reading PyTorch's weight files (`.pth`, `.pt`) without PyTorch.

Such a file holds a pickle, and a pickle may run any code when it is opened. The unpickler here knows ordered
dictionaries, tensors and their storages, and refuses everything else. Both forms are read: the zip archives
of PyTorch 1.6 and later, and the older stream of pickles, in which torchvision's VGG19 is published.
"""

import math
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sluguq.machine.errors import SluguqError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class WeightsFileError(SluguqError, ValueError):
    """A weights file that is damaged, is not what its name says, or holds something other than tensors."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor's values lie; they are read once the pickle is done, and only if wanted."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, values: np.ndarray) -> np.ndarray:
        if any(size < 0 for size in self.shape) or self.offset < 0 or any(step < 0 for step in self.strides):
            raise WeightsFileError("a tensor has a negative size, offset or stride")
        if math.prod(self.shape) == 0:
            return np.zeros(self.shape, values.dtype)
        last = self.offset + sum((s - 1) * step for s, step in zip(self.shape, self.strides, strict=True))
        if last >= values.size:
            raise WeightsFileError("a tensor reaches beyond its storage")
        steps = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Unpickler(pickle.Unpickler):
    """Builds ordered dictionaries of `_Tensor`, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "torch" and name in _STORAGES:
            return np.dtype(_STORAGES[name])
        raise WeightsFileError(f"holds {module}.{name}, which is no part of a file of weights: not opened")

    def persistent_load(self, identifier: Any) -> _Storage:
        kind, dtype, key, _location, size, *view = identifier
        if kind != "storage" or not isinstance(dtype, np.dtype) or any(part is not None for part in view):
            raise WeightsFileError("holds a storage of an unknown kind")
        return _Storage(str(key), dtype, int(size))


def verify_hash(path: str | Path, expected: str | None = None) -> str:
    """Check a file's SHA-256 and return it.

    :param path: the file.
    :param expected: the hash or its beginning, in hexadecimal; None takes it from the name, as torchvision writes
        it: ``vgg19-dcbb9e9d.pth`` begins with dcbb9e9d. A name without one is not checked.
    :raises WeightsFileError: where the hash differs.
    """
    path = Path(path)
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    if expected is None:
        match = re.search(r"-([0-9a-f]{8,64})(?=\.[a-z]+$)", path.name)
        expected = match.group(1) if match else ""
    if not digest.hexdigest().startswith(expected.lower()):
        raise WeightsFileError(
            f"{path}: its SHA-256 is {digest.hexdigest()}, expected one that begins with {expected}: "
            "the download is damaged or another file; delete it and fetch it again"
        )
    return digest.hexdigest()


def _load(file: Any, path: Path) -> Any:
    try:
        return _Unpickler(file).load()
    except WeightsFileError as error:
        raise WeightsFileError(f"{path}: {error}") from None
    except Exception as error:
        # A damaged pickle raises nearly anything.
        raise WeightsFileError(f"{path}: cannot be read ({error}): damaged, or no file of weights") from error


def _from_archive(archive: zipfile.ZipFile, path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    names = archive.namelist()
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise WeightsFileError(f"{path}: a zip archive without one data.pkl: not written by torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "byteorder" in names and archive.read(folder + "byteorder") != b"little":
        raise WeightsFileError(f"{path}: stored in big-endian order, which is not supported")
    with archive.open(pickles[0]) as file:
        content = _load(file, path)
    return content, lambda storage: archive.read(f"{folder}data/{storage.key}")


def _from_stream(file: BinaryIO, path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    if _load(file, path) != _LEGACY_MAGIC:
        raise WeightsFileError(f"{path}: not written by torch.save")
    _load(file, path)  # version of the protocol
    system = _load(file, path)
    if not (isinstance(system, dict) and system.get("little_endian", True)):
        raise WeightsFileError(f"{path}: stored in big-endian order, which is not supported")
    content = _load(file, path)
    sizes = {item.storage.key: item.storage for item in content.values()} if isinstance(content, dict) else {}
    places: dict[str, tuple[int, int]] = {}
    for key in _load(file, path):
        header = file.read(8)
        if key not in sizes or len(header) < 8:
            raise WeightsFileError(f"{path}: ends early, or holds a storage that no tensor uses")
        length = struct.unpack("<q", header)[0] * sizes[key].dtype.itemsize
        places[key] = (file.tell(), length)
        file.seek(length, 1)

    def read(storage: _Storage) -> bytes:
        start, length = places[storage.key]
        file.seek(start)
        return file.read(length)

    return content, read


def read_torch_weights(path: str | Path, *, only: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    """Read a state dictionary saved by ``torch.save``.

    :param path: a ``.pth`` or ``.pt`` file.
    :param only: which names to read; the others' values are not loaded.
    :returns: name to array, in PyTorch's own shapes (OIHW for convolutions).
    :raises WeightsFileError: naming the file, where it is damaged or holds anything but a dictionary of tensors.
    :raises FileNotFoundError: where there is none.
    """
    path = Path(path)
    with path.open("rb") as file:
        archive = zipfile.ZipFile(file) if zipfile.is_zipfile(file) else None
        file.seek(0)
        content, reader = _from_archive(archive, path) if archive else _from_stream(file, path)
        tensors: Collection[Any] = content.values() if isinstance(content, dict) else ()
        if not tensors or not all(isinstance(item, _Tensor) for item in tensors):
            raise WeightsFileError(f"{path}: holds no plain dictionary of tensors")
        arrays = {}
        for name, tensor in content.items():
            if not only(name):
                continue
            try:
                values = np.frombuffer(reader(tensor.storage), tensor.storage.dtype)
                arrays[name] = tensor.read(values)
            except (KeyError, ValueError, zipfile.BadZipFile) as error:
                raise WeightsFileError(f"{path}: {name}: {error}") from error
    return arrays
