"""The configuration of one experiment: every key, its default and what is allowed.

The JSON schema (`config/schema.json`) and the reference of all keys (`config/README.md`) are generated from
these models. Unknown keys are refused, so a mistyped key never passes silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sluguq.config.scale import Scale, SkinType
from sluguq.config.sources import FolderSource, Milk10kSource, Source
from sluguq.machine import extensions

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

RESERVED_DATASET_NAMES = frozenset(
    {"models", "splits", "scores", "eigenbases", "figures", "tables", "artefacts", "sensitivity"}
)
SIZES = (32, 256)


ARTEFACT_KINDS = ("ruler", "ink", "patch", "bubble")
ESTIMATORS = ("projected", "sketched")


def _known(name: str, names: Iterable[str]) -> str:
    if name not in (choices := list(names)):
        raise ValueError(f"{name!r} is none of {', '.join(choices)}, and no extension adds it")
    return name


def _artefact_kind(name: str) -> str:
    extensions.refuse_twice("kind of artefact", ARTEFACT_KINDS, extensions.ARTEFACTS)
    return _known(name, (*ARTEFACT_KINDS, *extensions.ARTEFACTS))


def _estimator(name: str) -> str:
    extensions.refuse_twice("estimator", ESTIMATORS, extensions.ESTIMATORS)
    return _known(name, (*ESTIMATORS, *extensions.ESTIMATORS))


def _checked_size(size: int) -> int:
    low, high = SIZES
    if not low <= size <= high:
        raise ValueError(f"image size {size} is outside {low} to {high} pixels")
    return size


class Section(BaseModel):
    """A section of the configuration: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Images(Section):
    """How photographs become network inputs."""

    size: int = Field(128, description="Height and width in pixels of the images the networks see.")
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop", description="How a photograph becomes a square: centre crop, padding, or stretching."
    )

    max_megapixels: Annotated[float, Field(gt=0)] = Field(
        90.0,
        description="Most megapixels decoded of one picture, and so a bound on memory; a JPEG of which an eighth is "
        "decoded may have eight times as many.",
    )

    @field_validator("size")
    @classmethod
    def _size(cls, size: int) -> int:
        return _checked_size(size)


class Split(Section):
    """Who is tested and who is trained on, per seed."""

    train_images: Positive = Field(1668, description="Training images of every configuration.")
    test_images: Positive = Field(512, description="Test images of every group.")
    replacement: bool = Field(
        False, description="Sample training images with replacement (fairness paper) or without (SLUG paper)."
    )
    shortage: Literal["error", "repeat", "fewer"] = Field(
        "error",
        description="Where a group has too few training images without replacement: stop, draw those that lack a "
        "second time, or train on fewer.",
    )
    deduplicate: bool = Field(
        True,
        description="Keep exact and near duplicates on one side of the split. false is the papers' protocol.",
    )
    blocks: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Part the people of the data set into so many blocks, the same for all seeds, and train seed n on "
        "block n modulo their number alone: seeds of different blocks share nobody that they train on, so that "
        "intervals hold for other people too, and not for this pool only. Each block must have training images enough.",
    )
    hold_out: tuple[Name, ...] = Field(
        (),
        description="External data sets whose images, where they are in the training data set too (by id or content), "
        "are neither trained on nor tested there.",
    )


class Model(Section):
    """The generative network: which one, its shape, or where trained ones lie."""

    network: str = Field(
        "residual_vae",
        min_length=1,
        description="Architecture: residual_vae (the papers'), attention_vae (group normalisation and one attention "
        "block), or `path/to/file.py:name` for one of your own (docs/your-own-network.md).",
    )
    weights: str | None = Field(
        None,
        min_length=1,
        description="Files of networks that are trained already, with `{configuration}` and `{seed}` in their name: "
        "nothing is trained. Left out, the workflow trains.",
    )
    options: dict[str, bool | int | float | str] = Field(
        {}, description="What a network of your own takes besides, by name."
    )
    width: Positive = Field(64, description="Channels after the first convolution; doubled at every down block.")
    depth: int = Field(4, ge=1, le=6, description="Number of down blocks; the image size is halved this often.")
    latent_channels: Positive = Field(64, description="Channels of the latent variable.")
    bottleneck_blocks: int = Field(
        1, ge=0, description="Residual blocks at the smallest size, in the encoder and in the decoder."
    )
    normalisation: Literal["batch", "group", "none"] = Field("batch", description="Normalisation of the blocks.")
    padding: Literal["zero", "reflect"] = Field(
        "zero",
        description="Padding of the 3x3 and 5x5 convolutions. Zero padding makes SLUG maps glow along the border.",
    )


class Perceptual(Section):
    """The network whose feature maps the perceptual loss compares."""

    network: Literal["vgg19", "squeezenet1_1"] = Field("vgg19", description="Architecture.")
    weights: Literal["imagenet", "random"] = Field(
        "imagenet",
        description="torchvision's ImageNet weights (downloaded once, verified), or seeded random ones.",
    )
    file: str | None = Field(
        None,
        description="A local file with the ImageNet weights (.pth or .npz), used in place of the download.",
    )
    normalisation: Literal["imagenet", "none"] = Field(
        "imagenet", description="Bring images to ImageNet's mean and deviation first, or use them as they are."
    )
    seed: int = Field(0, ge=0, description="Seed of random weights.")


class Training(Section):
    """How the network is trained."""

    epochs: Positive = Field(1000, description="Passes over the training images.")
    batch_size: Positive = Field(
        64,
        description="Images a step.",
    )
    last_batch: Literal["drop", "keep"] = Field(
        "drop",
        description="What is left of an epoch after its whole batches: not seen in it (every epoch has an order of its "
        "own, so these are other images each time), or a smaller step of its own, as in the published code.",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-4, description="Adam's learning rate, at the start.")
    schedule: Literal["constant", "cosine"] = Field("cosine", description="Learning-rate schedule.")
    mse_weight: Weight = Field(1.0, description="Weight of the mean squared error.")
    kl_weight: Weight = Field(1.0, description="Weight of the Kullback-Leibler term.")
    perceptual_weight: Weight = Field(1.0, description="Weight of the perceptual loss; 0 leaves it out.")
    perceptual: Perceptual = Field(default_factory=Perceptual, description="Network of the perceptual loss.")
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="Terms as means over their elements (the published code) or summed as the equations print."
    )
    gradient_clip: Annotated[float, Field(gt=0)] | None = Field(
        10.0, description="Largest norm of the gradient (10 in the published code); null for no limit."
    )
    flip: bool = Field(False, description="Random horizontal flips.")
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32", description="Arithmetic of the convolutions; weights and statistics stay float32."
    )
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Minutes between two checkpoints of the whole training state."
    )
    snapshots: int = Field(
        4, ge=0, description="Epochs, evenly spread, at which reconstructions are kept to see training converge."
    )
    samples: int = Field(
        64, ge=0, description="Images drawn from the prior of every trained model, to show and to measure the skin of."
    )


class Eigenbasis(Section):
    """The leading eigenvectors of the generalised Gauss-Newton matrix."""

    rank: Positive = Field(50, description="Number of eigenvectors k. `sensitivity.rank` also takes 0, no projection.")
    method: Annotated[str, AfterValidator(_estimator)] = Field(
        "projected", description="Stored eigenvectors, or the SLUG paper's sketch of them."
    )
    sketch_size: Positive = Field(
        100_000,
        description="Rows of the sketch, at least 2 * rank + 10, and the number of weights where that is less; only "
        "with method: sketched.",
    )
    accuracy: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        0.01,
        description="Stop when the training images' mean SLUG is within this share of its value for a converged "
        "basis, as residuals tell; null goes on until every eigenpair is within tolerance. Only for method: projected.",
    )
    tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-3, description="An eigenpair has converged when its residual is below this share of its eigenvalue."
    )
    batch_size: Positive = Field(32, description="Images a batch of the matrix product.")
    max_images: Positive | None = Field(
        None,
        description="Use only this many training images, drawn by seed, every skin type in its share. No shortcut: on "
        "synthetic images, 16 of 64 moved the ratio of SLUG between groups by 29 %, more than any accuracy does.",
    )
    dtype: Literal["bfloat16", "float32"] = Field("float32", description="Precision of the stored vectors.")
    keep: Literal["all", "first_seed", "until_scored"] = Field(
        "all",
        description="Which stored eigenbases outlive the scoring: all, those of the first seed (so that new images "
        "can still be scored), or none.",
    )


RivalName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RivalWeights = Annotated[float, Field(gt=0, lt=1)] | str | tuple[str, ...]
Accuracy = Literal["ranking", "5 %", "2 %", "1 %"]


class Score(Section):
    """SLUG of every test image."""

    accuracy: Accuracy | None = Field(
        None,
        description="How accurate scores are: their relative standard error, a root mean square over images, reached "
        "at the least cost that a pilot on a few images finds. `ranking` is 8 %: enough to order images. Left out, "
        "2 %; with method: sketched, 500 probes, as in the SLUG paper.",
    )
    external_accuracy: Accuracy | None = Field(
        None,
        description="The same for external data sets, whatever the test images get; left out, they are scored as those "
        "are.",
    )
    probes: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="A fixed number of random probes, at least 2, which takes the place of accuracy; no direction is "
        "then taken exactly.",
    )
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Add probes until every single image's relative standard error is below this, which takes the "
        "place of accuracy: dearer, as the worst image decides.",
    )
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32",
        description="Of the network's products while scoring. Projections, sums over pixels and probes are float32 in "
        "any case. bfloat16 changes scores by some 0.3 %, far less than probes do, and is faster on devices that have "
        "it; tf32 is of GPUs.",
    )
    batch_size: Positive | None = Field(None, description="Images a batch; chosen by the device when left out.")
    parameters: Literal["all", "decoder"] = Field(
        "all", description="Weights whose uncertainty is asked for: all of the network, or the decoder's alone."
    )
    prior_precision: Weight = Field(
        0.0, description="Prior precision of the low-rank Laplace covariance; 0 is the SLUG paper's score."
    )
    rivals: dict[RivalName, RivalWeights] = Field(
        default_factory=dict,
        description="Cheaper scores beside SLUG, on the test images: SLUG of some of the weights alone, by a name of "
        "yours. What it is of: a pattern of the weights' paths, or several (`decoder/conv_out/*`, `decoder/*`), or a "
        "share of all weights, drawn at random (0.1). Each has an eigenbasis of its own, and the signals say what it "
        "took in forward passes.",
    )
    maps: bool | tuple[str, ...] = Field(
        True,
        description="Store error map, SLUG map and reconstruction of every scored image: of all data sets, of none "
        "(`false`), or of those named in a list. Drawn artefacts have them where the training data set has.",
    )

    @field_validator("rivals")
    @classmethod
    def _names_are_free(cls, rivals: dict[str, RivalWeights]) -> dict[str, RivalWeights]:
        if "slug" in rivals:
            raise ValueError("'slug' is SLUG of all weights; call the rival otherwise")
        return rivals

    @model_validator(mode="after")
    def _one_stop_rule(self) -> Score:
        if self.probes is not None and self.tolerance is not None:
            raise ValueError("give either probes or tolerance, not both")
        return self

    def settings(self, *, external: bool = False, maps: bool = True) -> dict[str, Any]:
        """What scores of images depend on.

        :param external: whether they are of an external data set.
        :param maps: whether maps are stored.
        """
        settings = self.model_dump(mode="json", exclude={"external_accuracy", "rivals"}) | {"maps": maps}
        if self.probes is not None or self.tolerance is not None:
            settings["accuracy"] = None
        if external and self.external_accuracy is not None:
            settings |= {"accuracy": self.external_accuracy, "probes": None, "tolerance": None}
        return settings


class Artefacts(Section):
    """Artefacts drawn on test images of the training data set, to measure whether maps find them."""

    images: int = Field(32, ge=0, description="Test images of each group to draw on, per seed; 0 leaves this out.")
    kinds: tuple[Annotated[str, AfterValidator(_artefact_kind)], ...] = Field(
        ARTEFACT_KINDS,
        description="Artefacts to draw, each on every chosen image: ruler, ink, patch, bubble, or what an extension "
        "adds.",
    )


class Sensitivity(Section):
    """How the score depends on what was chosen for it: what the target `sensitivity` varies, one setting at a time."""

    rank: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        description="Ranks that the trained models' eigenbases are cut to; left out: 0 and halvings of "
        "`eigenbasis.rank`.",
    )
    probes: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (8, 32, 128), description="Numbers of probes, each set drawn independently of the score's own."
    )
    prior_precision: tuple[Weight, ...] = Field(
        (), description="Prior precisions; sensible ones are of the size of the eigenvalues."
    )
    training_images: tuple[Positive, ...] = Field(
        (), description="Training images of further models, below `split.train_images`; they are trained for this."
    )
    image_size: tuple[Annotated[int, AfterValidator(_checked_size)], ...] = Field(
        (), description="Image sizes of further models, in pixels; they are trained for this."
    )
    seeds: Positive = Field(1, description="Seeds, the first ones, whose models are varied.")
    images: Positive = Field(64, description="Test images of each group on which rank, probes and prior vary.")


class Analysis(Section):
    """How stores become tables, figures and verdicts."""

    replicates: Annotated[int, Field(ge=20)] = Field(
        1000,
        description="Bootstrap replicates behind every interval. With 1,000 the ends of an interval move by about 3 % "
        "of its width from one key of the random numbers to another, with 100 by about 10 %.",
    )


class Resources(Section):
    """What jobs may take; a cluster profile turns these into requests."""

    mem_mb: Positive = Field(8000, description="Memory in MB of jobs that run the networks.")
    runtime: Positive = Field(1440, description="Minutes that a training job may take.")
    score_parts: Positive = Field(
        1,
        description="Jobs that share the scoring of one data set by one model, for clusters with short queues; the "
        "scores do not depend on it. Choose before the first scoring: afterwards a change looks at all scores again.",
    )
    gpu: bool = Field(
        True,
        description="Networks run on NVIDIA GPUs, one per job: jobs ask for a card, and the conda environment has "
        "CUDA. false: they run on CPUs, even where there is a card.",
    )


def _seeds(seeds: object) -> object:
    """A number n stands for seeds 0 to n - 1."""
    if isinstance(seeds, bool) or not isinstance(seeds, int):
        return seeds
    if seeds < 1:
        raise ValueError("at least one seed is needed")
    return tuple(range(seeds))


class Experiment(Section):
    """One experiment: its outputs lie under results/<experiment>/."""

    experiment: Name = Field(description="Name of the experiment and of its folder under results/.")
    extensions: tuple[Path, ...] = Field(
        (),
        description="Python files that add figures, tables, claims, signals, kinds of artefacts or estimators of your "
        "own (docs/extending).",
    )
    datasets: dict[Name, Source] = Field(
        min_length=1, description="Data sets by name, each with its source and the source's own keys."
    )
    training_dataset: Name = Field(description="The data set that is trained and tested on.")
    external_datasets: tuple[Name, ...] = Field((), description="Data sets that every model is scored on besides.")
    groups: dict[Name, tuple[SkinType, ...]] = Field(
        {"light": (1, 2), "dark": (5, 6)},
        min_length=1,
        description="Groups: names of sets of skin types (FST).",
    )
    scale: Scale = Field(default_factory=Scale)
    configurations: dict[Name, dict[Name, Annotated[float, Field(gt=0, le=1)]]] = Field(
        {"A": {"light": 1.0}, "B": {"light": 0.5, "dark": 0.5}, "C": {"dark": 1.0}},
        min_length=1,
        description="Configurations: the share of each group in the training images.",
    )
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds, json_schema_input_type=int | list[int])
    ] = Field(
        tuple(range(10)),
        min_length=1,
        description="Independent repetitions: a number n for seeds 0 to n-1, or a list.",
    )
    images: Images = Field(default_factory=Images)
    split: Split = Field(default_factory=Split)
    model: Model = Field(default_factory=Model)
    training: Training = Field(default_factory=Training)
    eigenbasis: Eigenbasis = Field(default_factory=Eigenbasis)
    score: Score = Field(default_factory=Score)
    artefacts: Artefacts = Field(default_factory=Artefacts)
    sensitivity: Sensitivity = Field(default_factory=Sensitivity)
    analysis: Analysis = Field(default_factory=Analysis)
    resources: Resources = Field(default_factory=Resources)

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds {list(seeds)} are not distinct")
        return seeds

    @field_validator("groups")
    @classmethod
    def _disjoint_groups(cls, groups: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        owner: dict[int, str] = {}
        for group, types in groups.items():
            if not types:
                raise ValueError(f"group {group!r} names no skin type")
            for fst in types:
                if fst in owner:
                    raise ValueError(f"skin type {fst} is in {owner[fst]!r} and in {group!r}")
                owner[fst] = group
        return groups

    @field_validator("datasets")
    @classmethod
    def _free_names(cls, datasets: dict[str, Source]) -> dict[str, Source]:
        for name in datasets:
            if name in RESERVED_DATASET_NAMES:
                raise ValueError(f"a data set cannot be called {name!r}: results/<experiment>/ uses that name")
        return datasets

    @model_validator(mode="after")
    def _scale_holds(self) -> Experiment:
        levels = self.scale.levels
        beyond = [f"groups.{name} has {t}" for name, types in self.groups.items() for t in types if t > levels]
        beyond += [
            f"datasets.{name}.fst_levels is {options.fst_levels}"
            for name, options in self.datasets.items()
            if isinstance(options, FolderSource) and options.columns.fst and options.fst_levels > levels
        ]
        if beyond:
            raise ValueError(
                f"{beyond[0]}, but scale.levels is {levels}: name the scale, as in "
                "scale: {name: MST, title: Monk skin tone, levels: 10}"
            )
        return self

    @model_validator(mode="after")
    def _scale_is_of_the_data_set(self) -> Experiment:
        training = self.datasets.get(self.training_dataset)
        if isinstance(training, Milk10kSource) and self.scale.name == Scale().name:
            raise ValueError(
                f"datasets.{self.training_dataset} has classes of skin tone and no {self.scale.title}s: name the "
                "scale, as in scale: {name: MILK, title: MILK10k's class of skin tone, levels: 6}"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Experiment:
        for name in (self.training_dataset, *self.external_datasets):
            if name not in self.datasets:
                raise ValueError(f"data set {name!r} is not under datasets, which has {sorted(self.datasets)}")
        if len(set(self.scored_datasets)) != len(self.scored_datasets):
            raise ValueError("a data set is named twice among training_dataset and external_datasets")
        if self.datasets[self.training_dataset].sample is not None:
            raise ValueError(f"datasets.{self.training_dataset}.sample: only external data sets are sampled; see split")
        for name in self.split.hold_out:
            if name not in self.external_datasets:
                raise ValueError(
                    f"split.hold_out: {name!r} is none of external_datasets ({', '.join(self.external_datasets)})"
                )
        for name, mix in self.configurations.items():
            unknown = sorted(set(mix) - set(self.groups))
            if unknown:
                raise ValueError(f"configurations.{name} names {unknown}, but the groups are {sorted(self.groups)}")
            if abs(sum(mix.values()) - 1) > 1e-6:
                raise ValueError(f"the shares of configurations.{name} sum to {sum(mix.values()):g}, not to 1")
        return self

    @model_validator(mode="after")
    def _maps_are_of_data_sets(self) -> Experiment:
        for name in () if isinstance(self.score.maps, bool) else self.score.maps:
            if name not in self.scored_datasets:
                raise ValueError(
                    f"score.maps: {name!r} is none of the scored data sets ({', '.join(self.scored_datasets)})"
                )
        return self

    @model_validator(mode="after")
    def _network_fits(self) -> Experiment:
        # A network of one's own says itself which sizes it takes.
        smallest = 1 if ".py:" in self.model.network else 2**self.model.depth
        for key, size in (
            ("images.size", self.images.size),
            *(("sensitivity.image_size", size) for size in self.sensitivity.image_size),
        ):
            if size % smallest == 0 and size // smallest >= 2:
                continue
            raise ValueError(
                f"{key} {size} cannot be halved model.depth = {self.model.depth} times to at "
                f"least 2 pixels; take a multiple of {smallest} of at least {2 * smallest}, or a smaller depth"
            )
        if self.training.batch_size > self.split.train_images:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} exceeds split.train_images {self.split.train_images}"
            )
        return self

    @model_validator(mode="after")
    def _weights_fit(self) -> Experiment:
        pattern = self.model.weights
        if pattern is None:
            return self
        for key, count in (("configuration", len(self.configurations)), ("seed", len(self.seeds))):
            if count > 1 and f"{{{key}}}" not in pattern:
                raise ValueError(f"model.weights {pattern!r} is one file for {count} {key}s: put {{{key}}} into it")
        for setting in ("training_images", "image_size"):
            if getattr(self.sensitivity, setting):
                raise ValueError(f"sensitivity.{setting} needs networks trained for it, but model.weights trains none")
        return self

    @model_validator(mode="after")
    def _sketch_fits(self) -> Experiment:
        if self.eigenbasis.method == "sketched":
            for name in ("tolerance", "accuracy", "external_accuracy"):
                if getattr(self.score, name) is not None:
                    raise ValueError(f"score.{name} needs eigenbasis.method: projected; give score.probes instead")
            if self.score.prior_precision:
                raise ValueError("score.prior_precision needs eigenbasis.method: projected")
            if self.score.rivals:
                raise ValueError("score.rivals need eigenbasis.method: projected")
        return self

    @model_validator(mode="after")
    def _sensitivity_fits(self) -> Experiment:
        varied = self.sensitivity
        if self.eigenbasis.method == "sketched" and (varied.rank or varied.prior_precision):
            raise ValueError("sensitivity.rank and sensitivity.prior_precision need eigenbasis.method: projected")
        if varied.rank and max(varied.rank) > self.eigenbasis.rank:
            raise ValueError(
                f"sensitivity.rank {max(varied.rank)} exceeds eigenbasis.rank {self.eigenbasis.rank}, which is cut"
            )
        low, high = self.training.batch_size, self.split.train_images
        for count in varied.training_images:
            if not low <= count < high:
                raise ValueError(
                    f"sensitivity.training_images {count} is not from training.batch_size {low} to below "
                    f"split.train_images {high}"
                )
        if varied.seeds > len(self.seeds):
            raise ValueError(f"sensitivity.seeds {varied.seeds} exceeds the number of seeds {len(self.seeds)}")
        return self

    @property
    def varied_ranks(self) -> tuple[int, ...]:
        """Ranks to which eigenbases are cut: those asked for, else 0 and halvings of the experiment's."""
        if self.sensitivity.rank is not None:
            return tuple(rank for rank in self.sensitivity.rank if rank != self.eigenbasis.rank)
        if self.eigenbasis.method == "sketched":
            return ()
        whole = self.eigenbasis.rank
        return tuple(sorted({0, *(whole // 2**power for power in (1, 2, 3))} - {whole}))

    @property
    def scored_datasets(self) -> tuple[str, ...]:
        """Training data set first, then the external ones."""
        return (self.training_dataset, *self.external_datasets)

    def score_settings(self, dataset: str) -> dict[str, Any]:
        """What the scores of one data set depend on.

        :param dataset: a name of ``scored_datasets``, or that of the drawn artefacts, which are scored as the training
            data set is.
        """
        external = dataset in self.external_datasets
        return self.score.settings(external=external, maps=self.has_maps(dataset))

    def has_maps(self, dataset: str) -> bool:
        """Whether error map, SLUG map and reconstruction of the images of a data set are stored.

        :param dataset: as in :meth:`score_settings`.
        """
        if isinstance(self.score.maps, bool):
            return self.score.maps
        return (dataset if dataset in self.external_datasets else self.training_dataset) in self.score.maps

    def group_of(self, fst: int) -> str:
        """The group that a skin type belongs to, or an empty string.

        :param fst: the skin type.
        """
        return next((group for group, types in self.groups.items() if fst in types), "")
