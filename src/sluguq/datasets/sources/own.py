"""A data set that an adapter of the user's own acquires."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sluguq.config.sources import OwnSource
from sluguq.datasets.base import Acquired, AcquisitionError


def collect(options: OwnSource, raw_folder: Path) -> Acquired:
    """What the adapter's own function ``collect`` gives.

    :raises AcquisitionError: where there is no such file, it has no such function, or that gives something else.
    """
    path = options.adapter.resolve()
    specification = importlib.util.spec_from_file_location(f"sluguq_source_{path.stem}", path)
    if specification is None or specification.loader is None or not path.is_file():
        raise AcquisitionError(f"there is no Python file {options.adapter}; name it with the key `adapter`")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if not callable(getattr(module, "collect", None)):
        raise AcquisitionError(f"{options.adapter} has no function collect(options, raw_folder)")
    acquired = module.collect(options.options, raw_folder)
    if not isinstance(acquired, Acquired):
        raise AcquisitionError(
            f"collect of {options.adapter} gave {type(acquired).__name__}; it must give sluguq.datasets.base.Acquired"
        )
    return acquired
