"""The eigenbasis of one trained model: checked against the disk, resumed where a run was cut off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluguq.devices import device_in_words
from sluguq.selection import read_rows, rows_of_role
from sluguq.slug.eigenbasis import eigenbasis
from sluguq.slug.lanczos_state import LanczosState, load_state, save_state
from sluguq.slug.network import parameter_count
from sluguq.slug.sketched import sketched_eigenbasis
from sluguq.stages.basis_store import scalars, write_basis, write_sketched_basis, write_summary
from sluguq.stages.keys import model_key
from sluguq.store import open_store
from sluguq.vae import reconstruction_function
from sluguq.weights import load_vae

_STATE = "lanczos.npz"
_LARGE = 2**31


def compute_basis(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    path: str | os.PathLike[str],
    summary_path: str | os.PathLike[str],
    *,
    configuration_name: str,
    seed: int,
    settings: Mapping[str, Any],
    parameters: str,
    checkpoint_folder: str | os.PathLike[str],
    configuration: str,
) -> None:
    """Compute and write one model's eigenbasis and its summary.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param weights: weights of the model.
    :param path: store to write.
    :param summary_path: JSON to write.
    :param configuration_name: name of the configuration.
    :param seed: the model's seed.
    :param settings: the section ``eigenbasis`` of the configuration.
    :param parameters: all or decoder.
    :param checkpoint_folder: where an interrupted run leaves its state; removed at the end.
    :param configuration: what the basis depends on, as YAML.
    :raises OSError: where the disk cannot hold the vectors.
    """
    store = open_store(images)
    rows = rows_of_role(store, split, f"train_{configuration_name}")
    # A repeated image counts as often in the sum over images as it is trained on.
    pixels = read_rows(store["pixels"], rows[: settings["max_images"]])
    apply, params = reconstruction_function(load_vae(Path(weights)), parameters=parameters)  # type: ignore[arg-type]
    key = model_key(configuration_name, seed, "eigenbasis")
    told = {"training_images": len(pixels), "parameters": parameters}
    if settings["method"] == "sketched":
        sketched = sketched_eigenbasis(
            apply,
            params,
            pixels,
            rank=settings["rank"],
            sketch_size=min(settings["sketch_size"], parameter_count(params)),
            batch_size=settings["batch_size"],
            key=key,
        )
        write_sketched_basis(sketched, path, attributes=told, configuration=configuration, device=device_in_words())
        write_summary(sketched, summary_path)
        return
    _check_disk(Path(path), settings["rank"], parameter_count(params), settings["dtype"])
    folder = Path(checkpoint_folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Large bases are computed in files: memory stays free, and a checkpoint names the vectors instead of copying them.
    large = bytes_of_basis(settings["rank"], parameter_count(params), "float32") > _LARGE
    basis = eigenbasis(
        apply,
        params,
        pixels,
        rank=settings["rank"],
        tolerance=settings["tolerance"],
        batch_size=settings["batch_size"],
        key=key,
        dtype=settings["dtype"],
        storage=folder / "vectors" if large else None,
        state=_resumed(folder / _STATE),
        on_block=lambda state: save_state(state, folder / _STATE),
    )
    write_basis(
        basis, path, attributes={**told, **scalars(basis)}, configuration=configuration, device=device_in_words()
    )
    write_summary(basis, summary_path)
    shutil.rmtree(folder, ignore_errors=True)


def bytes_of_basis(rank: int, parameters: int, dtype: str) -> int:
    """Bytes that stored vectors take before compression."""
    return rank * parameters * (2 if dtype == "bfloat16" else 4)


def _check_disk(path: Path, rank: int, parameters: int, dtype: str) -> None:
    needed = bytes_of_basis(rank, parameters, dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    print(f"{rank} vectors of {parameters:,} weights in {dtype}: {needed / 1e9:.2f} GB, {free / 1e9:.1f} GB free")
    if needed > free:
        raise OSError(
            f"{path} needs {needed / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB free: lower eigenbasis.rank, "
            "set eigenbasis.dtype to bfloat16, keep fewer (eigenbasis.keep), or make room"
        )


def _resumed(path: Path) -> LanczosState | None:
    """The state that an interrupted run left, None where there is none or it cannot be read."""
    try:
        return load_state(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        print(f"{path} is damaged ({error}): the eigenbasis starts afresh")
        return None
