"""What an experiment will take, from its configuration alone: jobs, operations, hours, disk and memory by stage.

Operations are arithmetic in the networks; what reads, decodes and draws is not counted. Costs are multiples of one
image's forward pass: a gradient is three, a probe two (and one for all probes of a block), a product with the GGN
matrix five: the pass that it is linearised at, two forward in tangents and two backward.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sluguq.config.experiment import Experiment
from sluguq.config.sources import Source, registry_name
from sluguq.datasets.registry import load_registry
from sluguq.slug.costs import PRODUCT
from sluguq.slug.room import room_of_basis, room_of_sketch
from sluguq.stages.arithmetic import forward_flop, perceptual_flop
from sluguq.stages.preflight import known_counts, weight_count

GRADIENT, PROBE = 3.0, 2.0
"""Forward passes of one image that a gradient and a probe are."""

PRODUCTS_PER_RANK = 1.75
"""Products of Lanczos by rank, as measured: 38 at rank 20, 87 at rank 50."""

_NORM_PROBES = 8  # for the norm of the Jacobian, beside those of the score
_SKETCHED_PROBES, _SKETCHED_PROBE = 500, 4.0  # of the papers' estimator: one backward pass and a sketch each

_SCORES = ((0.01, 237.0), (0.02, 132.0), (0.05, 60.0), (0.08, 40.0))
"""Relative standard error of scores, a root mean square over images, and the forward passes of an image that it takes:
what `sluguq.slug.accuracy` counts for the spectra of a small network's images, whose Jacobians were written down.
"""

_TOLERANCES = ((0.01, 359.0), (0.02, 234.0), (0.05, 213.0))
"""The same where the worst image has to be within a tolerance."""

_ACCURACIES = {"ranking": 0.08, "5 %": 0.05, "2 %": 0.02, "1 %": 0.01}

_UTILISATION = 0.35  # of its peak that a device sustains in convolutions
DEVICES: Mapping[str, Mapping[str, float]] = {
    "t4": {"float32": 8.1, "tf32": 8.1, "bfloat16": 8.1},
    "v100": {"float32": 15.7, "tf32": 15.7, "bfloat16": 15.7},
    "l4": {"float32": 30.3, "tf32": 60, "bfloat16": 121},
    "rtx4090": {"float32": 82.6, "tf32": 82.6, "bfloat16": 165},
    "a100": {"float32": 19.5, "tf32": 156, "bfloat16": 312},
    "h100": {"float32": 66.9, "tf32": 494, "bfloat16": 989},
    "h200": {"float32": 66.9, "tf32": 494, "bfloat16": 989},
}
"""Peaks in TFLOP/s by arithmetic, from the vendors' data sheets, without sparsity."""


@dataclass(frozen=True)
class Rates:
    """What a device sustains.

    :ivar device: its name.
    :ivar training: operations a second in gradients.
    :ivar uncertainty: operations a second in products and probes.
    :ivar measured: whether they were measured here, or are a share of what the vendor states.
    """

    device: str
    training: float
    uncertainty: float
    measured: bool = False


@dataclass(frozen=True)
class StageCost:
    """What one stage takes.

    :ivar stage: name of its rule.
    :ivar jobs: how many jobs.
    :ivar work: what they do, in words.
    :ivar pflop: 10^15 operations of all jobs.
    :ivar disk_gb: what stays on the disk, before compression.
    :ivar memory_mb: memory that a job asks for.
    :ivar hours: on the device, one job after another; None where no device was named or nothing is counted.
    """

    stage: str
    jobs: int
    work: str
    pflop: float = 0.0
    disk_gb: float = 0.0
    memory_mb: int = 2000
    hours: float | None = None


@dataclass(frozen=True)
class Cost:
    """What an experiment takes.

    :ivar experiment: its name.
    :ivar stages: by stage.
    :ivar notes: what the figures rest on.
    :ivar device: name of the device that hours are of, empty where none was named.
    """

    experiment: str
    stages: tuple[StageCost, ...]
    notes: tuple[str, ...]
    device: str = ""

    @property
    def training_pflop(self) -> float:
        """Operations of all trainings."""
        return sum(stage.pflop for stage in self.stages if stage.stage == "train")

    @property
    def uncertainty_pflop(self) -> float:
        """Operations of all eigenbases and scores; those of rivals, which nothing else needs, are left out."""
        return sum(stage.pflop for stage in self.stages if stage.stage in ("eigenbasis", "score"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        hours = [stage.hours for stage in self.stages if stage.hours is not None]
        return {
            "experiment": self.experiment,
            "device": self.device,
            "training_pflop": self.training_pflop,
            "uncertainty_pflop": self.uncertainty_pflop,
            "hours": sum(hours) if hours else None,
            "disk_gb": sum(stage.disk_gb for stage in self.stages),
            "jobs": sum(stage.jobs for stage in self.stages),
            "stages": [asdict(stage) for stage in self.stages],
            "notes": list(self.notes),
        }


def rates_of(device: str, precision: str) -> Rates:
    """What a device of :data:`DEVICES` sustains.

    :param device: its name there.
    :param precision: of training: float32, tf32 or bfloat16.
    :raises ValueError: where it is not known, with those that are.
    """
    if device not in DEVICES:
        raise ValueError(f"device {device!r} is not known: {', '.join(DEVICES)}, or 'this' to measure this one")
    peaks = {name: peak * 1e12 * _UTILISATION for name, peak in DEVICES[device].items()}
    return Rates(device, training=peaks[precision], uncertainty=peaks["float32"])


def cost_of(experiment: Experiment, rates: Rates | None = None) -> Cost:
    """What an experiment takes.

    :param experiment: the experiment.
    :param rates: of the device that hours are wanted of.
    """
    models = len(experiment.configurations) * len(experiment.seeds)
    own = experiment.model.network != "residual_vae"
    forward = 0.0 if own else forward_flop(experiment.model, experiment.images.size)
    counts = {name: _image_count(experiment.datasets[name]) for name in experiment.scored_datasets}
    unknown = [name for name, count in counts.items() if count is None]
    stages = [
        _acquired(experiment, counts),
        StageCost("split", len(experiment.seeds), "who is tested, who is trained on"),
        _training(experiment, models, forward, rates),
        _eigenbases(experiment, models, forward, rates),
        *_scores(experiment, models, forward, counts, rates),
        *_rivals(experiment, models, forward, rates),
        StageCost(
            "aggregate and figures",
            1 + 4 * len(counts),
            "stores along configuration and seed, figures, report",
            disk_gb=0.2,
            memory_mb=4000,
        ),
    ]
    notes = [
        f"one image's forward pass: {forward / 1e9:.2f} GFLOP",
        f"products of an eigenbasis: {_products(experiment)} ({PRODUCTS_PER_RANK:g} a rank, as measured)",
        f"an image's score: {score_passes(experiment):.0f} forward passes of test images, "
        f"{score_passes(experiment, external=True):.0f} of external ones",
    ]
    if own:
        notes[0] = f"operations and weights of the network {experiment.model.network} are not counted"
    if unknown:
        notes.append(f"how many images {', '.join(unknown)} has is known only once it is acquired: not counted")
    if rates is not None:
        origin = "measured here" if rates.measured else f"{_UTILISATION:.0%} of the peak that its vendor states"
        notes.append(
            f"hours on {rates.device}, one job after another: {rates.training / 1e12:.3g} TFLOP/s in training, "
            f"{rates.uncertainty / 1e12:.3g} in uncertainty ({origin})"
        )
    return Cost(experiment.experiment, tuple(stages), tuple(notes), "" if rates is None else rates.device)


def score_passes(experiment: Experiment, *, external: bool = False) -> float:
    """Forward passes that the score of one image takes, its reconstruction among them.

    :param experiment: the experiment.
    :param external: of an external data set.
    """
    score = experiment.score
    if experiment.eigenbasis.method == "sketched":
        return 1 + _SKETCHED_PROBE * (score.probes or _SKETCHED_PROBES)
    if score.probes is not None:
        return 2 + PROBE * (score.probes + _NORM_PROBES)
    if score.tolerance is not None:
        return passes_for(score.tolerance, _TOLERANCES)
    accuracy = getattr(score, "accuracy", None)
    if external:
        accuracy = getattr(score, "external_accuracy", None) or accuracy
    return passes_for(_ACCURACIES[accuracy or "2 %"])


def passes_for(accuracy: float, measured: tuple[tuple[float, float], ...] = _SCORES) -> float:
    """Forward passes for a relative standard error, between the measured ones on logarithmic scales.

    :param accuracy: relative standard error of a score, as a root mean square over images.
    :param measured: pairs of accuracy and forward passes, from the finest to the coarsest.
    """
    points = [(math.log(error), math.log(passes)) for error, passes in measured]
    x = math.log(accuracy)
    if x <= points[0][0]:  # more probes: the square of the accuracy
        return math.exp(points[0][1] + 2 * (points[0][0] - x))
    for (left, low), (right, high) in itertools.pairwise(points):
        if x <= right:
            return math.exp(low + (high - low) * (x - left) / (right - left))
    return measured[-1][1]


def _hours(pflop: float, rate: float | None) -> float | None:
    return None if rate is None else pflop * 1e15 / rate / 3600


def _acquired(experiment: Experiment, counts: Mapping[str, int | None]) -> StageCost:
    images = sum(count or 0 for count in counts.values())
    size = images * experiment.images.size**2 * 3 / 1e9
    return StageCost("acquire and prepare", 2 * len(counts), f"{images:,} images", disk_gb=size, memory_mb=4000)


def _training(experiment: Experiment, models: int, forward: float, rates: Rates | None) -> StageCost:
    training = experiment.training
    steps = training.epochs * (experiment.split.train_images // training.batch_size)
    passes = forward
    if training.perceptual_weight:
        passes += perceptual_flop(training.perceptual, experiment.images.size)
    if experiment.model.weights:
        steps = 0
    pflop = models * steps * training.batch_size * GRADIENT * passes / 1e15
    weights = _weights(experiment, "all")
    return StageCost(
        "train",
        models,
        f"{steps:,} steps of {training.batch_size} images each",
        pflop,
        disk_gb=models * weights * 4 / 1e9,
        memory_mb=experiment.resources.mem_mb,
        hours=_hours(pflop, rates.training if rates else None),
    )


def _weights(experiment: Experiment, parameters: str) -> int:
    """Number of weights; 0 where it is not known before the network is built."""
    counts = weight_count(experiment.model)
    return 0 if counts is None else counts[parameters]


def _products(experiment: Experiment) -> int:
    settings = experiment.eigenbasis
    if settings.method == "sketched":
        return 2 * settings.rank + 10
    return math.ceil(PRODUCTS_PER_RANK * settings.rank)


def _eigenbases(experiment: Experiment, models: int, forward: float, rates: Rates | None) -> StageCost:
    settings = experiment.eigenbasis
    images = min(experiment.split.train_images, settings.max_images or experiment.split.train_images)
    pflop = models * images * _products(experiment) * PRODUCT * forward / 1e15
    weights = _weights(experiment, experiment.score.parameters)
    if settings.method == "sketched":
        room = room_of_sketch(settings.rank, weights, min(weights, settings.sketch_size))
    else:
        room = room_of_basis(settings.rank, weights, dtype=settings.dtype)
    seeds = {"all": len(experiment.seeds), "first_seed": 1, "until_scored": 0}[settings.keep]
    return StageCost(
        "eigenbasis",
        models,
        f"{_products(experiment)} products of {images:,} images each",
        pflop,
        disk_gb=(len(experiment.configurations) * seeds * room.store + room.peak) / 1e9,
        memory_mb=experiment.resources.mem_mb,
        hours=_hours(pflop, rates.uncertainty if rates else None),
    )


def _scores(
    experiment: Experiment, models: int, forward: float, counts: Mapping[str, int | None], rates: Rates | None
) -> list[StageCost]:
    numbers = {name: count or 0 for name, count in counts.items()}
    numbers[experiment.training_dataset] = len(experiment.groups) * experiment.split.test_images
    artefacts = experiment.artefacts
    if artefacts.images:
        numbers["artefacts"] = len(experiment.groups) * artefacts.images * (1 + len(artefacts.kinds))
    stages = []
    for name, images in numbers.items():
        passes = score_passes(experiment, external=name in experiment.external_datasets)
        pflop = models * images * passes * forward / 1e15
        stages.append(
            StageCost(
                "score",
                models,
                f"{images:,} images of {name}",
                pflop,
                disk_gb=models * images * experiment.images.size**2 * 11 * experiment.has_maps(name) / 1e9,
                memory_mb=experiment.resources.mem_mb,
                hours=_hours(pflop, rates.uncertainty if rates else None),
            )
        )
    return stages


def _rivals(experiment: Experiment, models: int, forward: float, rates: Rates | None) -> list[StageCost]:
    """At most what the rivals take: each as much as SLUG of all weights, whose basis is made once more beside them."""
    rivals = len(experiment.score.rivals)
    if not rivals:
        return []
    count = len(experiment.groups) * experiment.split.test_images
    basis = _eigenbases(experiment, 1, forward, None).pflop
    score = count * score_passes(experiment) * forward / 1e15
    pflop = models * ((1 + rivals) * basis + rivals * score)
    return [
        StageCost(
            "rivals",
            models,
            f"at most: {rivals} of {count:,} images, and SLUG's own basis",
            pflop,
            memory_mb=experiment.resources.mem_mb,
            hours=_hours(pflop, rates.uncertainty if rates else None),
        )
    ]


def _image_count(options: Source) -> int | None:
    """Images that a data set is known to have, or the sample that is taken of them; None where it is not known."""
    counts = known_counts(options)
    count = None if counts is None else sum(counts.values())
    name = registry_name(options)
    if count is None and name is not None:
        number = load_registry()[name].states.get("images")
        count = None if number is None else int(number)
    sample = getattr(options, "sample", None)
    if sample is None:
        return count
    return sample.images if count is None else min(count, sample.images)


def table_of(cost: Cost) -> str:
    """The cost as a table in text.

    :param cost: of an experiment.
    """
    rows = [("stage", "jobs", "each", "PFLOP", "hours", "disk GB", "memory MB")]
    for stage in cost.stages:
        hours = "" if stage.hours is None else f"{stage.hours:,.2f}"
        pflop = f"{stage.pflop:,.4g}" if stage.pflop else ""
        rows.append(
            (stage.stage, str(stage.jobs), stage.work, pflop, hours, f"{stage.disk_gb:,.2f}", f"{stage.memory_mb:,}")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text_columns = (0, 2)
    lines = [
        "  ".join(
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    share = cost.uncertainty_pflop / cost.training_pflop if cost.training_pflop else math.nan
    total = f"training {cost.training_pflop:,.4g} PFLOP, uncertainty {cost.uncertainty_pflop:,.4g} PFLOP" + (
        f" ({share:.0%} of the training)" if cost.training_pflop else ""
    )
    return "\n".join([f"experiment {cost.experiment}: {total}", "", *lines, "", *cost.notes])
