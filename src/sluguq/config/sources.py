"""Options of the data sources: one model a source, told apart by the key `source`.

Every model forbids unknown keys, so that a mistyped key is refused instead of ignored. Where a data set
comes from by default (addresses, licence, citation, counts) is in `sluguq/datasets/registry.yaml`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from sluguq.config.scale import MOST_LEVELS, FitzpatrickType, SkinType


class _Options(BaseModel):
    """Base of all source options: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def storable(label: str) -> str:
    """A label's name without slashes, which would make folders of a store's variable."""
    return label.replace("/", "_").replace("\\", "_")


def labels_stored_as_one(labels: Iterable[str]) -> tuple[str, str] | None:
    """The first two labels whose variables would be one file on some disk; None where all have their own.

    :param labels: names of labels, as tables have them.
    """
    first: dict[str, str] = {}
    for label in labels:
        name = unicodedata.normalize("NFC", storable(label)).casefold()
        if name in first:
            return first[name], label
        first[name] = label
    return None


class Columns(_Options):
    """Names of the columns of a table of images. A name that is null means: there is no such column."""

    file: str = Field("file", description="Path of the image, relative to the folder.")
    fst: str | None = Field("fst", description="Fitzpatrick skin type; null: no image is labelled.")
    id: str | None = Field(None, description="Unique name of the image; null: the file's path serves.")
    patient: str | None = Field(None, description="Images of one patient never part between splits.")
    lesion: str | None = Field(None, description="Images of one lesion never part between splits.")
    mask: str | None = Field(None, description="Path of the lesion mask, relative to the folder.")
    artefact_mask: str | None = Field(
        None,
        description="Path of a mask of artefacts (all that is not skin: rulers, ink, clothes, background), relative to "
        "the folder. Maps are held against it as against drawn artefacts.",
    )
    labels: tuple[str, ...] = Field((), description="Further columns to carry along.")

    @field_validator("labels")
    @classmethod
    def _stored_apart(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if twins := labels_stored_as_one(labels):
            raise ValueError(
                f"{twins[0]!r} and {twins[1]!r} would be stored under one name, as slashes become _ and some disks do "
                "not tell capitals: rename one of them in the table"
            )
        return labels


class Unpacking(_Options):
    """What an archive may unpack to; beyond it, it is taken for a decompression bomb."""

    ratio: float = Field(100.0, gt=0, description="Unpacked over packed size of an archive; black masks compress well.")
    gigabytes: float = Field(200.0, gt=0, description="Size of an archive, unpacked.")


Links = Annotated[
    tuple[Path, ...],
    Field(description="Folders outside of `folder` into which links within it may lead; other links are not followed."),
]


class Sample(_Options):
    """Some images of an external data set, the same for every network."""

    images: int = Field(ge=1, description="How many images are scored; all where there are no more.")
    by: str | None = Field(
        "label",
        description="Strata, each sampled by its share: label (every combination of labels with few values), fst, or "
        "the name of one label; null: a plain sample.",
    )
    seed: int = Field(0, ge=0, description="Seed of the draw.")


def _trimmed(value: Any) -> str:
    """A value of a table as text; cells are compared without the blanks around them."""
    return str(value).strip()


class _Source(_Options):
    """What every source takes."""

    sample: Sample | None = Field(
        None,
        description="Score only a stated sample of the images, where the data set is an external one; null: all.",
    )


class FolderSource(_Source):
    """A folder (or zip or tar file) of images and a table with one row per image: your own data."""

    source: Literal["folder"]
    folder: Path = Field(description="Folder, zip or tar file that holds the images.")
    table: Path = Field(
        Path("labels.csv"),
        description="The table: csv or tsv, also packed (.gz); .xlsx and .parquet with the extra `tables`. A relative "
        "path starts at the folder.",
    )
    separator: str | None = Field(None, min_length=1, description="What separates the columns; null: found.")
    encoding: str | None = Field(
        None, description="Encoding of the table; null: UTF-8, UTF-16 by its mark, else Windows' cp1252."
    )
    links: Links = ()
    unpacking: Unpacking = Field(default_factory=Unpacking)
    columns: Columns = Field(default_factory=Columns)
    fst_values: dict[Annotated[str, BeforeValidator(_trimmed)], Literal[-1] | SkinType] = Field(
        default_factory=dict,
        description="What the values of the FST column mean, where they are no numbers of the scale: a level, or -1.",
    )
    fst_levels: int = Field(
        6, ge=2, le=MOST_LEVELS, description="Levels of the scale in the FST column: 6 of Fitzpatrick's, 10 of Monk's."
    )
    fst: tuple[SkinType, ...] | None = Field(None, description="Take images of these FSTs only; null: all.")

    @model_validator(mode="after")
    def _levels_hold(self) -> FolderSource:
        for key, levels in (("fst_values", self.fst_values.values()), ("fst", self.fst or ())):
            beyond = max(levels, default=0)
            if beyond > self.fst_levels:
                raise ValueError(f"{key} has {beyond}, but fst_levels, the levels of the scale, is {self.fst_levels}")
        return self


class PhantomSource(_Source):
    """Synthetic skin photographs, drawn deterministically from a seed."""

    source: Literal["phantom"]
    counts: dict[FitzpatrickType, Annotated[int, Field(ge=0)]] = Field(description="Images of each FST.")
    seed: int = Field(0, ge=0)
    size: int = Field(256, ge=32, le=512, description="Side of the drawn photographs, in pixels.")
    artefacts: float = Field(
        0.0, ge=0, le=1, description="Share of photographs with a ruler, ink, a patch or gel bubbles drawn on them."
    )

    @field_validator("counts")
    @classmethod
    def _some_image(cls, counts: dict[int, int]) -> dict[int, int]:
        if sum(counts.values()) == 0:
            raise ValueError("asks for no image at all; give at least one FST a count above 0")
        return counts


class Downloads(_Options):
    """Manners and patience of downloading."""

    concurrency: int = Field(8, ge=1, le=64, description="Transfers at a time, over all hosts.")
    per_host: int = Field(2, ge=1, le=16, description="Transfers at a time from one host.")
    requests_per_second: float = Field(4.0, gt=0, description="Requests started a second at one host.")
    attempts: int = Field(5, ge=1, description="Tries of one address before it is given up.")
    first_wait: float = Field(1.0, ge=0, description="Seconds before the second try; doubled for each one after.")
    timeout: float = Field(30.0, gt=0, description="Seconds without a byte after which a transfer is cut.")
    slowest: int = Field(256, ge=0, description="Bytes a second, over the timeout, below which it is cut too.")
    longest_wait: float = Field(300.0, ge=0, description="Longest Retry-After obeyed, in seconds.")


class PublishedSource(_Source):
    """Options shared by the published data sets."""

    folder: Path | None = Field(None, description="Folder, zip or tar file with the data set, in place of a download.")
    accept_licence: bool = Field(False, description="You have read the data set's licence and accept it.")
    fst: tuple[FitzpatrickType, ...] | None = Field(None, description="Take images of these FSTs only; null: all.")
    links: Links = ()
    unpacking: Unpacking = Field(default_factory=Unpacking)
    downloads: Downloads = Field(default_factory=Downloads)


class Fitzpatrick17kSource(PublishedSource):
    """Fitzpatrick17k (Groh et al. 2021): clinical photographs of two atlases with FST labels."""

    source: Literal["fitzpatrick17k"]
    images: Literal["urls", "record"] = Field(
        "urls",
        description="urls: each image from its atlas; record: the zip of images published on Zenodo with "
        "Fitzpatrick17k-C. Ignored where `folder` is given.",
    )
    table: Path | None = Field(None, description="Local copy of fitzpatrick17k.csv; null: download it.")
    fst_column: Literal["fitzpatrick_scale", "fitzpatrick_centaur"] = Field(
        "fitzpatrick_scale", description="fitzpatrick_scale: Scale AI's labels (the papers); or Centaur Labs'."
    )
    exclude_quality: tuple[str, ...] = Field(
        (), description="Leave out rows whose `qc` begins with one of these, for example '3 Wrongly labelled'."
    )
    unlabelled: bool = Field(False, description="Acquire images without an FST too.")
    verify_md5: bool = Field(
        True, description="A downloaded image whose MD5 differs from its `md5hash` counts as missing."
    )


class Fitzpatrick17kCSource(Fitzpatrick17kSource):
    """Fitzpatrick17k-C (Abhishek et al.): Fitzpatrick17k without its duplicates and outliers."""

    source: Literal["fitzpatrick17k_c"]  # type: ignore[assignment]
    keep: Path | None = Field(
        None, description="Csv with the column md5hash: the images to keep; null: download the published list."
    )


class PassionSource(PublishedSource):
    """PASSION (Gottfrois et al. 2024): FST 3 to 6, Sub-Saharan Africa; by request, hence from a folder."""

    source: Literal["passion"]
    split: Literal["all", "train", "test"] = Field("all", description="Part of the official split.")
    split_table: Path | None = Field(
        None, description="PASSION_split.csv; null: the one in the folder, needed for train or test only."
    )


class IsicSource(PublishedSource):
    """ISIC challenge training images: dermoscopy, no FST."""

    source: Literal["isic"]
    edition: Literal[2017, 2018, 2019] = Field(
        2019, description="Year of the challenge: 2019 holds HAM10000, BCN20000 and ISIC 2017; 2018 tasks 1 and 2."
    )
    access: Literal["bulk", "archive"] = Field(
        "bulk",
        description="bulk: the challenge's zip file; archive: only the images named by `images`, one by one "
        "through the ISIC Archive's interface. Ignored where `folder` is given.",
    )
    images: Path | None = Field(None, description="Csv or text file of the image ids to take; null: all.")
    artefacts: Path | Literal["download"] | None = Field(
        None,
        description="Table of 0/1 artefact labels (Bissoto et al. 2020): a path, or `download`; null: none.",
    )
    masks: Path | Literal["download"] | None = Field(
        None,
        description="Lesion masks, <id>_segmentation.png: a folder, zip or tar file, or `download` (2017 and "
        "2018 only); null: those of the folder, if any.",
    )

    @model_validator(mode="after")
    def _possible(self) -> IsicSource:
        if self.fst is not None:
            raise ValueError("ISIC images have no skin type: leave fst out")
        if self.masks == "download" and self.edition == 2019:
            raise ValueError("ISIC 2019 has no published masks: give a path, or leave masks out")
        if self.access == "archive" and self.images is None and self.folder is None:
            raise ValueError("access: archive needs `images`, the list of images to ask for")
        return self


class PadUfes20Source(PublishedSource):
    """PAD-UFES-20 (Pacheco et al. 2020): smartphone photographs with FST, patients and lesions."""

    source: Literal["padufes20"]
    masks: Path | None = Field(
        None, description="Folder of lesion masks named as the images; null: lesion_masks in the folder."
    )


class DdiSource(PublishedSource):
    """DDI (Daneshjou et al. 2022): biopsied lesions in three bands of FST; by request, hence from a folder."""

    source: Literal["ddi"]


class ScinSource(PublishedSource):
    """SCIN (Ward et al. 2024): crowd-sourced photographs, several a case, openly downloadable."""

    source: Literal["scin"]
    fst_column: Literal["self_reported", "dermatologist"] = Field(
        "dermatologist",
        description="FST as the contributor reports it, or the median of the dermatologists' estimates.",
    )
    gradable_only: bool = Field(False, description="Leave out cases whose FST no dermatologist could grade.")

    @model_validator(mode="after")
    def _gradable_needs_estimates(self) -> ScinSource:
        if self.gradable_only and self.fst_column == "self_reported":
            raise ValueError("gradable_only speaks of the dermatologists' estimates: set fst_column: dermatologist")
        return self


class Milk10kSource(PublishedSource):
    """MILK10k (ISIC 2025): pairs of a clinical close-up and a dermoscopic image, with a class of skin tone.

    The class goes from 0 (very dark) to 5 (very light) and is no FST; 6 less the class stands in the place of one.
    """

    source: Literal["milk10k"]
    images: Literal["clinical", "dermoscopic", "both"] = Field(
        "clinical", description="Which image of each pair to take. Both images of a lesion stay together in splits."
    )


class OwnSource(_Source):
    """A data set that an adapter of your own acquires (docs/extending/data-set.md)."""

    source: Literal["own"]
    adapter: Path = Field(
        description="Python file with a function `collect(options, raw_folder)` that gives what was acquired and lost."
    )
    options: dict[str, Any] = Field({}, description="What the adapter takes.")


Source = Annotated[
    OwnSource
    | FolderSource
    | PhantomSource
    | Fitzpatrick17kSource
    | Fitzpatrick17kCSource
    | PassionSource
    | IsicSource
    | PadUfes20Source
    | DdiSource
    | ScinSource
    | Milk10kSource,
    Field(discriminator="source"),
]
"""Any source, told apart by its key `source`; for `pydantic.TypeAdapter` and as a field's type."""


def is_synthetic(options: Source) -> bool:
    """Whether a source's images are drawn rather than photographed.

    :param options: of a data set.
    """
    return isinstance(options, PhantomSource)


def registry_name(options: Source) -> str | None:
    """A source's name in the registry of published data sets; None for one that nobody published.

    :param options: of a data set.
    """
    if not isinstance(options, PublishedSource):
        return None
    return f"isic{options.edition}" if isinstance(options, IsicSource) else options.source
