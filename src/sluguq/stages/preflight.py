"""What can be refused before any job starts: groups too small, a rank beyond the weights, a disk that is too small.

Folders, tables, columns and files of weights are looked for too, and all that is wrong is told at once.
Only what is known without downloading, unpacking, decoding or importing the networks is looked at, so that planning
stays quick. What must wait for the data is checked again by the split.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from sluguq.config.experiment import Experiment, Model
from sluguq.config.loading import ConfigurationError
from sluguq.config.paths import acquired_images, weights_file
from sluguq.config.sources import FolderSource, PhantomSource, Source
from sluguq.datasets.base import AcquisitionError
from sluguq.datasets.preconditions import consents_wanted, lines, table_of_folder, unmet
from sluguq.datasets.skin_types import parse_fst
from sluguq.machine.disk import free_bytes, gigabytes, occupied_bytes
from sluguq.networks.registry import ARCHITECTURES, ArchitectureError, is_own, source_of
from sluguq.slug.room import iterations_of, room_of_basis, room_of_sketch

_WORTH_TELLING = 10**9  # bytes


def check_experiment(experiment: Experiment, *, inputs: bool = True) -> None:
    """Refuse an experiment that cannot succeed.

    :param experiment: the experiment.
    :param inputs: look for folders, tables and files too; jobs on other machines need not see them.
    :raises ConfigurationError: with one line for every reason: the key's path and what is allowed, or was found.
    """
    reasons = [*_network(experiment), *_rank(experiment), *_sketch(experiment), *_group_sizes(experiment)]
    if inputs:
        reasons += [*_inputs(experiment), *_trained(experiment)]
    if reasons:
        raise ConfigurationError("the experiment cannot succeed:\n" + "\n".join(f"  {reason}" for reason in reasons))


def consents_lacking(experiment: Experiment) -> str:
    """Licences to accept and data sets to ask for before the experiment can run, a line each; empty where none.

    :param experiment: the experiment.
    """
    entries = {
        name: consents_wanted(experiment.datasets[name], Path(acquired_images(name)).parent)
        for name in experiment.scored_datasets
    }
    words = lines(entries)
    return "before the experiment can run:\n" + "\n".join(f"  {line}" for line in words) if words else ""


def check_disk(
    experiment: Experiment, folder: str | os.PathLike[str], *, kept: int, removed: int, at_once: int = 1
) -> str:
    """Refuse to start where the disk cannot hold the eigenbases that are to be computed.

    :param experiment: the experiment.
    :param folder: where its results lie, or will.
    :param kept: how many eigenbases are to be computed and stay.
    :param removed: how many are to be computed and removed after scoring (`eigenbasis.keep`).
    :param at_once: how many may be computed side by side, each with its own scratch files.
    :returns: what they take, in words; empty where they take less than 1 GB.
    :raises ConfigurationError: with what they take and the keys to change.
    """
    settings, counts = experiment.eigenbasis, weight_count(experiment.model)
    if counts is None:
        return ""
    weights = counts[experiment.score.parameters]
    if settings.method == "sketched":
        room = room_of_sketch(settings.rank, weights, min(weights, settings.sketch_size))
    else:
        room = room_of_basis(settings.rank, weights, dtype=settings.dtype)
    # The last one to be computed finds all that are kept; itself it is among them, unless some are removed.
    together = min(at_once, kept + removed)
    need = kept * room.store + together * (room.scratch + room.result) + min(together, removed) * room.store
    # What interrupted runs left is taken up, or removed.
    remnants = [file for state in Path(folder).glob("eigenbases/*/.seed-*") for file in state.rglob("*")]
    free = free_bytes(folder) + occupied_bytes(remnants)
    words = (
        f"{kept + removed} eigenbases of {settings.rank} vectors of {weights:,} weights, {gigabytes(room.store)} each: "
        f"{gigabytes(kept * room.store)} stay for {kept} models (eigenbasis.keep: {settings.keep}), with "
        f"{gigabytes(need)} in use while {'one is' if together < 2 else f'{together} are'} computed"
        f"{'' if together < 2 else ' side by side'}; there are {gigabytes(free)}"
    )
    if need > free:
        raise ConfigurationError(
            f"the disk of {folder} cannot hold the eigenbases:\n  {words}.\n"
            "  Lower eigenbasis.rank, set eigenbasis.dtype to bfloat16, keep fewer (eigenbasis.keep), or make room"
        )
    return words if need >= _WORTH_TELLING else ""


def weight_count(model: Model, channels: int = 3) -> dict[str, int] | None:
    """Number of weights of the residual VAE and of its decoder, counted from its shape: keys all and decoder.

    None for other networks, whose weights are counted by the jobs that load them.

    :param model: the section ``model``.
    :param channels: colour channels of the images.
    """
    if model.network != "residual_vae":
        return None

    def convolution(size: int, inputs: int, outputs: int) -> int:
        return size * size * inputs * outputs + outputs

    def norm(width: int) -> int:
        return 0 if model.normalisation == "none" else 2 * width

    top = model.width * 2**model.depth
    bottleneck = norm(top) + convolution(3, top, top // 2) + norm(top // 2) + convolution(3, top // 2, top)
    encoder = convolution(3, channels, model.width) + 2 * convolution(1, top, model.latent_channels)
    decoder = convolution(5, model.width, channels) + convolution(1, model.latent_channels, top)
    encoder += model.bottleneck_blocks * bottleneck
    decoder += model.bottleneck_blocks * bottleneck
    for level in range(model.depth):
        narrow = model.width * 2**level
        wide = 2 * narrow
        encoder += norm(narrow) + convolution(3, narrow, narrow + wide) + norm(narrow) + convolution(3, narrow, wide)
        decoder += norm(wide) + convolution(3, wide, narrow + narrow) + norm(narrow) + convolution(3, narrow, narrow)
    return {"all": encoder + decoder, "decoder": decoder}


def _network(experiment: Experiment) -> list[str]:
    """A network that there is not, or settings that it does not have."""
    model = experiment.model
    try:
        source = source_of(model.network)
    except ArchitectureError as error:
        return [f"model.network: {error}"]
    if is_own(model.network) and not source.is_file():
        return [f"model.network: there is no file {source}"]
    keys = () if is_own(model.network) else ARCHITECTURES[model.network].keys
    names = {*(model.model_fields_set - {"network", "weights", "options"}), *model.options}
    if is_own(model.network):
        names -= set(model.options)
    hint = f"it takes {', '.join(keys)}" if keys else "give what it takes under model.options"
    return [f"model.{key}: {model.network} has no such setting; {hint}" for key in sorted(names - set(keys))]


def _trained(experiment: Experiment) -> list[str]:
    """Files of trained networks that are not there."""
    pattern = experiment.model.weights
    if pattern is None:
        return []
    files = [
        weights_file(pattern, configuration, seed) for configuration in experiment.configurations
        for seed in experiment.seeds
    ]  # fmt: skip
    missing = [file for file in dict.fromkeys(files) if not Path(file).is_file()]
    examples = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return [f"model.weights: {len(missing)} of {len(files)} files are not there: {examples}"] if missing else []


def _rank(experiment: Experiment) -> list[str]:
    rank, parameters = experiment.eigenbasis.rank, experiment.score.parameters
    counts = weight_count(experiment.model)
    if counts is None or rank <= counts[parameters]:
        return []
    weights = counts[parameters]
    return [f"eigenbasis.rank: {rank} exceeds the {weights:,} weights of the network (score.parameters: {parameters})"]


def _sketch(experiment: Experiment) -> list[str]:
    """A sketch must tell apart as many directions as Lanczos makes."""
    settings, counts = experiment.eigenbasis, weight_count(experiment.model)
    if counts is None:
        return []
    directions = iterations_of(settings.rank, counts[experiment.score.parameters])
    if settings.method != "sketched" or settings.sketch_size >= directions:
        return []
    return [
        f"eigenbasis.sketch_size: {settings.sketch_size} is too short for eigenbasis.rank {settings.rank}, which takes "
        f"{directions} steps of Lanczos: at least {directions}"
    ]


def _group_sizes(experiment: Experiment) -> list[str]:
    name = experiment.training_dataset
    counts = known_counts(experiment.datasets[name])
    if counts is None:
        return []
    split = experiment.split
    reasons = []
    for group, types in experiment.groups.items():
        there = sum(counts.get(fst, 0) for fst in types)
        share = max((mix.get(group, 0.0) for mix in experiment.configurations.values()), default=0.0)
        training = math.ceil(share * split.train_images - 1e-9)
        if split.replacement or split.shortage != "error":
            training = min(training, 1)
        need = split.test_images + training
        if there < need:
            noun = "image" if there == 1 else "images"
            reasons.append(
                f"datasets.{name}: group {group!r} (FST {', '.join(map(str, types))}) has {there} {noun}, but "
                f"split.test_images and split.train_images need {need} ({split.test_images} to test, {training} to "
                "train); lower them, widen the group under groups, or add images"
            )
    unread = _unread_types(experiment.datasets[name]) if reasons else ""
    return [*reasons, f"datasets.{name}: {unread}"] if unread else reasons


def known_counts(options: Source) -> Mapping[int, int] | None:
    """Images of each FST where the source tells without being acquired; None where it does not.

    A folder's counts are an upper bound: files that are missing or damaged come to light later.

    :param options: of the data set.
    """
    if isinstance(options, PhantomSource):
        return options.counts
    types = _types_of_folder(options)
    return None if types is None else types[0]


def _types_of_folder(options: Source) -> tuple[Counter[int], list[str]] | None:
    """Rows of each FST, and what is wrong with those that have none that can be read; None where it is not known."""
    if not isinstance(options, FolderSource) or not options.columns.fst:
        return None
    try:
        table = table_of_folder(options)
    except AcquisitionError:
        return None
    if table is None:
        return None
    counts: Counter[int] = Counter()
    faults = [f"row {line} of {table.path.name}: {reason}" for line, reason in table.refused]
    for number, row in enumerate(table.rows):
        try:
            counts[parse_fst(row[options.columns.fst], options.fst_values, options.fst_levels)] += 1
        except ValueError as error:
            faults.append(f"{table.place(number)}: {error}")
    return counts, faults


def _unread_types(options: Source) -> str:
    """How many rows of a folder's table have no skin type that can be read, and the first; empty where all have."""
    types = _types_of_folder(options)
    if not types or not types[1]:
        return ""
    return f"{len(types[1])} rows of its table have no skin type that can be read, the first: {types[1][0]}"


def _inputs(experiment: Experiment) -> list[str]:
    """What the experiment reads and cannot: folders, tables, columns, files of weights."""
    reasons = lines({name: unmet(experiment.datasets[name]) for name in experiment.scored_datasets})
    training = experiment.training
    file = training.perceptual.file
    needs_file = (
        training.perceptual.weights == "imagenet" and training.perceptual_weight and not experiment.model.weights
    )
    if file and needs_file and not Path(file).is_file():
        reasons.append(
            f"training.perceptual.file: there is no file {file}; leave it out to download the weights, or set "
            "training.perceptual_weight to 0 to do without"
        )
    return reasons
