"""Bad input, told in words before hours are spent on it."""

import re
import warnings
from functools import partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sluguq.machine.streams import plain_stream
from sluguq.slug.accuracy import as_number
from sluguq.slug.examples import Examples
from sluguq.slug.fingerprint import difference, fingerprint
from sluguq.slug.masks import weighed
from sluguq.slug.network import Apply, as_partial, channels_last, is_image, parameter_count, widened

ROOTS = "look for a root, a norm or a logarithm at zero, also in the branch that a where does not take"
"""What makes a derivative NaN where the output is a number."""


def check_finite_images(images: Any, first: int = 0) -> None:
    """Refuse images, a tree of arrays in memory, with NaN or infinite values.

    :raises ValueError: naming the first such image, counted from ``first``.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(images):
        _check_range(path, leaf)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        axes = tuple(range(1, leaf.ndim))
        finite = jnp.isfinite(leaf).all(axes) if isinstance(leaf, jax.Array) else np.isfinite(leaf).all(axes)
        bad = ~np.asarray(finite)
        if bad.any():
            where = f" in {jax.tree_util.keystr(path)}" if path else ""
            raise ValueError(
                f"image {first + int(bad.argmax())} holds NaN or infinite values{where} ({int(bad.sum())} such "
                f"images): leave them out or repair them"
            )


def _check_range(path: Any, leaf: Any) -> None:
    """Refuse numbers of 64 bits that JAX would wrap around, or make infinite, in the 32 bits that it uses."""
    dtype = np.dtype(leaf.dtype) if isinstance(leaf, np.ndarray) else None
    if dtype is None or dtype.kind not in "iuf" or dtype.itemsize < 8 or not leaf.size:
        return
    narrow = np.dtype(jax.dtypes.canonicalize_dtype(dtype))
    if narrow == dtype:
        return
    limits: Any = np.finfo(narrow) if dtype.kind == "f" else np.iinfo(narrow)
    beyond = (leaf < limits.min) | (leaf > limits.max)
    beyond &= np.isfinite(leaf)
    if beyond.any():
        where = f" in {jax.tree_util.keystr(path)}" if path else ""
        raise ValueError(
            f"images hold {leaf[beyond].ravel()[0]:g}{where}, which {narrow} cannot: JAX computes in 32 bits. Scale "
            f"them, or set jax.config.update('jax_enable_x64', True)"
        )


@jax.jit
def _finite(leaves):
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves])


def check_parameters(params: Any) -> None:
    """Refuse weights that cannot be differentiated or are not numbers, and statistics that are no weights.

    :raises ValueError: naming the leaf.
    """
    statistics = running_statistics(params)
    if statistics:
        raise ValueError(
            f"params{statistics[0]} is a running statistic, which training counts and does not fit: pass the weights "
            f"alone (linen: variables['params']; NNX: nnx.split(model, nnx.Param, ...)) and bind the statistics by "
            f"jax.tree_util.Partial"
        )
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
    if not leaves:
        raise ValueError("params holds no arrays: pass the network's weights")
    for name, leaf in leaves:
        _check_leaf(name, leaf)
    for (name, _), finite in zip(leaves, _finite([leaf for _, leaf in leaves]), strict=True):
        if not finite:
            raise ValueError(f"params{name} holds NaN or infinite values: has the training diverged?")


def _check_leaf(name: str, leaf: Any) -> None:
    if type(leaf).__module__.partition(".")[0] == "torch":
        raise ValueError(f"params{name} is a PyTorch tensor: sluguq.from_torch makes apply and params of a module")
    try:
        dtype = jnp.result_type(leaf)
    except TypeError as error:
        raise ValueError(
            f"params{name} is a {type(leaf).__name__}, no array: keep functions, texts and settings out of params, for "
            f"an Equinox module by eqx.partition(model, eqx.is_inexact_array)"
        ) from error
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(f"params{name} is {dtype}: keep real and imaginary parts as weights of their own")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"params{name} is {dtype}, not floating-point: keep counters, keys and other "
            f"integers out of params, for example as an argument bound by jax.tree_util.Partial"
        )


_STATISTICS = {"batch_stats", "running_mean", "running_var", "moving_mean", "moving_variance", "num_batches_tracked"}


def running_statistics(params: Any) -> list[str]:
    """Paths of what is a running statistic by its collection's name (linen, PyTorch, Keras) or its type (NNX)."""

    def typed(node: Any) -> bool:
        return hasattr(node, "get_metadata") or type(node).__name__ in ("VariableState", "BatchStat")

    paths = []
    for path, node in jax.tree_util.tree_leaves_with_path(params, is_leaf=typed):
        kind = getattr(node, "type", type(node))
        has_name = any(str(getattr(part, "key", getattr(part, "name", ""))) in _STATISTICS for part in path)
        if has_name or getattr(kind, "__name__", "") == "BatchStat":
            paths.append(jax.tree_util.keystr(path))
    return paths


def check_key(key: Any) -> None:
    """Refuse a number in place of a random key.

    :raises ValueError: saying how to make one.
    """
    dtype = getattr(key, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    raw = dtype == np.uint32 and getattr(key, "shape", None) in ((2,), (4,))
    if not typed and not raw:
        raise ValueError(f"key is {key!r}: pass a random key, for example jax.random.key(0)")
    if typed and key.shape != ():
        raise ValueError(f"key has shape {key.shape}: pass one key")


def check_whole(name: str, value: Any) -> None:
    """Refuse what is no whole number of at least 1.

    :raises ValueError: naming the argument.
    """
    if not _is_count(value):
        raise ValueError(f"{name} is {value!r}: it is a whole number of at least 1")


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def check_rank(rank: int, params: Any) -> None:
    """Refuse a rank that the weights cannot have.

    :raises ValueError: with what is allowed.
    """
    count = parameter_count(params)
    if not _is_count(rank) or rank > count:
        raise ValueError(f"rank {rank} is impossible: the network has {count} weights, so 1 to {count}")


@jax.jit
def _forward_and_tangent(apply, params, images, tangent):
    """The output and its derivative along ``tangent``."""
    return jax.jvp(lambda weights: apply(weights, images), (params,), (tangent,))


@jax.jit
def _output(apply, params, images):
    return apply(params, images)


def _trace(apply: Apply, params: Any, images: jax.Array) -> tuple[str, list[np.ndarray]]:
    # A new function every time, or JAX would answer from its cache of traces.
    closed = jax.make_jaxpr(lambda weights, batch: apply(weights, batch))(params, images)
    return re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)), [_plain(value) for value in closed.consts]


def _plain(value: Any) -> np.ndarray:
    """A constant as numbers; random keys, which a network may carry without using them, are none of themselves."""
    is_key = jnp.issubdtype(jnp.result_type(value), jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(value) if is_key else value)


def _another(first: Any, last: Any) -> np.ndarray:
    """A random array like two others, (1, …) each, within their range; of labels, single numbers, one between them.

    It is there for what data sets hide: a first image that is repeated, or black.
    """
    first, last = np.asarray(first), np.asarray(last)
    low, high = (float(fold([first.min(), last.min(), first.max(), last.max()])) for fold in (np.min, np.max))
    integers = not np.issubdtype(first.dtype, np.floating)
    if low == high and integers and first.ndim > 2:
        low, high = 0.0, 1.0 if first.dtype == bool else float(min(255, np.iinfo(first.dtype).max))
    elif low == high and not integers:
        low, high = low - 1, high + 1
    values = plain_stream().uniform(low, high + integers, first.shape)
    return (np.floor(values) if integers else values).astype(first.dtype)


def _looked_at(images: Examples) -> Any:
    """Three examples: the first, the last, and a random one that neither of them equals."""
    first, last = images[:1], images[images.n - 1 : images.n]
    other = jax.tree.map(_another, first, last)
    return jax.tree.map(lambda *parts: jnp.concatenate([jnp.asarray(part) for part in parts]), first, last, other)


def check_network(apply: Apply, params: Any, images: Examples) -> None:
    """Refuse an ``apply`` of the wrong shape, not deterministic, not image by image, or not differentiable.

    Three images, two traces, four runs: what is drawn in Python shows in the traces, what is drawn in callbacks
    shows in two runs of the same images, what mixes images shows when the others are others, and what is drawn by a
    fixed key for each place in the batch shows when the images change places.

    :raises ValueError: saying which, and what to do.
    """
    apply = as_partial(apply)
    some = _looked_at(images)
    alike = jax.tree.map(lambda leaf: jnp.concatenate([leaf[:1]] * len(leaf)), some)
    turned = jax.tree.map(lambda leaf: leaf[::-1], some)
    shapes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(some))
    try:
        output = jax.eval_shape(apply, params, some)
        shape = output.shape if isinstance(output, jax.ShapeDtypeStruct) else f"a {type(output).__name__}"
    except (TypeError, AttributeError, jax.errors.JAXTypeError) as error:
        raise ValueError(
            f"apply(params, images) cannot be traced by JAX on images of shape {shapes}, so it cannot be "
            f"differentiated ({type(error).__name__}: {str(error).splitlines()[0]}): write it with jax.numpy"
        ) from error
    first = jax.tree.map(lambda leaf: leaf[:1], some)
    if not isinstance(shape, tuple) or not shape or shape[0] != 3:
        raise ValueError(
            f"apply(params, images) must return one array (n, height, width, channels), or (n, …), n as it came; for "
            f"images of shape {shapes} it returned {shape}"
        )
    _check_output_dtype(output.dtype)
    (text, constants), (again, constants_again) = (_trace(apply, params, some) for _ in range(2))
    same = text == again and all(map(np.array_equal, constants, constants_again))
    draw = plain_stream().standard_normal
    tangent = jax.tree.map(lambda leaf: jnp.asarray(draw(jnp.shape(leaf)), jnp.result_type(leaf)), params)
    try:
        (output, slope), (second, _), (beside, _), (turned_output, _) = (
            _forward_and_tangent(apply, params, batch, tangent) for batch in (some, some, alike, turned)
        )
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"apply(params, images) is not differentiable in params by jax.jvp "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    output, second, beside, turned_output, slope = map(np.asarray, (output, second, beside, turned_output, slope))
    if not np.isfinite(output[:2]).all():
        raise ValueError(f"apply(params, images) returned NaN or infinite values for image {_bad(output, images.n)}")
    # Runs may differ by rounding: some GPU kernels add in an order of their own.
    close = partial(np.allclose, rtol=1e-3, atol=1e-3 * np.abs(output[:2]).max())
    if not same or not close(output[:2], second[:2]):
        raise ValueError(
            "apply(params, images) is not deterministic: two calls differ. Switch off dropout, sample the "
            "latent mean, and use batch normalisation's running statistics"
        )
    if not close(beside[1:], np.broadcast_to(beside[:1], beside[1:].shape)):
        raise ValueError(
            "apply(params, images) gives the same image other outputs at other places of a batch, as dropout or a "
            "latent sample under a fixed key do: switch them off, and use the latent mean"
        )
    if not close(output[0], beside[0]):
        raise ValueError(
            "apply(params, images) mixes the images of a batch: the first image's output changes with the image "
            "beside it. Use batch normalisation's running statistics, and keep whatever spans a batch out of apply"
        )
    if not close(output[:2], turned_output[::-1][:2]):
        raise ValueError(
            "apply(params, images) depends on the place of an image in its batch: keep whatever counts or orders "
            "images out of apply"
        )
    alone = _output_alone(apply, params, first)
    if alone.shape != (1, *output.shape[1:]) or not close(output[:1], alone):
        raise ValueError(
            "apply(params, images) gives an image another output alone than among three: it hangs on the number of "
            "images. Keep divisions by that number, squeezes of an axis of 1, and reshapes to a fixed number out of "
            "apply"
        )
    if not np.isfinite(slope[:2]).all():
        raise ValueError(
            f"the derivative of apply with respect to params is NaN or infinite for image {_bad(slope, images.n)}, "
            f"though its output is not: {ROOTS}"
        )
    if not slope.any():
        raise ValueError(
            "the derivative of apply with respect to params is zero on the first images, and on a random one: is a "
            "stop_gradient, a rounding or an argmax in the way, or are other weights used than those in params?"
        )


def _output_alone(apply: Partial, params: Any, image: Any) -> np.ndarray:
    """The output for one image, (1, …).

    :raises ValueError: where ``apply`` takes no batch of one.
    """
    try:
        return np.asarray(_output(apply, params, image))
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(
            f"apply(params, images) takes three images, but not one alone ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}): let it take any number of images"
        ) from error


def _bad(values: np.ndarray, count: int) -> int:
    """Which of the first and the last of ``count`` images is not finite."""
    return 0 if not np.isfinite(values[0]).all() else count - 1


def _check_output_dtype(dtype: Any) -> None:
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(
            f"apply(params, images) returns {dtype}: stack real and imaginary parts as channels, "
            f"jnp.concatenate([z.real, z.imag], axis=-1)"
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"apply(params, images) returns {dtype}, which has no derivative: return floats")


def checked(apply: Apply, params: Any, images: Examples) -> tuple[Partial, Any]:
    """The first three arguments of a public call, refused or as the computation wants them.

    :returns: ``apply`` and ``params``, see :func:`~sluguq.slug.network.widened` and
        :func:`~sluguq.slug.masks.weighed`.
    :raises ValueError: for the first check that fails.
    """
    plain = images.plain
    check_parameters(params)
    params = jax.tree.map(jnp.asarray, params)  # Python's floats are weights too
    if plain.in_memory:  # streamed images are looked at when they are read
        check_finite_images(plain[:])
    check_network(apply, params, plain)
    apply, params = widened(apply, params, plain)
    return weighed(apply, images), params


def check_has_maps(apply: Apply, params: Any, images: Examples) -> None:
    """Refuse maps of outputs that are no images.

    :raises ValueError: with the shape of the outputs.
    """
    shape = jax.eval_shape(apply, params, images[:1]).shape
    if not is_image(shape[1:]):
        raise ValueError(
            f"maps need outputs (n, height, width, channels), but apply returns (n, {', '.join(map(str, shape[1:]))}): "
            f"leave maps at False, or give the output its missing axes"
        )


def check_probes(probes: Any) -> None:
    """Refuse a number of probes that gives no standard error; None says nothing of it.

    :raises ValueError: naming it.
    """
    if probes is not None and (not _is_count(probes) or probes < 2):
        raise ValueError(f"probes is {probes!r}: it is a whole number, and a standard error needs at least 2")


def check_score_arguments(
    basis: Any,
    params: Any,
    probes: int | None,
    tolerance: float | None,
    prior_precision: float,
    directions: int | None = None,
    accuracy: str | float | None = None,
) -> None:
    """Refuse numbers that make no sense, and a basis of another kind or of another network.

    :raises ValueError: naming the argument and what is allowed.
    """
    check_probes(probes)
    if accuracy is not None:
        as_number(accuracy)
        if probes is not None or tolerance is not None or directions is not None:
            raise ValueError("accuracy chooses probes and directions itself: give it alone, or leave it out")
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: it is a relative standard error, between 0 and 1")
    if not isinstance(prior_precision, Real) or not 0 <= prior_precision < float("inf"):
        raise ValueError(f"prior_precision is {prior_precision!r}: it is a number of at least 0")
    if directions is not None and directions != 0 and not _is_count(directions):
        raise ValueError(f"directions is {directions!r}: it is a whole number, and none is 0")
    if basis is None:
        if prior_precision:
            raise ValueError("prior_precision has no meaning without a basis: pass one, or leave it at 0")
    elif not hasattr(basis, "vectors"):
        raise ValueError(f"basis is a {type(basis).__name__}: score takes what eigenbasis returned, or None")
    elif basis.vectors.shape[1] != parameter_count(params):
        raise ValueError(
            f"the basis has vectors of length {basis.vectors.shape[1]}, but params holds "
            f"{parameter_count(params)} weights: it belongs to another network"
        )
    else:
        check_fingerprint(basis, params)


def mapped_apply(apply: Apply, params: Any, images: Examples, axis: int, *, maps: bool) -> Apply:
    """``apply`` with the channels of its output last, looked at for maps where they are asked for.

    :raises ValueError: where the output has no such axis, or is no image although maps are asked for.
    """
    if maps:
        check_has_maps(apply, params, images)
    if maps or axis != -1:
        check_channel_axis(apply, params, images, axis)
    return channels_last(apply, axis)


def check_channel_axis(apply: Apply, params: Any, images: Examples, axis: int) -> None:
    """Refuse an axis that the output does not have; warn where maps would sum over what looks like no channels.

    :raises ValueError: with the axes that there are.
    """
    shape = jax.eval_shape(apply, params, images[:1]).shape
    if not isinstance(axis, int | np.integer) or axis == 0 or not -len(shape) < axis < len(shape):
        raise ValueError(f"channel_axis {axis!r} is no axis of an output (n, …) of shape {('n', *shape[1:])}")
    if axis == -1 and len(shape) == 4 and shape[1] <= 4 < shape[3]:
        warnings.warn(
            f"maps sum over the last axis of an output of shape {('n', *shape[1:])}, which looks like channels first: "
            f"pass channel_axis=1 to sum over channels",
            stacklevel=5,
        )


def check_fingerprint(basis: Any, params: Any) -> None:
    """Refuse a basis of other weights, or of the same weights in another order.

    :raises ValueError: saying which.
    """
    change = difference(getattr(basis, "fingerprint", ""), fingerprint(params))
    if change is not None:
        raise ValueError(f"the basis belongs to other params than these: {change}. Compute it anew with these weights")


def check_sketched_basis(basis: Any, params: Any) -> None:
    """Refuse a basis of another kind, or of another network.

    :raises ValueError: saying which.
    """
    if not hasattr(basis, "sketch"):
        raise ValueError(f"basis is a {type(basis).__name__}: score_sketched takes what sketched_eigenbasis returned")
    if not basis.sketch.takes(parameter_count(params)):
        raise ValueError(
            f"the basis sketches vectors of another length than the {parameter_count(params)} weights in params: it "
            f"belongs to another network"
        )
    check_fingerprint(basis, params)


def check_does_not_vanish(largest: float, dtype: Any) -> None:
    """Refuse a Gauss-Newton matrix whose largest eigenvalue is zero, or whose square would be.

    :raises ValueError: saying why that may be.
    """
    if not largest > float(jnp.finfo(dtype).tiny) ** 0.5:
        raise ValueError(
            f"the Gauss-Newton matrix of these images vanishes (largest eigenvalue {largest:g}): their outputs "
            "hardly change with any weight, as of black images in a network without biases, masks of zeros, or outputs "
            "of a scale that the arithmetic cannot square. Use other images, or scale the outputs"
        )


def check_finite_scores(scores: np.ndarray, first: int = 0) -> None:
    """Refuse to hand out scores that are no numbers.

    :raises ValueError: naming the first such image, counted from ``first``.
    """
    bad = ~np.isfinite(scores)
    if bad.any():
        raise ValueError(
            f"image {first + int(bad.argmax())} has a NaN or infinite score ({int(bad.sum())} such images): look for "
            f"NaN in these images, an overflow of apply on them, or a derivative that is NaN; {ROOTS}"
        )


def check_sketch(sketch_size: int, iterations: int, count: int) -> None:
    """Refuse a sketch that cannot tell the directions apart, or that is longer than what it sketches.

    :raises ValueError: with what is allowed.
    """
    if not iterations <= sketch_size <= count:
        raise ValueError(
            f"sketch_size {sketch_size} is impossible: it must lie between the {iterations} iterations of Lanczos "
            f"and the {count} weights"
        )


def check_positions(positions: Any, count: int) -> np.ndarray:
    """Where images are in the whole set; one after the other where nothing is said.

    :raises ValueError: for positions that are not one a image, rising, whole numbers of at least 0.
    """
    if positions is None:
        return np.arange(count)
    positions = np.asarray(positions)
    if positions.shape != (count,) or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(
            f"positions has shape {positions.shape}, but must hold one whole number for each of {count} images"
        )
    if positions[0] < 0 or (np.diff(positions) < 0).any():
        raise ValueError("positions must rise from at least 0: sort the images by their position")
    return positions
