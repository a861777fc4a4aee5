"""Results that are kept where what they come from has not changed, though a rule runs again.

Snakemake compares the times of what a rule reads, and removes its outputs before it runs. So a finished result has a
twin of hard links, hidden beside it, which takes no room: a job whose settings, code and inputs have the same content
puts it back in place of computing it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sluguq.stores.files import file_sha256
from sluguq.stores.manifest import StoreError, check_files, read_manifest
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import open_store

_ROWS = 4096  # images in memory at a time

PathLike = str | os.PathLike[str]


def content_of_images(images: PathLike, split: PathLike | None = None, roles: Iterable[str] = ("*",)) -> str:
    """SHA-256 of images: ids, skin types and pixels.

    :param images: prepared images.
    :param split: csv with the columns id and role; None for all images.
    :param roles: roles whose images count, in the split's order; ``test_*`` stands for all that begin so.
    """
    store = open_store(images)
    digest = hashlib.sha256()
    for role in roles:
        rows = np.arange(store.sizes["image"]) if split is None else rows_of_role(store, split, role)
        digest.update(f"{role}\0{len(rows)}\0{store['pixels'].shape[1:]}".encode())
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            pairs = zip(store["id"].values[block], store["fst"].values[block], strict=True)
            digest.update("\0".join(f"{name}\0{fst}" for name, fst in pairs).encode())
            digest.update(np.ascontiguousarray(read_rows(store["pixels"], block)).data)
    return digest.hexdigest()


def content_of_file(path: PathLike) -> str:
    """SHA-256 of a file, or of the values in a store (not of its attributes) by the checksums of its files.

    :param path: of the file or store.
    """
    path = Path(path)
    if not path.is_dir():
        return file_sha256(path)
    files: dict[str, object] = dict(read_manifest(path) or {})
    if not files:  # of an earlier version
        files = {file.relative_to(path).as_posix(): file_sha256(file) for file in path.rglob("*") if file.is_file()}
    values = {name: entry for name, entry in files.items() if not Path(name).name.startswith((".", "zarr.json"))}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def put_back(outputs: Sequence[PathLike], identity: str) -> bool:
    """Put outputs in place from their twins.

    :param outputs: files and stores that the job is to write.
    :param identity: of the settings, code and inputs.
    :returns: False where they have to be computed: there are no twins, they come from something else, or are damaged.
    """
    twins = _twins(outputs)
    try:
        record = json.loads((twins / "identity.json").read_text(encoding="utf-8"))
        if record["identity"] != identity or len(record["contents"]) != len(outputs):
            raise ValueError
        for number, content in enumerate(record["contents"]):
            twin = twins / str(number)
            if twin.is_dir():
                check_files(twin, read_manifest(twin) or {})
            if content_of_file(twin) != content:
                raise ValueError
    except (OSError, ValueError, KeyError, TypeError, StoreError):
        shutil.rmtree(twins, ignore_errors=True)
        return False
    for number, output in enumerate(map(Path, outputs)):
        _link(twins / str(number), output)
    print(
        f"nothing that this result depends on has changed: it stays as it is (to compute it again, delete {twins} and "
        "run again)"
    )
    return True


def keep(outputs: Sequence[PathLike], identity: str) -> None:
    """Give outputs twins, in place of those that are there; where the file system has no hard links, none.

    :param outputs: files and folders of one job, in the order of :func:`put_back`.
    :param identity: what they depend on, as a fingerprint.
    """
    twins = _twins(outputs)
    shutil.rmtree(twins, ignore_errors=True)
    try:
        twins.mkdir()
        for number, output in enumerate(map(Path, outputs)):
            _link(output, twins / str(number), hard=True)
        record = {"identity": identity, "contents": [content_of_file(output) for output in outputs]}
        (twins / "identity.json").write_text(json.dumps(record), encoding="utf-8")
    except OSError:
        shutil.rmtree(twins, ignore_errors=True)


def forget(outputs: Sequence[PathLike], identity: str) -> None:
    """Remove twins, whatever they are of.

    :param outputs: as for :func:`keep`.
    :param identity: as for :func:`keep`.
    """
    del identity  # called in place of `keep`
    shutil.rmtree(_twins(outputs), ignore_errors=True)


def _twins(outputs: Sequence[PathLike]) -> Path:
    first = Path(outputs[0])
    return first.with_name(f".{first.name}.twin")


def _link(source: Path, target: Path, *, hard: bool = False) -> None:
    """The same content under another name: by hard links, or, unless they are insisted on, by a copy."""

    def linked(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:
            if hard:
                raise
            shutil.copyfile(old, new)

    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        # What Snakemake puts into a folder to date it is of this folder alone.
        ignored = shutil.ignore_patterns(".snakemake_timestamp")
        shutil.copytree(source, target, copy_function=linked, ignore=ignored)
    else:
        target.unlink(missing_ok=True)
        linked(str(source), str(target))
