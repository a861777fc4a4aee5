"""Scores of one block of images after the other, smaller pieces at a time when memory runs out."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.machine.progress import Progress
from sluguq.slug.blocks import PROBE_BLOCK, Block, covariance
from sluguq.slug.checks import check_finite_scores
from sluguq.slug.deflated import Passes, Plan, ProbeCache, deflated_batch
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN
from sluguq.slug.probes import draw, draw_signs, tangent_width
from sluguq.slug.probing import Probing
from sluguq.slug.projection import Projector
from sluguq.slug.shared import Chain


class _Norm(NamedTuple):
    """How what the basis removes is measured, Σ τᵢ ‖J uᵢ‖² with τ = λ / (λ + α).

    Half of the passes go to single eigenvectors, since the first few hold nearly all of it, and the others to
    random combinations of the rest.

    :ivar leading: (s, p) the leading eigenvectors, times √τ.
    :ivar coefficients: (k,) √τ of the others, 0 for the leading ones.
    :ivar probes: how many random combinations.
    :ivar key: of the random combinations.
    """

    leading: jax.Array
    coefficients: np.ndarray
    probes: int
    key: jax.Array

    @classmethod
    def of(cls, projector: Projector, probes: int, key: jax.Array, dtype: Any) -> "_Norm | None":
        """None where so few probes say nothing."""
        spread = projector.spread.astype(dtype)
        rank = len(spread)
        if rank > probes and probes < 4:
            return None
        single = rank if rank <= probes else probes // 2
        leading = projector.combine(jnp.asarray((np.eye(rank, dtype=dtype) * spread)[:single]))
        return cls(
            leading, np.where(np.arange(rank) < single, 0, spread), 0 if single == rank else probes - single, key
        )


class Blockwise:
    """Scores blocks of images one after the other; takes less at a time when memory runs out."""

    def __init__(
        self,
        ggn: GGN,
        projector: Projector,
        key: jax.Array,
        probing: Probing,
        execution: Execution,
        batch_size: int,
    ) -> None:
        self.ggn, self.projector = ggn, projector
        self.key, self.norm_key = jax.random.split(key)
        self.budget = execution.budget
        block = probing.probe_block
        if block is None:
            block = min(64, max(1, self.budget.count("probes", 3 * ggn.size * ggn.dtype.itemsize)))
        self.block = block
        devices = ggn.placement.count
        self.images = max(1, min(PROBE_BLOCK, batch_size) // devices) * devices
        self.width = tangent_width(self.images) if probing.tangent_block is None else probing.tangent_block
        self.norm = None
        if projector.vectors is not None and probing.norm_probes:
            self.norm = _Norm.of(projector, probing.norm_probes, self.norm_key, ggn.dtype)
        self.kept: tuple[int, ProbeCache] | None = None  # projected probes of the last block
        self.bar = Progress(desc="score", unit="probe", shown=execution.progress)

    def shrink(self) -> bool:
        """Take less at a time, the dearest first: tangents side by side, images, probes. False at the least."""
        self.kept = None  # makes room, and is of passes too large
        if self.width > 1:
            self.width //= 2
        elif self.images > self.ggn.placement.count:
            self.images //= 2
        elif self.block > 1:
            self.block //= 2
        else:
            return False
        return True

    def passes(self, rows: slice, cache: Callable[[int, int], jax.Array]) -> Iterator[Passes]:
        """The images of ``rows`` in batches."""
        for start in range(rows.start, rows.stop, self.images):
            part = slice(start, min(rows.stop, start + self.images))
            count = part.stop - part.start
            images = self.ggn.batches.load(part, self._size(count))[0]
            yield Passes(self.ggn, images, count, cache, block=self.block, width=self.width)

    def cache(self, key: jax.Array, projector: Projector | Chain) -> ProbeCache:
        """Projected probes of the sequence that belongs to ``key``."""

        def tangents_of(first: int, count: int) -> jax.Array:
            return projector.project(draw_signs(key, first, count, self.ggn.size, self.ggn.dtype))

        return ProbeCache(tangents_of, self.ggn, self.budget)

    def gathered(self, rows: np.ndarray, key: jax.Array, projector: Projector | Chain) -> Iterator[Passes]:
        """Images from anywhere in the set, in batches with probes of their own."""
        for number, start in enumerate(range(0, len(rows), self.images)):
            some = rows[start : start + self.images]
            images = self.ggn.batches.gather(some, self._size(len(some)))
            cache = self.cache(jax.random.fold_in(key, number), projector)
            yield Passes(self.ggn, images, len(some), cache, block=self.block, width=self.width)

    def _size(self, count: int) -> int:
        """A batch for so many images: few shapes, as each is a program that has to be compiled."""
        devices = self.ggn.placement.count
        whole = self.ggn.batches.whole or 2 * count > self.images
        size = self.images if whole else 1 << (count - 1).bit_length()
        return -(-size // devices) * devices

    def score(self, block: Block, plan: Plan, shared: jax.Array | None) -> dict[str, np.ndarray]:
        """What :class:`Scores` holds of the images of one block."""
        projector = self.projector if shared is None else Chain(self.projector, shared)
        if self.kept is None or self.kept[0] != block.number:
            self.kept = block.number, self.cache(jax.random.fold_in(self.key, block.number), projector)
        parts, energies = [], []
        for passes in self.passes(block.rows, self.kept[1]):
            result = deflated_batch(passes, projector, plan)
            exact, exact_maps = self._exactly(passes, shared, plan.maps)
            check_finite_scores(result.score + exact, block.rows.start)
            values = {
                "slug": result.score + exact,
                "slug_sem": result.sem,
                "probes": plan.first_probes + result.probes,
                **self._removed(passes, block.number),
            }
            if plan.maps:
                values["maps"] = (result.maps + exact_maps).astype(np.float32)
            parts.append(values)
            energies += result.energies
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        count = len(energies)
        values["covariance"] = np.full((count, PROBE_BLOCK), np.nan)
        values["covariance"][:, :count] = covariance(energies)
        values["blocks"] = np.full(count, block.number)
        self.bar.update(int(values["probes"].sum()))
        return values

    def _exactly(self, passes: Passes, shared: jax.Array | None, maps: bool) -> tuple[np.ndarray, Any]:
        """Σ ‖J v‖² over shared directions, and its map."""
        if shared is None:
            return np.zeros(passes.count), 0.0
        energy, every_map = passes.exactly(shared, maps=maps)
        return energy.sum(axis=0), every_map

    def _removed(self, passes: Passes, number: int) -> dict[str, np.ndarray]:
        """What the basis takes off ‖J‖², and the variance of the estimate."""
        nothing = np.zeros(passes.count)
        if self.projector.vectors is None:
            return {"removed": nothing, "removed_variance": nothing}
        if self.norm is None:
            return {"removed": nothing + np.nan, "removed_variance": nothing + np.nan}
        exact = passes.exactly(self.norm.leading, maps=False)[0].sum(axis=0)
        if not self.norm.probes:
            return {"removed": exact, "removed_variance": nothing}
        key, count = jax.random.fold_in(self.norm.key, number), self.norm.probes
        random = draw(key, 0, count, self.projector.rank, self.ggn.dtype) * jnp.asarray(self.norm.coefficients)
        rest = passes.exactly(self.projector.combine(random), maps=False)[0]
        return {"removed": exact + rest.mean(axis=0), "removed_variance": rest.var(axis=0, ddof=1) / count}
