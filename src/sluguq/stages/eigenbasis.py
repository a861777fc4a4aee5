"""The eigenbasis of one trained model: checked against the disk, resumed where a run was cut off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sluguq.machine.devices import device_in_words
from sluguq.machine.disk import free_bytes, gigabytes, occupied_bytes
from sluguq.machine.jobs import abandon_others, fingerprint
from sluguq.machine.streams import stream
from sluguq.networks.network import reconstruction_function
from sluguq.networks.weights import load_network
from sluguq.slug.estimators import ESTIMATORS, BasisSettings
from sluguq.slug.lanczos_state import Checkpoint, LanczosState, load_state, save_state
from sluguq.slug.network import parameter_count
from sluguq.slug.room import BasisRoom
from sluguq.slug.rows import KEPT
from sluguq.stages.basis_store import write_basis_store, write_summary
from sluguq.stages.keys import ModelId
from sluguq.stages.settings import in_yaml, settings_from
from sluguq.stages.subset import balanced_subset
from sluguq.stages.unchanged import content_of_images, forget, keep, put_back
from sluguq.stores.files import remove_partials
from sluguq.stores.selection import read_rows, rows_of_role
from sluguq.stores.store import open_store

_STATE = "lanczos.npz"
_BLOCK = 10  # products between two states that copy the vectors; those that name them are made after each


def compute_or_put_back(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    path: str | os.PathLike[str],
    summary_path: str | os.PathLike[str],
    *,
    model_id: ModelId,
    settings: Mapping[str, Any],
    parameters: str,
    code: str,
    stays: bool,
) -> None:
    """Compute one model's eigenbasis, unless nothing that it depends on has changed since it was computed.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param weights: weights of the model.
    :param path: store to write.
    :param summary_path: JSON to write.
    :param model_id: which model.
    :param settings: the section ``eigenbasis`` of the configuration.
    :param parameters: all or decoder.
    :param code: fingerprint of the code that computes it.
    :param stays: whether it outlives the scoring; one that is removed then is to leave its room.
    :raises OSError: where the disk cannot hold the vectors.
    """
    recipe = {
        **model_id._asdict(),
        "eigenbasis": settings,
        "parameters": parameters,
    }
    identity = fingerprint({**recipe, "code": code}, [weights, split])
    key = fingerprint([identity, content_of_images(images, split, [f"train_{model_id.configuration}"])])
    if put_back([path, summary_path], key):
        return
    compute_basis(
        images,
        split,
        weights,
        path,
        summary_path,
        model_id=model_id,
        settings=settings,
        parameters=parameters,
        checkpoint_folder=Path(path).parent / f".{Path(path).stem}-{identity}",
        configuration=in_yaml(recipe),
    )
    (keep if stays else forget)([path, summary_path], key)


def compute_basis(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    path: str | os.PathLike[str],
    summary_path: str | os.PathLike[str],
    *,
    model_id: ModelId,
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
    :param model_id: which model.
    :param settings: the section ``eigenbasis`` of the configuration.
    :param parameters: all or decoder.
    :param checkpoint_folder: where an interrupted run leaves its state; removed at the end.
    :param configuration: what the basis depends on, as YAML.
    :raises OSError: where the disk cannot hold the vectors.
    """
    pixels = basis_images(open_store(images), split, model_id, settings["max_images"])
    network = load_network(Path(weights))
    apply, params = reconstruction_function(network, parameters=parameters)  # type: ignore[arg-type]
    key = model_id.key("eigenbasis")
    attributes = {"training_images": len(pixels), "parameters": parameters}
    folder = Path(checkpoint_folder)
    remove_partials(Path(path))
    abandon_others(folder)
    estimator, count = ESTIMATORS[settings["method"]], parameter_count(params)
    options = settings_from(BasisSettings, settings)
    files = estimator.in_files(options, count)
    _check_disk(Path(path), folder, estimator.room(options, count))
    folder.mkdir(parents=True, exist_ok=True)
    for remnant in (folder / "vectors").glob(KEPT):  # of a run that was killed before it was stored
        remnant.unlink()
    basis = estimator.basis(
        apply,
        params,
        pixels,
        options,
        key=key,
        storage=folder / "vectors" if files else None,
        checkpoint=Checkpoint(
            state=_resumed(folder / _STATE),
            on_block=lambda state: save_state(state, folder / _STATE),
            block=1 if files else _BLOCK,
        ),
    )
    write_basis_store(path, basis, attributes=attributes, configuration=configuration, device=device_in_words())
    write_summary(summary_path, basis)
    # Only now: whatever is killed before goes on from the last state of Lanczos.
    shutil.rmtree(folder, ignore_errors=True)


def basis_images(store: xr.Dataset, split: str | os.PathLike[str], model_id: ModelId, most: int | None) -> np.ndarray:
    """Pixels of the training images that the GGN matrix of a model is the sum over.

    A repeated image counts as often in the sum as it is trained on.

    :param store: prepared images of the training data set.
    :param split: the seed's split.
    :param most: how many at most, of every skin type its share; None for all.
    """
    rows = rows_of_role(store, split, f"train_{model_id.configuration}")
    if most is not None:
        kinds = store["fst"].values[rows]
        rows = rows[balanced_subset(kinds, most, stream(model_id.seed, f"eigenbasis {model_id.configuration}"))]
    return read_rows(store["pixels"], rows)


def _check_disk(path: Path, folder: Path, room: BasisRoom) -> None:
    """Refuse what the disk cannot hold; what an interrupted run left in `folder` is there already."""
    held = occupied_bytes(folder.rglob("*"))
    free = free_bytes(path.parent) + held
    print(
        f"the eigenbasis takes {gigabytes(room.store)} of disk, and {gigabytes(room.scratch + room.result)} more until "
        f"it is stored; there are {gigabytes(free)}" + (f", with {gigabytes(held)} of an earlier run's" if held else "")
    )
    if room.peak > free:
        raise OSError(
            f"{path} needs {gigabytes(room.peak)} while it is computed ({gigabytes(room.store)} in the end), but its "
            f"disk has {gigabytes(free)}: lower eigenbasis.rank, set eigenbasis.dtype to bfloat16, keep fewer "
            "(eigenbasis.keep), or make room"
        )


def _resumed(path: Path) -> LanczosState | None:
    """The state that an interrupted run left, None where there is none or it cannot be taken up."""
    if not path.exists():
        return None
    try:
        state = load_state(path)
    except Exception as error:  # a flipped bit in an archive can be anything
        print(f"{path} is damaged, or the vectors that it names are gone ({error}): the eigenbasis starts afresh")
        return None
    print(f"the eigenbasis goes on after {state.products} products")
    return state
