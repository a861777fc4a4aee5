"""Scores of images as they come: looked at, projected and compiled once."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax

from sluguq.slug.checks import check_finite_images, check_has_maps, check_score_arguments, checked
from sluguq.slug.deflated import ProbeCache
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.slug.examples import Examples, examples_of
from sluguq.slug.execution import Execution
from sluguq.slug.ggn import GGN
from sluguq.slug.network import Apply
from sluguq.slug.projection import Projector
from sluguq.slug.score import Estimate, Probing, estimated, projected_signs
from sluguq.slug.scores import Scores


class Scorer:
    """:func:`~sluguq.slug.score.score` of one network and basis, for images that come a few at a time.

    The first call looks at the network and compiles; later ones do neither, whatever the number of images, as these are
    filled up to whole batches. Probes are projected once and kept, as far as the budget has room for them. The scores
    are those of ``score`` with the same key.

    .. code-block:: python

        scorer = sluguq.Scorer(apply, params, basis, key=key, tolerance=0.01, batch_size=16)
        for scores in scorer.stream(batches):
            print(scores.slug)

    :param apply: pure function (params, images) → outputs, as for ``score``.
    :param params: the weights, as given to ``eigenbasis``.
    :param basis: what ``eigenbasis`` returned, or None.
    :param probes: how many probes; with ``tolerance``, the most to add at a time.
    :param tolerance: add probes until every image's relative standard error is at most this.
    :param batch_size: images that are scored together; fewer are filled up to as many.
    :param key: ``jax.random.key``.
    :param maps: whether scores have maps.
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
        probes: int = 64,
        tolerance: float | None = None,
        batch_size: int = 64,
        key: jax.Array,
        maps: bool = False,
        prior_precision: float = 0.0,
        probing: Probing | None = None,
        execution: Execution | None = None,
    ) -> None:
        probing, execution = probing or Probing(), execution or Execution(progress=False)
        check_score_arguments(basis, params, probes, tolerance, prior_precision, probing.directions)
        self.estimate = Estimate(probes, tolerance, maps, key, probing, execution)
        self.batch_size = batch_size
        self._network = (apply, params)
        self._projector = Projector.of(basis, params, prior_precision=prior_precision, budget=execution.budget)
        self._tangents: ProbeCache | None = None  # before the first images, of which the network's output is known

    def __call__(self, images: Any) -> Scores:
        """Scores of any number of images.

        :param images: (n, …), as for ``score``.
        :raises ValueError: for bad input, see :mod:`sluguq.slug.checks`.
        """
        examples = examples_of(images)
        if self._tangents is None:
            self._network = checked(*self._network, examples)
            if self.estimate.maps:
                check_has_maps(*self._network, examples)
            self._structure = str(jax.tree.structure(examples[:1]))
        elif (structure := str(jax.tree.structure(examples[:1]))) != self._structure:
            raise ValueError(
                f"these images come as {structure}, and the first ones came as {self._structure}: one scorer takes one "
                f"kind of input, with masks or without"
            )
        elif examples.in_memory:
            check_finite_images(examples[:])
        return estimated(self._ggn(examples), self._projector, self._probes(examples), self.estimate)

    def stream(self, batches: Iterable[Any]) -> Iterator[Scores]:
        """Scores of one batch after another; the batches may be of any sizes and without end."""
        for images in batches:
            yield self(images)

    def _ggn(self, examples: Examples) -> GGN:
        apply, params = self._network
        execution = self.estimate.execution
        return GGN(apply, params, examples, batch_size=self.batch_size, execution=execution, whole_batches=True)

    def _probes(self, examples: Examples) -> ProbeCache:
        if self._tangents is None:
            ggn = self._ggn(examples)
            signs = projected_signs(self._projector, self.estimate.key, ggn.size, ggn.dtype)
            self._tangents = ProbeCache(signs, ggn, self.estimate.execution.budget)
        return self._tangents
