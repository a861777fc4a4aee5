"""Scores of images as they come: looked at and compiled once."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sluguq.slug.accuracy import Settled
from sluguq.slug.blocks import blocks_of
from sluguq.slug.blockwise import Blockwise
from sluguq.slug.checks import (
    check_finite_images,
    check_key,
    check_parameters,
    check_score_arguments,
    checked,
    mapped_apply,
)
from sluguq.slug.deflated import ProbeCache
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.examples import examples_of
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN
from sluguq.slug.network import Apply
from sluguq.slug.probing import Probing
from sluguq.slug.projection import Projector
from sluguq.slug.score import Estimate, estimated, settled_by
from sluguq.slug.scores import Scores


class Scorer:
    """:func:`~sluguq.slug.score.score` of one network and basis, for images that come a few at a time.

    The first call looks at the network and compiles; later ones do neither, whatever the number of images, as these are
    filled up to whole batches. Images count in the order in which they come, and see the probes of their places: the
    scores of a stream are those of ``score`` on all of it with the same key. A tolerance or an accuracy settles
    directions on the first images.

    .. code-block:: python

        scorer = sluguq.Scorer(apply, params, basis, key=key, probes=64, batch_size=8)
        for scores in scorer.stream(batches):
            print(scores.slug)

    :param apply: pure function (params, images) → outputs, as for ``score``.
    :param params: the weights, as given to ``eigenbasis``.
    :param basis: what ``eigenbasis`` returned, or None.
    :param accuracy: as for ``score``.
    :param probes: how many probes; with ``tolerance``, the most to add at a time. 64 where nothing is given.
    :param tolerance: add probes until every image's relative standard error is at most this.
    :param batch_size: images that are scored together, up to 8; fewer are filled up to as many.
    :param key: ``jax.random.key``.
    :param maps: whether scores have maps.
    :param channel_axis: as for ``score``.
    :param prior_precision: as for ``score``.
    :param probing: how many probes go where.
    :param execution: where and how it runs.
    :raises ValueError: at once for bad arguments; with the first images for a network that cannot be scored.
    """

    def __init__(
        self,
        apply: Apply,
        params: Any,
        basis: Eigenbasis | None,
        *,
        accuracy: str | float | None = None,
        probes: int | None = None,
        tolerance: float | None = None,
        batch_size: int = 8,
        key: jax.Array,
        maps: bool = False,
        channel_axis: int = -1,
        prior_precision: float = 0.0,
        probing: Probing | None = None,
        execution: Execution | None = None,
    ) -> None:
        probing, execution = probing or Probing(), execution or Execution(progress=False)
        check_key(key)
        check_parameters(params)
        params = jax.tree.map(jnp.asarray, params)  # Python's floats are weights too
        if accuracy is None and probes is None and tolerance is None:
            probes = 64
        check_score_arguments(basis, params, probes, tolerance, prior_precision, probing.directions, accuracy)
        self.estimate, self.accuracy, self.key = Estimate(probes, tolerance, maps, probing), accuracy, key
        self.batch_size, self.execution = batch_size, execution
        self.seen = 0
        self._network, self._axis = (apply, params), channel_axis
        self._projector = Projector.of(basis, params, prior_precision=prior_precision, budget=execution.budget)
        self._settled: Settled | None = probing.settled
        self._kept: tuple[int, ProbeCache] | None = None
        self._structure: str | None = None  # before the first images, of which the network's output is known

    def __call__(self, images: Any) -> Scores:
        """Scores of any number of images.

        :param images: (n, …), as for ``score``.
        :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
        """
        examples = examples_of(images)
        structure = str(jax.tree.structure(examples[:1]))
        if self._structure is None:
            checked_apply, params = checked(*self._network, examples)
            maps = self.estimate.maps
            self._network = (mapped_apply(checked_apply, params, examples, self._axis, maps=maps), params)
            self._structure = structure
        elif structure != self._structure:
            raise ValueError(
                f"these images come as {structure}, and the first ones came as {self._structure}: one scorer takes one "
                f"kind of input, with masks or without"
            )
        elif examples.in_memory:
            check_finite_images(examples[:])
        apply, params = self._network
        probing, size = self.estimate.probing, self.batch_size
        ggn = GGN(apply, params, examples, batch_size=size, execution=self.execution, whole_batches=True)
        runner = Blockwise(ggn, self._projector, self.key, probing, self.execution, size)
        if self._settled is None:
            estimate = self.estimate
            self._settled = settled_by(runner, probing, self.accuracy, estimate.probes, estimate.tolerance)
        runner.kept = self._kept
        blocks = blocks_of(self.seen + np.arange(examples.n))
        scores = estimated(runner, blocks, self._settled, self.estimate)
        self._kept, self.seen = runner.kept, self.seen + examples.n
        return scores

    def stream(self, batches: Iterable[Any]) -> Iterator[Scores]:
        """Scores of one batch after another.

        :param batches: arrays of images, of any sizes and without end.
        """
        for images in batches:
            yield self(images)
