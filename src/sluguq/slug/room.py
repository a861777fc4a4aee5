"""What a basis takes: the Lanczos subspace in memory, and files on the disk."""

from __future__ import annotations

from dataclasses import dataclass

LARGE = 2**31
"""Bytes of float32 eigenvectors above which the workflow computes them in files."""

HALVED = 2**30
"""Bytes of float32 eigenvectors above which the library stores them in bfloat16, unless asked otherwise."""


@dataclass(frozen=True)
class BasisRoom:
    """Bytes of one model's eigenbasis on the disk.

    :ivar scratch: what an interrupted run goes on from: the Lanczos vectors twice, as a restart writes them anew
        before the old ones may go.
    :ivar result: the eigenvectors in a file of their own, where they are computed in files.
    :ivar store: the store; scratch and result stay until it is whole.
    """

    scratch: int
    result: int
    store: int

    @property
    def peak(self) -> int:
        """All three: they are there together when the store is written."""
        return self.scratch + self.result + self.store


def subspace_of(rank: int, parameters: int) -> int:
    """The most Lanczos vectors before a restart: 2 · rank + 10 and at least 40, where there are as many weights."""
    return min(parameters, max(2 * rank + 10, 40))


def iterations_of(rank: int, parameters: int) -> int:
    """Products of the sketched recurrence: 2 · rank + 10, where there are as many weights."""
    return min(parameters, 2 * rank + 10)


def scratch_bytes(vectors: int, parameters: int, itemsize: int) -> int:
    """Bytes of the files of Lanczos vectors: those before a restart and those after it."""
    return 2 * vectors * parameters * itemsize


def in_files(rank: int, parameters: int) -> bool:
    """Whether the workflow computes the eigenvectors in files, whatever memory there is."""
    return rank * parameters * 4 > LARGE


def room_of_basis(rank: int, parameters: int, *, dtype: str, files: bool | None = None) -> BasisRoom:
    """Disk of a float32 network's eigenbasis.

    :param rank: number of eigenvectors.
    :param parameters: number of weights.
    :param dtype: bfloat16 or float32, of the stored vectors; no compression is counted on.
    :param files: whether they are computed in files; by their size when left out.
    """
    store = rank * parameters * (2 if dtype == "bfloat16" else 4)
    files = in_files(rank, parameters) if files is None else files
    return BasisRoom(
        scratch=scratch_bytes(subspace_of(rank, parameters), parameters, 4),
        result=store if files else 0,
        store=store,
    )


def room_of_sketch(rank: int, parameters: int, sketch_size: int) -> BasisRoom:
    """Disk of a sketched basis: sketches of the eigenvectors, a sign a weight, and the rows that are kept."""
    return BasisRoom(scratch=0, result=0, store=4 * (rank * sketch_size + parameters + sketch_size))
