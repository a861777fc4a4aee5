"""How a computation runs, whatever it computes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeVar

import jax

from sluguq.slug.budget import Budget

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_plain_modes(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A public call that runs whatever strict modes of JAX its caller has set for code of their own.

    Those that refuse implied broadcasts, implied conversions and implied transfers are meant.
    """

    @wraps(call)
    def plain(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"), jax.transfer_guard("allow"):
            return call(*arguments, **options)

    return plain


@dataclass(frozen=True)
class Execution:
    """Where and how a computation runs.

    :ivar devices: devices that share each batch; by default those the images are sharded over.
    :ivar matmul_precision: of products with G, see ``jax.default_matmul_precision``: Lanczos needs a symmetric
        operator, and TensorFloat-32 is not quite one.
    :ivar budget: what share of memory each consumer may take.
    :ivar progress: show a progress bar on a terminal, and one line per minute where there is none.
    """

    devices: Sequence[jax.Device] | None = None
    matmul_precision: str = "highest"
    budget: Budget = field(default_factory=Budget)
    progress: bool = True
