"""Some of a network's weights: the last layer, the decoder alone, or a random part of all."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
    :raises ValueError: where a pattern matches nothing, with the paths that there are, or two arrays have one path.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    paths = _paths(leaves)
    patterns = (weights,) if isinstance(weights, str) else tuple(weights)
    for pattern in patterns:
        if not any(_matches(path, pattern) for path in paths):
            examples = ", ".join(paths[:8]) + (", …" if len(paths) > 8 else "")
            raise ValueError(f"no weights match {pattern!r}; their paths are {examples}")
    choice = tuple(any(_matches(path, pattern) for pattern in patterns) for path in paths)
    entries = list(zip(paths, choice, leaves, strict=True))
    params = {path: leaf for path, is_in, (_, leaf) in entries if is_in}
    fixed = {path: leaf for path, is_in, (_, leaf) in entries if not is_in}
    return Partial(_Joined(structure, tuple(paths)), as_partial(apply), fixed), params


def restrict_to_share(
    apply: Apply, params: Any, share: float, rng: np.random.Generator
) -> tuple[Partial, dict[str, jax.Array]]:
    """The same network with a random part of its single weights in ``params``; ``apply`` carries the others.

    SLUG of so few weights needs as much less memory for its eigenbasis, but hardly less arithmetic: gradients still
    run through all layers. Its expectation over draws, without a projection, is this share of that of all weights.

    :param apply: pure function (params, images) → outputs.
    :param params: pytree of floating arrays.
    :param share: of the weights, above 0 and at most 1; at least one is drawn.
    :param rng: draws them, without replacement, from all arrays alike.
    :returns: ``apply`` for the drawn weights, and these as a flat dict by path, (n,) of every array that has any.
    :raises ValueError: where the share is not one, or two arrays have one path.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share:g}: must be above 0 and at most 1")
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    paths = _paths(leaves)
    sizes = np.array([leaf.size for _, leaf in leaves])
    positions = np.sort(rng.choice(sizes.sum(), max(round(share * sizes.sum()), 1), replace=False))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = [positions[(positions >= a) & (positions < b)] - a for a, b in itertools.pairwise(starts)]
    of_path = {path: jnp.asarray(inside) for path, inside in zip(paths, places, strict=True) if len(inside)}
    whole = dict(zip(paths, (leaf for _, leaf in leaves), strict=True))
    part = {path: whole[path].ravel()[inside] for path, inside in of_path.items()}
    return Partial(_Scattered(structure, tuple(paths)), as_partial(apply), whole, of_path), part


def _paths(leaves: Sequence[tuple[Any, Any]]) -> list[str]:
    """The path of every leaf as text.

    :raises ValueError: where two leaves have the same, as of a key that holds a slash.
    """
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"two arrays of params have the path {twice!r}: rename the key that holds a slash")
    return paths


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


@dataclass(frozen=True)
class _Scattered:
    """Puts drawn weights back into their arrays; equal for equal structures, which so share compiled code."""

    structure: Any
    paths: tuple[str, ...]

    def __call__(
        self, apply: Partial, whole: dict[str, Any], places: dict[str, Any], params: dict[str, Any], images: Any
    ) -> jax.Array:
        leaves = []
        for path in self.paths:
            leaf = whole[path]
            if path in params:
                flat = leaf.ravel().astype(params[path].dtype)
                leaf = flat.at[places[path]].set(params[path], unique_indices=True).reshape(leaf.shape)
            leaves.append(leaf)
        return apply(jax.tree.unflatten(self.structure, leaves), images)
