"""How a computation runs, whatever it computes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax

from sluguq.slug.budget import Budget


@dataclass(frozen=True)
class Execution:
    """Where and how a computation runs.

    :ivar devices: devices that share each batch; by default those the images are sharded over.
    :ivar matmul_precision: of products with G, see ``jax.default_matmul_precision``: Lanczos needs a symmetric
        operator, and TensorFloat-32 is not quite one.
    :ivar budget: what share of memory each consumer may take.
    :ivar progress: show a progress bar on a terminal, and a line a minute where there is none.
    """

    devices: Sequence[jax.Device] | None = None
    matmul_precision: str = "highest"
    budget: Budget = field(default_factory=Budget)
    progress: bool = True
