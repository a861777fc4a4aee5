"""Bases read back from files, of whichever estimator they are."""

import os
from typing import Any

from sluguq.slug.basis_files import read_basis
from sluguq.slug.estimators import ESTIMATORS


def load_basis(path: str | os.PathLike[str]) -> Any:
    """The basis that ``basis.save(path)`` wrote.

    Its vectors are a map of the file: opening takes no memory, and scoring reads them once, or in blocks where they
    have no room on the device.

    .. code-block:: python

        basis.save("basis.safetensors")
        basis = sluguq.load_basis("basis.safetensors")

    :param path: of the file.
    :returns: an :class:`~sluguq.slug.eigenbasis.Eigenbasis` or a :class:`~sluguq.slug.sketched.SketchedBasis`.
    :raises FileNotFoundError: where there is no such file.
    :raises ValueError: where it is no such file, is cut off, or was written by a later version of this package.
    """
    content = read_basis(path)
    if content.estimator not in ESTIMATORS:
        raise ValueError(
            f"{path} holds a basis of the estimator {content.estimator!r}, and this package has "
            f"{', '.join(sorted(ESTIMATORS))}"
        )
    return ESTIMATORS[content.estimator].restored(content.arrays, content.scalars)
