"""What a run offers to the claims: who is light and dark, which configuration is which, arrays by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import (
    FITZPATRICK,
    blocks_of,
    clusters_of,
    groups_of,
    has_errors,
    label_values,
    mixes_of,
    scale_of,
)
from sluguq.analysis.drawn_artefacts import artefact_clusters, pixel_scores, region_means
from sluguq.analysis.estimates import Estimate, Transform, over_seeds
from sluguq.analysis.labelled_images import map_summaries
from sluguq.analysis.pictures import MEASURES, picture_measures, variability_estimates
from sluguq.analysis.statistics import auroc
from sluguq.analysis.tables import REPLICATES
from sluguq.datasets.units import identities
from sluguq.machine.errors import SluguqError

IN_POOL = "for this pool"
"""All seeds draw their training images from one pool, and what they have in common by that is in no interval."""

BEYOND_POOL = "beyond this pool"
"""Seeds are trained on disjoint blocks of the pool, so that intervals hold what other people would change."""


_LACKING = {"lesion": "has a mask of its lesion", "bare": "was also scored without it"}
"""What an image lacks where a measure of it is not known, by a part of the measure's name."""


class NotInRun(SluguqError, LookupError):
    """The run lacks what a claim is about; the message says what."""


class Run:
    """The opened stores of one experiment, by role.

    datasets: aggregated stores by name, each with the attribute `role`: one `training`, any number
    `external`, and at most one with drawn artefacts (it has `clean_image`).
    labels: the label table of the training data set with columns fst and state, or None. replicates: of the
    bootstrap. models: the store of models, or None.
    """

    def __init__(
        self,
        datasets: Mapping[str, xr.Dataset],
        labels: pd.DataFrame | None = None,
        replicates: int = REPLICATES,
        models: xr.Dataset | None = None,
    ) -> None:
        self.labels = labels
        self.replicates = replicates
        self._models = models
        self._objects = next((d for d in datasets.values() if "clean_image" in d), None)
        self.photographs = {name: d for name, d in datasets.items() if "clean_image" not in d}
        self._training = next((d for d in self.photographs.values() if d.attrs.get("role") == "training"), None)
        self.external = {name: d for name, d in self.photographs.items() if d.attrs.get("role") == "external"}
        self._clusters: dict[int, np.ndarray] = {}
        self._summaries: dict[str, pd.DataFrame] = {}
        self._values: dict[tuple[int, str], np.ndarray] = {}

    @property
    def training(self) -> xr.Dataset:
        """The training data set's store."""
        if self._training is None:
            raise NotInRun("no store has the role training")
        return self._training

    @cached_property
    def blocks(self) -> np.ndarray | None:
        """(seed,) the block of the pool that each seed was trained on; None where all share one pool."""
        return blocks_of(self._training) if self._training is not None else None

    @property
    def scope(self) -> str:
        """For whom verdicts on trainings hold: `this pool`, or `other people too` where the design can tell."""
        return IN_POOL if self.blocks is None or len(set(self.blocks.tolist())) < 2 else BEYOND_POOL

    @property
    def configuration(self) -> str:
        """The resolved configuration that the stores carry; empty where they carry none."""
        return str(self._training.attrs.get("configuration", "")) if self._training is not None else ""

    @property
    def scale(self) -> str:
        """Short name of the scale of skin types."""
        return (scale_of(self._training) if self._training is not None else FITZPATRICK).name

    @property
    def artefacts(self) -> xr.Dataset:
        """The store of images with drawn artefacts."""
        if self._objects is None:
            raise NotInRun("no images with drawn artefacts were scored")
        for name in ("slug_map", "error_map"):
            if name not in self._objects:
                raise NotInRun(f"the scores of images with drawn artefacts have no {name}")
        return self._objects

    @property
    def models(self) -> xr.Dataset:
        """The store of models."""
        if self._models is None:
            raise NotInRun("no store of models was given")
        return self._models

    @cached_property
    def light(self) -> str:
        """The lightest group."""
        return self._outer(0)

    @cached_property
    def dark(self) -> str:
        """The darkest group."""
        return self._outer(-1)

    def _outer(self, place: int) -> str:
        groups = list(groups_of(self.training))
        if len(groups) < 2:
            raise NotInRun("the experiment has fewer than two groups")
        return groups[place]

    @property
    def configurations(self) -> list[str]:
        """All configurations in order."""
        return [str(c) for c in self.training["configuration"].values]

    @cached_property
    def light_only(self) -> str:
        """The configuration trained on the lightest group alone (A in the papers)."""
        return self._mixed_as({self.light: 1.0}, f"trained on {self.light} only")

    @cached_property
    def dark_only(self) -> str:
        """The configuration trained on the darkest group alone (C in the papers)."""
        return self._mixed_as({self.dark: 1.0}, f"trained on {self.dark} only")

    @cached_property
    def both(self) -> str:
        """The configuration trained on both in equal parts (B in the papers)."""
        return self._mixed_as({self.light: 0.5, self.dark: 0.5}, f"trained on half {self.light}, half {self.dark}")

    def _mixed_as(self, wanted: Mapping[str, float], words: str) -> str:
        mixes = mixes_of(self.training)
        for name in self.configurations:
            mix = mixes.get(name, {})
            if all(abs(mix.get(g, 0.0) - wanted.get(g, 0.0)) < 1e-6 for g in {*mix, *wanted}):
                return name
        raise NotInRun(f"no configuration is {words}")

    def estimate(
        self,
        statistic: Callable[..., np.ndarray],
        columns: Mapping[str, tuple[str, str]],
        *,
        dataset: xr.Dataset | None = None,
        group: str | None = None,
        by_group: bool = False,
        along: Sequence[int] = (),
        skin_type: int | None = None,
        transform: Transform = "identity",
    ) -> Estimate:
        """A statistic of images, averaged over seeds, with its interval.

        :param columns: the statistic's arguments, each a (variable, configuration).
        :param group: of this group's images alone.
        :param by_group: of the lightest and darkest group, with an argument ``group``, true in the darkest.
        :param along: of images of these skin types, with an argument ``fst``.
        :param skin_type: of images of this skin type alone.
        :raises NotInRun: where no image is left.
        """
        store = self.training if dataset is None else dataset
        names = store["group"].values.astype(str)
        types = store["fst"].values
        keep = np.ones(store.sizes["image"], bool)
        if group is not None:
            keep &= names == group
        if by_group:
            keep &= np.isin(names, (self.light, self.dark))
        if along:
            keep &= np.isin(types, along)
        if skin_type is not None:
            keep &= types == skin_type
        order = [str(c) for c in store["configuration"].values]
        values = {}
        for argument, (variable, configuration) in columns.items():
            if configuration not in order:
                raise NotInRun(f"{store.attrs.get('dataset')} has no scores of configuration {configuration}")
            values[argument] = self._load(store, variable)[order.index(configuration)]
        seeds, clusters, places = [], [], []
        used = np.zeros_like(keep)
        known = np.all([np.isfinite(v) for v in values.values()], axis=0)
        lost = self._lost(store, known, keep)
        for s in range(store.sizes["seed"]):
            chosen = keep & known[s]
            if not chosen.any():
                continue
            used |= chosen
            places.append(s)
            part: dict[str, Any] = {name: v[s][chosen].astype(float) for name, v in values.items()}
            if by_group:
                part["group"] = names[chosen] == self.dark
            if along:
                part["fst"] = types[chosen].astype(float)
            seeds.append(part)
            clusters.append(self._cluster(store)[chosen])
        if not seeds:
            asked = ", ".join(dict.fromkeys(configuration for _, configuration in columns.values()))
            raise self._nothing(store, lost, asked, f"no image of {store.attrs.get('dataset')} is of this kind")
        blocks = None if self.blocks is None else [int(self.blocks[s]) for s in places]
        estimate = over_seeds(
            statistic, seeds, clusters, transform=transform, replicates=self.replicates, blocks=blocks
        )
        estimate = _less(estimate, lost, store)._replace(tested=store is self.training)
        return estimate._replace(distinct=int(used.sum()), patients=_people(store, used))

    def _tested(self, store: xr.Dataset) -> np.ndarray:
        """(seed, image) whether a seed's models were to score an image: as the store says, else by the errors.

        An image that one configuration of a seed has an error of was scored by all of them. All of an external data
        set is scored by every seed, also by one whose models all diverged.
        """
        if "tested" in store.coords:
            return store["tested"].transpose("seed", "image").values
        scored = np.isfinite(self._load(store, "mse")).any(axis=0)
        return np.broadcast_to(scored.any(axis=0), scored.shape) if store.attrs.get("role") == "external" else scored

    def _lost(self, store: xr.Dataset, known: np.ndarray, keep: np.ndarray | bool = True) -> int:
        """In how many seeds a value is not known of an image that was to be scored: a model diverged there.

        :param known: (seed, image) whether it is.
        :param keep: (image,) the images asked about.
        """
        tested = self._tested(store)
        return int(((tested & keep & ~known).any(axis=1) | ~tested.any(axis=1)).sum())

    def _unscored(self, store: xr.Dataset, *configurations: str) -> int:
        """In how many seeds one of these configurations has no error or SLUG of an image that was to be scored.

        :raises NotInRun: none was to be scored by one of them.
        """
        order = [str(c) for c in store["configuration"].values]
        missing = [name for name in configurations if name not in order]
        if missing:
            raise NotInRun(f"{store.attrs.get('dataset')} has no scores of configuration {', '.join(missing)}")
        places = [order.index(name) for name in configurations]
        known = [np.isfinite(self._load(store, name)[places]).all(axis=0) for name in ("mse", "slug")]
        return self._lost(store, np.logical_and(*known))

    @staticmethod
    def _nothing(store: xr.Dataset, lost: int, configurations: str, otherwise: str) -> NotInRun:
        """Why nothing is left to estimate from: no seed has errors, or the run has no such image."""
        if lost < store.sizes["seed"]:
            return NotInRun(otherwise)
        name = store.attrs.get("dataset")
        return NotInRun(f"{name} has no errors of {configurations} in any seed: training diverged")

    def image_estimate(self, statistic: Callable[..., np.ndarray], variable: str) -> Estimate:
        """A statistic of a variable of the test images themselves, each once; its interval is over patients alone.

        The statistic's arguments are ``x`` and ``group``, true in the darkest; images of other groups are left out.

        :raises NotInRun: the store lacks the variable.
        """
        store = self.training
        if variable not in store:
            raise NotInRun(f"{store.attrs.get('dataset')} has no {variable}")
        names, values = store["group"].values.astype(str), store[variable].values.astype(float)
        keep = np.isin(names, (self.light, self.dark)) & np.isfinite(values)
        if not keep.any():
            raise NotInRun(f"no image of {store.attrs.get('dataset')} is of this kind")
        columns = {"x": values[keep], "group": names[keep] == self.dark}
        estimate = over_seeds(statistic, [columns], [self._cluster(store)[keep]], replicates=self.replicates)
        return estimate._replace(seeds=0, distinct=int(keep.sum()), patients=_people(store, keep))

    def skin_types(self, store: xr.Dataset, patients: int) -> list[int]:
        """The skin types of which a store has images of at least so many patients, from light to dark."""
        types, clusters = store["fst"].values, self._cluster(store)
        return [int(t) for t in np.unique(types[types >= 1]) if len(set(clusters[types == t])) >= patients]

    def _load(self, store: xr.Dataset, variable: str) -> np.ndarray:
        key = (id(store), variable)
        if key not in self._values:
            if variable not in store:
                raise NotInRun(f"{store.attrs.get('dataset')} has no {variable}")
            self._values[key] = store[variable].transpose("configuration", "seed", "image").values
        return self._values[key]

    def _cluster(self, store: xr.Dataset) -> np.ndarray:
        if id(store) not in self._clusters:
            self._clusters[id(store)] = clusters_of(store)
        return self._clusters[id(store)]

    @cached_property
    def pixels(self) -> pd.DataFrame:
        """How well each map finds the drawn artefacts under `for_artefacts`, an image a row.

        See :func:`sluguq.analysis.drawn_artefacts.pixel_scores`.
        """
        return pixel_scores(self.artefacts, ("slug_map", "error_map", "slug_bare"), self.for_artefacts)

    @cached_property
    def for_artefacts(self) -> str:
        """The configuration of which claims on maps are asked: B where the run has it, else the first."""
        try:
            return self.both
        except NotInRun:
            return self.configurations[0]

    def tells_labels(self, labels: Sequence[str], which: str, summary: str) -> list[tuple[str, str, Estimate]]:
        """How well a summary of a map tells photographs that carry a label from those that do not: AUROC.

        Under ``for_artefacts``, for every data set with maps and every one of the labels that says yes of some of its
        images and no of others, as (data set, label, estimate).

        :param labels: names of labels, 1 where a photograph carries it and 0 where it does not.
        :param which: ``slug_map`` or ``error_map``.
        :param summary: of :data:`sluguq.analysis.labelled_images.SUMMARIES`.
        :raises NotInRun: there are such labels, but every training diverged.
        """
        found, diverged = [], []
        for name, store in self.photographs.items():
            order = [str(c) for c in store["configuration"].values]
            if not {"slug_map", "error_map"} <= set(store.data_vars) or self.for_artefacts not in order:
                continue
            carried = {label: _yes_or_no(store, f"label_{label}") for label in labels if f"label_{label}" in store}
            carried = {label: values for label, values in carried.items() if {0.0, 1.0} <= set(values)}
            if not carried:
                continue
            if not has_errors(store.isel(configuration=order.index(self.for_artefacts))):
                diverged.append(store)
            if name not in self._summaries:
                place = order.index(self.for_artefacts)
                known = xr.DataArray(np.any([np.isfinite(v) for v in carried.values()], axis=0), dims="image")
                part = store.isel(configuration=slice(place, place + 1))
                self._summaries[name] = map_summaries(part.assign(mse=part["mse"].where(known)))
            table = self._summaries[name]
            table = table[(table["map"] == which) & np.isfinite(table[summary])]
            for label, values in carried.items():
                rows = table[np.isfinite(values[table["image"]])]
                if len(rows):
                    found.append((name, label, self._tells(store, rows, summary, values)))
        if diverged and not found:
            raise self._nothing(diverged[0], diverged[0].sizes["seed"], self.for_artefacts, "")
        return found

    def _tells(self, store: xr.Dataset, table: pd.DataFrame, summary: str, carried: np.ndarray) -> Estimate:
        parts = [part for _, part in table.groupby("seed")]
        seeds = [{"x": part[summary].to_numpy(float), "group": carried[part["image"]] == 1} for part in parts]
        clusters = [self._cluster(store)[part["image"]] for part in parts]
        used = np.unique(table["image"])
        blocks = None if self.blocks is None else [self._block(part) for part in parts]
        estimate = over_seeds(auroc, seeds, clusters, transform="share", replicates=self.replicates, blocks=blocks)
        estimate = _less(estimate, self._unscored(store, self.for_artefacts), store)
        own = store.attrs.get("role") == "training"
        return estimate._replace(distinct=len(used), patients=_people(store, used), tested=own)

    def _block(self, part: pd.DataFrame) -> int:
        """The block of the one seed that these rows are of."""
        assert self.blocks is not None
        return int(self.blocks[list(self.training["seed"].values).index(part["seed"].iloc[0])])

    @cached_property
    def pictures(self) -> pd.DataFrame:
        """What photographs and reconstructions of the training data set look like, an image and model a row."""
        frame = picture_measures(self.training)
        if frame.empty:
            lost = 0 if has_errors(self.training) else self.training.sizes["seed"]
            otherwise = f"{self.training.attrs.get('dataset')} has no reconstructions or no maps"
            raise self._nothing(self.training, lost, ", ".join(self.configurations), otherwise)
        return frame

    def picture_estimate(
        self, statistic: Callable[..., np.ndarray], frame: pd.DataFrame, of: Sequence[str], **columns: str
    ) -> Estimate:
        """As `estimate`, for rows of `pictures` and the columns that the statistic's arguments are called.

        :param of: the configurations whose reconstructions the rows are about.
        :raises NotInRun: no row has all columns.
        """
        lost = self._unscored(self.training, *of)
        chosen = frame.dropna(subset=[name for name in columns.values() if name != "inside"])
        if chosen.empty:
            measures = " and ".join(dict.fromkeys(MEASURES[c] for c in columns.values() if c in MEASURES))
            asked = f"{self.training.attrs.get('dataset')} has no image with {measures}"
            raise self._nothing(self.training, lost, ", ".join(of), asked)
        parts = [part for _, part in chosen.groupby("seed")]
        given = [{a: part[c].to_numpy(bool if c == "inside" else float) for a, c in columns.items()} for part in parts]
        clusters = [part["cluster"].to_numpy() for part in parts]
        blocks = None if self.blocks is None else [self._block(part) for part in parts]
        estimate = over_seeds(statistic, given, clusters, replicates=self.replicates, blocks=blocks)
        used = np.unique(chosen["image"])
        estimate = _less(estimate, max(lost, self.training.sizes["seed"] - len(parts)), self.training)
        return estimate._replace(distinct=len(used), patients=_people(self.training, used))

    @cached_property
    def variability(self) -> dict[str, Estimate]:
        """How different the darkest group's images are from each other, over the lightest's, by space and measure."""
        found = variability_estimates(self.training, self.replicates, (self.light, self.dark))
        if not found:
            name = self.training.attrs.get("dataset")
            few = f"{name} has fewer than three patients of {self.light} or {self.dark} that some model has errors of"
            raise NotInRun(few if "pixels" in self.training else f"{name} has no pixels")
        return found

    @cached_property
    def regions(self) -> pd.DataFrame:
        """Mean of the maps inside artefact, lesion and rest, an image a row."""
        own = "lesion_mask" in self.artefacts or self._training is None
        return region_means(self.artefacts, None if own else self._training)

    @cached_property
    def _drawn_on(self) -> dict[str, int]:
        """The patient's integer of every image that was drawn on, by the id of the bare image."""
        return artefact_clusters(self.artefacts)

    def nothing_drawn(self, kinds: Sequence[str]) -> NotInRun:
        """Why there is no map of an image with an artefact of one of these kinds.

        :param kinds: of artefacts.
        """
        lost = self._unscored(self.artefacts, self.for_artefacts)
        drawn = np.isin(self.artefacts["artefact"].values.astype(str), kinds).any()
        words = f"no {' or '.join(kinds)} was drawn"
        empty = "the masks of the drawn artefacts are empty, or cover all of the image"
        return self._nothing(self.artefacts, lost if drawn else 0, self.for_artefacts, empty if drawn else words)

    def table_estimate(
        self,
        frame: pd.DataFrame,
        statistic: Callable[..., np.ndarray],
        columns: Mapping[str, str],
        transform: Transform = "identity",
        of: str | None = None,
    ) -> Estimate:
        """As `estimate`, for a table with the columns seed and clean_image besides those named.

        :param of: the configuration that the rows are of; by default `for_artefacts`.
        """
        of = of or self.for_artefacts
        lost = self._unscored(self.artefacts, of)
        frame = frame.dropna(subset=list(columns.values()))
        if frame.empty:
            told = (words for part, words in _LACKING.items() if any(part in name for name in columns.values()))
            lacking = next(told, "is of this kind")
            raise self._nothing(self.artefacts, lost, of, f"no image with a drawn artefact {lacking}")
        names = frame["clean_image"].to_numpy(str)
        cluster = pd.Series([self._drawn_on[name] for name in names], index=frame.index)
        seeds = [
            {argument: part[column].to_numpy(float) for argument, column in columns.items()}
            for _, part in frame.groupby("seed")
        ]
        clusters = [cluster[part.index].to_numpy() for _, part in frame.groupby("seed")]
        blocks = None if self.blocks is None else [self._block(part) for _, part in frame.groupby("seed")]
        estimate = over_seeds(
            statistic, seeds, clusters, transform=transform, replicates=self.replicates, blocks=blocks
        )
        used = np.isin(self.artefacts["clean_image"].values.astype(str), names)
        people = _people(self.artefacts, np.flatnonzero(used))
        estimate = _less(estimate, lost, self.artefacts)._replace(tested=False)
        return estimate._replace(distinct=len(set(names)), patients=people)


def _less(estimate: Estimate, lost: int, store: xr.Dataset) -> Estimate:
    """An estimate that says in how many of the store's seeds it is not, or not wholly, known."""
    undefined = max(estimate.undefined, lost)
    return estimate._replace(undefined=undefined, seeds=min(estimate.seeds, store.sizes["seed"] - undefined))


def _yes_or_no(store: xr.Dataset, label: str) -> np.ndarray:
    """A label as float64 (image,), NaN where it says neither yes nor no."""
    values = label_values(store, label)
    return np.where(np.isin(values, (0, 1)), values, np.nan)


def _people(store: xr.Dataset, chosen: np.ndarray) -> int | None:
    """How many people these images are of; None where one of them does not name its patient."""
    if "patient" not in store:
        return None
    patients = set(identities(store["patient"].values[chosen]).tolist())
    return len(patients) if "" not in patients else None
