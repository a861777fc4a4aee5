"""Where arrays lie, and what the device can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sluguq.machine.memory import host_memory_bytes


def platform() -> str:
    """``"cpu"``, ``"gpu"`` or ``"tpu"``."""
    return jax.default_backend()


def memory_bytes() -> int:
    """Memory of the default device in bytes, in whole: its own count where it keeps one, else the machine's.

    What happens to be free is not asked, since block sizes follow from this number and results, to the bit,
    from block sizes. Where a control group (a container, a Slurm job) allows less, that counts.
    """
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return host_memory_bytes()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of a compiled step says that the device's memory is full."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError)
        and ("RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower())
    )


class Placement:
    """Where arrays go: images split over the devices, everything else a copy on each.

    One device (the default) leaves arrays where JAX puts them.
    """

    def __init__(self, devices: Sequence[jax.Device] | None, leaves: Sequence[Any] = ()) -> None:
        if devices is None:
            sharded = [leaf for leaf in leaves if isinstance(leaf, jax.Array) and len(leaf.devices()) > 1]
            devices = sorted(sharded[0].devices(), key=lambda device: device.id) if sharded else None
        self.count = len(devices) if devices else 1
        self._split: Any = None
        self._copied: Any = None
        if devices:
            mesh = Mesh(list(devices), ("image",))
            self._split = NamedSharding(mesh, PartitionSpec("image"))
            self._copied = NamedSharding(mesh, PartitionSpec())

    def split(self, array: Any) -> Any:
        """An array, or a tree of them, split along its first axis."""
        return jax.device_put(array, self._split)

    def copied(self, tree: Any) -> Any:
        """A pytree of arrays with a copy on each device."""
        return jax.device_put(tree, self._copied)
