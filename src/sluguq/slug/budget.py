"""What share of which memory each consumer may take, in one place.

Whatever the shares leave belongs to the network's own activations, to the compiler and to everything else. On a CPU
the device's memory is the host's, so that shares of both are shares of one memory there: in every phase they sum to
less than one.
"""

from dataclasses import dataclass

from sluguq.machine.memory import host_memory_bytes
from sluguq.slug.placement import memory_bytes

_PHASES = {
    "computing an eigenbasis": ("images", "subspace"),
    "scoring": ("images", "basis", "probes", "kept_probes", "held_basis"),
    "writing a Jacobian down": ("images", "jacobian"),
}
_COPIES = 3  # of the Lanczos vectors: a restart takes them twice, and XLA may transpose a copy
_HOST_COPIES = 2  # a state that is handed out is a copy


@dataclass(frozen=True)
class Budget:
    """Shares of memory, and the sizes of memory that they are shares of.

    Block sizes follow from these numbers, and results, to the bit, from block sizes: the same budget on the same
    machine gives the same bits.

    :ivar images: of the device, for images that stay there; more are streamed.
    :ivar subspace: of the memory in which the Lanczos vectors lie, for them and the work on them.
    :ivar basis: of the device, for a basis that is moved there; a larger one is streamed.
    :ivar probes: of the device, for a block of probes while it is projected.
    :ivar kept_probes: of the device, for projected probes kept between batches of images.
    :ivar held_basis: of the host, for a basis read from a store; a larger one stays there and is read in blocks.
    :ivar jacobian: of the device, for a Jacobian written down.
    :ivar block_bytes: of long vectors that are moved or multiplied at a time.
    :ivar device_bytes: memory of the device; None asks it.
    :ivar host_bytes: memory of the host; None asks it.
    :raises ValueError: for shares that are no shares, or that sum to one or more.
    """

    images: float = 0.2
    subspace: float = 0.75
    basis: float = 0.3
    probes: float = 0.15
    kept_probes: float = 0.2
    held_basis: float = 0.1
    jacobian: float = 0.5
    block_bytes: int = 1 << 28
    device_bytes: int | None = None
    host_bytes: int | None = None

    def __post_init__(self) -> None:
        for phase, consumers in _PHASES.items():
            shares = [getattr(self, name) for name in consumers]
            if min(shares) < 0 or sum(shares) >= 1:
                words = ", ".join(f"{name} {share:g}" for name, share in zip(consumers, shares, strict=True))
                raise ValueError(
                    f"the shares of memory while {phase} must not be negative and sum to less than 1: {words}"
                )

    @property
    def device(self) -> int:
        """Bytes of the device's memory."""
        return memory_bytes() if self.device_bytes is None else self.device_bytes

    @property
    def host(self) -> int:
        """Bytes of the host's memory."""
        return host_memory_bytes() if self.host_bytes is None else self.host_bytes

    def takes(self, consumer: str, size: float) -> bool:
        """Whether so much is within a consumer's share of its memory.

        :param consumer: name of a share, such as "images".
        :param size: bytes.
        """
        memory = self.host if consumer == "held_basis" else self.device
        return size <= getattr(self, consumer) * memory

    def count(self, consumer: str, size: float) -> int:
        """How many things of one size a consumer's share of the device's memory holds.

        :param consumer: name of a share, such as "probes".
        :param size: bytes of one.
        """
        return int(getattr(self, consumer) * self.device / size)

    def roomy_storage(self, vectors: int, parameters: int, itemsize: int) -> str | None:
        """The first of "device" and "host" that has room for Lanczos vectors and work on them; None if neither has.

        :param vectors: their number.
        :param parameters: length of each, the number of weights.
        :param itemsize: bytes of one number.
        """
        room = _COPIES * vectors * parameters * itemsize
        if self.takes("subspace", room):
            return "device"
        return "host" if room <= self.host else None

    def host_takes(self, size: int) -> bool:
        """Whether the host holds Lanczos vectors where a person asked for them there.

        :param size: bytes of all vectors.
        """
        return _HOST_COPIES * size <= self.host
