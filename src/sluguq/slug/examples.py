"""What a network is shown: n examples behind one interface, whatever holds them.

An example may be an image, a vector, or a tree of arrays, such as an image and its condition. They may lie in NumPy or
JAX arrays, in PyTorch's tensors, in a store that is read in slices (zarr, xarray), or come from a loader that yields
batches, again from the start whenever it is asked. What comes out is always a tree of NumPy or JAX arrays.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_NO_NUMBERS = "OSUMm"  # NumPy's letters for objects, texts and dates


class Examples:
    """n examples in arrays that share their leading axis.

    :ivar tree: the arrays, or what slices like one.
    :ivar n: how many examples.
    :raises ValueError: where there are none, or the leading axes differ.
    """

    def __init__(self, tree: Any) -> None:
        self.tree = jax.tree.map(_array, tree, is_leaf=_is_array)
        lengths = {name: _length(leaf, name) for name, leaf in self.named()}
        if not lengths:
            raise ValueError("images holds no arrays: pass at least one")
        if len(set(lengths.values())) > 1:
            words = ", ".join(f"{name or 'images'} {length}" for name, length in lengths.items())
            raise ValueError(f"the arrays of images differ in their number of examples: {words}")
        self.n = next(iter(lengths.values()))
        if self.n == 0:
            raise ValueError("the image set is empty: pass at least one image")

    def named(self) -> list[tuple[str, Any]]:
        """The arrays with their paths in the tree; a single one has the path ''."""
        pairs = jax.tree_util.tree_leaves_with_path(self.tree, is_leaf=_is_array)
        return [(jax.tree_util.keystr(path), leaf) for path, leaf in pairs]

    @property
    def plain(self) -> "Examples":
        """The examples as the network sees them."""
        return self

    @property
    def in_memory(self) -> bool:
        """Whether all arrays are in memory, and so can be looked at whole."""
        return all(isinstance(leaf, np.ndarray | jax.Array) for _, leaf in self.named())

    @property
    def nbytes(self) -> int:
        """How much room all examples take."""
        return sum(int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for _, leaf in self.named())

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, part: slice) -> Any:
        """The examples of a slice, as a tree of NumPy or JAX arrays."""
        return jax.tree.map(lambda leaf: _read(leaf[part]), self.tree, is_leaf=_is_array)

    def chosen(self, indices: np.ndarray) -> "Examples":
        """The examples with these indices; what lies in a store is read in slices, a run of neighbours at a time."""
        return Examples(jax.tree.map(lambda leaf: _picked(leaf, indices), self.tree, is_leaf=_is_array))


class Loaded(Examples):
    """n examples that a loader yields in batches, the same ones in the same order each time.

    Slices that follow one another are read in one go; one that lies before the last begins a new one. A batch or two
    are in memory.

    :param loader: whatever can be iterated over more than once, of batches as :class:`Examples` takes them.
    :raises ValueError: where it is used up by iterating, holds nothing, or its order changes.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        if iter(loader) is loader:
            raise ValueError(
                f"images is a {type(loader).__name__}, which can be gone through only once, and SLUG needs many "
                f"passes: pass a loader that starts anew each time, such as PyTorch's DataLoader, or an array"
            )
        self.loader = loader
        first, self.n = None, 0
        for batch in self._batches():
            first = batch if first is None else first
            self.n += batch.n
        if first is None:
            raise ValueError("the image set is empty: the loader yields no batch")
        self._first, self.tree = first, first.tree
        self._open: Iterator[Examples] | None = None
        self._start = self._stop = 0  # of what is held
        self._held: Any = None

    def _batches(self) -> Iterator[Examples]:
        for batch in self.loader:
            yield Examples(tuple(batch) if isinstance(batch, list) else batch)

    @property
    def in_memory(self) -> bool:
        """Never."""
        return False

    @property
    def nbytes(self) -> int:
        """How much room all examples would take."""
        return super().nbytes // self._first.n * self.n

    def chosen(self, indices: np.ndarray) -> Examples:
        """Refused.

        :raises ValueError: always.
        """
        raise ValueError("images come from a loader, which has no index: choose the subset in the loader")

    def __getitem__(self, part: slice) -> Any:
        """The examples of a slice."""
        start, stop, _ = part.indices(self.n)
        if self._open is None or start < self._start:
            self._open, self._start, self._stop, self._held = self._batches(), 0, 0, None
            self._check_order()
        while self._stop < stop:
            self._take(start)
        return jax.tree.map(lambda leaf: leaf[start - self._start : stop - self._start], self._held)

    def _check_order(self) -> None:
        again = next(self._batches())
        pairs = zip(jax.tree.leaves(self._first[:]), jax.tree.leaves(again[:]), strict=True)
        if not all(np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in pairs):
            raise ValueError(
                "the loader's first batch is another each time: switch off shuffling and random augmentation, as "
                "scores come in the loader's order and every pass must see the same images"
            )

    def _take(self, start: int) -> None:
        """Read another batch, and let go of what lies before ``start``."""
        batch = next(self._open, None)  # type: ignore[arg-type]
        if batch is None:
            raise ValueError(f"the loader yielded {self._stop} images in this pass, and {self.n} in its first")
        arrays = batch[:]
        if self._held is not None and self._stop > start:
            rest = jax.tree.map(lambda leaf: leaf[max(0, start - self._start) :], self._held)
            arrays = concatenated(rest, arrays)
            self._start = max(self._start, start)
        else:
            self._start = self._stop
        self._held, self._stop = arrays, self._stop + batch.n


def examples_of(images: Any, subset: Sequence[int] | np.ndarray | slice | None = None) -> Examples:
    """Images as a caller passed them, or some of them, behind one interface.

    :param images: an array, or whatever slices like one; a tuple or dict of such; or a loader of batches.
    :param subset: indices, a mask of booleans, or a slice; all by default.
    :raises ValueError: saying what was found; naming an index that there is no image for, where JAX would take the
        nearest.
    """
    if isinstance(images, Examples):
        examples = images
    elif isinstance(images, list):
        raise ValueError(
            "images must be an array (n, height, width, channels), not a list: stack them; or pass a tuple of arrays "
            "for a network of several inputs"
        )
    elif _is_array(images) and len(images.shape) < 2:
        raise ValueError(f"images must be (n, height, width, channels) or (n, …), but have shape {tuple(images.shape)}")
    elif _is_array(images) or isinstance(images, Mapping | tuple):
        examples = Examples(images)
    elif isinstance(images, Iterable):
        examples = Loaded(images)
    else:
        raise ValueError(
            f"images must be an array (n, height, width, channels), a tuple or dict of arrays, or a loader of batches, "
            f"not a {type(images).__name__}"
        )
    return examples if subset is None else examples.chosen(_indices(subset, examples.n))


def _indices(subset: Sequence[int] | np.ndarray | slice, count: int) -> np.ndarray:
    if isinstance(subset, slice):
        return np.arange(count)[subset]
    indices = np.asarray(subset)
    if indices.ndim != 1 or indices.dtype.kind not in "biu":
        raise ValueError(f"subset must be a list of indices, a mask or a slice, not {indices.dtype} of {indices.shape}")
    if indices.dtype == bool:
        if len(indices) != count:
            raise ValueError(f"subset is a mask of {len(indices)}, but there are {count} images")
        return np.flatnonzero(indices)
    wrong = indices[(indices < -count) | (indices >= count)]
    if len(wrong):
        raise ValueError(f"subset holds {wrong[0]}, but there are {count} images")
    return np.where(indices < 0, indices + count, indices)


def concatenated(first: Any, second: Any) -> Any:
    """Two trees of examples, one after the other."""

    def joined(one: Any, other: Any) -> Any:
        stack: Any = jnp if isinstance(one, jax.Array) else np
        return stack.concatenate([one, other])

    return jax.tree.map(joined, first, second)


def repeated(examples: Any, times: int) -> Any:
    """The last example of a tree of arrays, so many times."""

    def last(leaf: Any) -> Any:
        stack: Any = jnp if isinstance(leaf, jax.Array) else np
        return stack.repeat(leaf[-1:], times, axis=0)

    return jax.tree.map(last, examples)


def one_of(examples: Any, index: int) -> Any:
    """Example ``index`` of a tree of arrays, with a leading axis of one."""
    return jax.tree.map(lambda leaf: leaf[index : index + 1], examples)


def count_of(examples: Any) -> int:
    """How many examples a tree of arrays holds."""
    return len(jax.tree.leaves(examples)[0])


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _array(leaf: Any) -> Any:
    """An array as this package uses it: PyTorch's tensors as NumPy arrays, others as they are."""
    if not hasattr(leaf, "detach"):
        if not _is_array(leaf):
            raise ValueError(f"images holds a {type(leaf).__name__}, which is no array: leave it out or make it one")
        if getattr(leaf.dtype, "kind", "") in _NO_NUMBERS:
            raise ValueError(f"images are of dtype {leaf.dtype}, no numbers: convert them, images.astype('float32')")
        return leaf
    tensor = leaf.detach().cpu()
    return np.asarray(tensor.float() if "bfloat16" in str(tensor.dtype) else tensor)


def _length(leaf: Any, name: str) -> int:
    if not leaf.shape:
        raise ValueError(f"images{name} is a single number: every array needs a leading axis of examples")
    return int(leaf.shape[0])


def _read(part: Any) -> Any:
    return part if isinstance(part, jax.Array) else np.asarray(part)


def _picked(leaf: Any, indices: np.ndarray) -> Any:
    if isinstance(leaf, np.ndarray | jax.Array):
        return leaf[indices]
    runs = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)
    parts = [_read(leaf[int(run[0]) : int(run[-1]) + 1]) for run in runs if len(run)]
    return np.concatenate(parts) if parts else _read(leaf[:0])
