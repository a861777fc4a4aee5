"""Which network a basis belongs to: a fingerprint of its weights, their shapes and the order of their names."""

import hashlib
from typing import Any

import jax
import numpy as np

_LENGTH = 16  # hexadecimal digits of each part


def fingerprint(params: Any) -> str:
    """Three digests of weights: of names and shapes in order, of values in order, of values in any order.

    Names are compared as text, so that a key 3 that comes back from a file as "3" is the same, and values as float32,
    so that wider arithmetic is the same network.
    """
    names, digests = hashlib.sha256(), []
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        values = np.ascontiguousarray(np.asarray(leaf, np.float32))
        names.update(f"{_name(path)} {values.shape}\n".encode())
        digests.append(hashlib.sha256(values.tobytes()).digest())
    ordered, unordered = (hashlib.sha256(b"".join(parts)) for parts in (digests, sorted(digests)))
    return "-".join(digest.hexdigest()[:_LENGTH] for digest in (names, ordered, unordered))


def difference(basis: str, params: str) -> str | None:
    """In words, how the weights of a basis differ from these; None where they do not, or one is unknown."""
    if not basis or not params or basis == params:
        return None
    (names, ordered, unordered), (own_names, own_ordered, own_unordered) = basis.split("-"), params.split("-")
    if ordered == own_ordered and names == own_names:
        return None
    if unordered == own_unordered:
        return "the same weights in another order: keys that were numbers and became text are sorted otherwise"
    if names == own_names:
        return "other weights of the same architecture"
    return "another network"


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path)
