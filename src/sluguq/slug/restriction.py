"""Some of a network's weights: the last layer, or the decoder alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
from jax.tree_util import Partial

from sluguq.slug.network import Apply, as_partial


def restrict(apply: Apply, params: Any, weights: str | Iterable[str]) -> tuple[Partial, dict[str, jax.Array]]:
    """The same network with only some of its weights in ``params``; ``apply`` carries the others.

    SLUG then speaks of these weights alone, as if all others were known for certain. It is cheaper, and a last-layer
    Laplace approximation is often all that others do, but it is blind to what the other layers have not learnt: an
    image that the encoder has never seen the like of may be decoded with every certainty. Eigenvalues of a last layer
    come in groups of equal ones, one for each channel: choose a rank that does not part a group.

    .. code-block:: python

        apply, decoder = sluguq.restrict(apply, params, "decoder/*")
        basis = sluguq.eigenbasis(apply, decoder, images, rank=30, key=key)

    :param apply: pure function (params, images) → outputs.
    :param params: pytree of arrays, of any dtype: what is not chosen may be integers too.
    :param weights: a pattern of paths, or several, as in ``"decoder/*"`` or ``"*/kernel"``. A path is the keys and
        indices that lead to a leaf, joined by ``/``; ``*`` stands for any text, ``?`` for a character. PyTorch's dots
        count as ``/``.
    :returns: ``apply`` for the chosen weights, and these as a flat dict by path.
    :raises ValueError: where a pattern matches nothing, with the paths that there are.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    patterns = (weights,) if isinstance(weights, str) else tuple(weights)
    for pattern in patterns:
        if not any(_matches(path, pattern) for path in paths):
            shown = ", ".join(paths[:8]) + (", …" if len(paths) > 8 else "")
            raise ValueError(f"no weights match {pattern!r}; their paths are {shown}")
    chosen = tuple(any(_matches(path, pattern) for pattern in patterns) for path in paths)
    named = list(zip(paths, chosen, leaves, strict=True))
    params = {path: leaf for path, taken, (_, leaf) in named if taken}
    fixed = {path: leaf for path, taken, (_, leaf) in named if not taken}
    return Partial(_Joined(structure, tuple(paths)), as_partial(apply), fixed), params


def _matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path.replace(".", "/"), pattern)


@dataclass(frozen=True)
class _Joined:
    """Puts chosen and fixed weights together again; equal for equal structures, which so share compiled code."""

    structure: Any
    paths: tuple[str, ...]

    def __call__(self, apply: Partial, fixed: dict[str, Any], params: dict[str, Any], images: Any) -> jax.Array:
        everything = {**fixed, **params}
        return apply(jax.tree.unflatten(self.structure, [everything[path] for path in self.paths]), images)
