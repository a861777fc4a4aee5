"""What an analysis may be given: an aggregated store however it was opened, or the results of an experiment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import xarray as xr

from sluguq.stores.store import with_plain_text

Rest = ParamSpec("Rest")
Returned = TypeVar("Returned")


class HasTraining(Protocol):
    """Results of an experiment, of which an analysis takes the data set that was trained on."""

    @property
    def training(self) -> xr.Dataset: ...


def dataset_of(given: xr.Dataset | HasTraining) -> xr.Dataset:
    """The dataset itself, opened by xarray alone or by `sluguq.stores.store.open_store`, or that of the results.

    :param given: a dataset, or an object with a dataset `training`.
    """
    dataset = given if isinstance(given, xr.Dataset) else given.training
    return with_plain_text(dataset) if any(v.dtype.kind == "T" for v in dataset.variables.values()) else dataset


def takes_results(
    analysis: Callable[Concatenate[xr.Dataset, Rest], Returned],
) -> Callable[Concatenate[Any, Rest], Returned]:
    """An analysis that may be given results or a plainly opened store in place of a dataset.

    :param analysis: its first parameter is a dataset.
    """

    @functools.wraps(analysis)
    def of_any(dataset: Any, /, *arguments: Rest.args, **named: Rest.kwargs) -> Returned:
        return analysis(dataset_of(dataset), *arguments, **named)

    return of_any
