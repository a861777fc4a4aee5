"""A data set that an adapter of the user's own acquires."""

from __future__ import annotations

from pathlib import Path

from sluguq.config.sources import OwnSource
from sluguq.datasets.base import Acquired, AcquisitionError
from sluguq.machine.own_files import is_python_file, run_file


def collect(options: OwnSource, raw_folder: Path) -> Acquired:
    """What the adapter's own function ``collect`` gives.

    :raises AcquisitionError: where there is no such file, it has no such function, or that gives something else.
    """
    if not is_python_file(options.adapter):
        raise AcquisitionError(f"there is no Python file {options.adapter}; name it with the key `adapter`")
    module = run_file(options.adapter, "source")
    if not callable(getattr(module, "collect", None)):
        raise AcquisitionError(f"{options.adapter} has no function collect(options, raw_folder)")
    acquired = module.collect(options.options, raw_folder)
    if not isinstance(acquired, Acquired):
        raise AcquisitionError(
            f"collect of {options.adapter} gave {type(acquired).__name__}; it must give sluguq.datasets.base.Acquired"
        )
    return acquired
