"""Bad input, told in words before hours are spent on it."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sluguq.slug.accuracy import as_number
from sluguq.slug.examples import Examples, concatenated
from sluguq.slug.masks import weighed
from sluguq.slug.network import Apply, as_partial, is_image, parameter_count, widened


def check_finite_images(images: Any, first: int = 0) -> None:
    """Refuse images, a tree of arrays in memory, with NaN or infinite values.

    :raises ValueError: naming the first such image, counted from ``first``.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(images):
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


@jax.jit
def _finite(leaves):
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves])


def check_parameters(params: Any) -> None:
    """Refuse weights that cannot be differentiated or are not numbers.

    :raises ValueError: naming the leaf.
    """
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
    if not leaves:
        raise ValueError("params holds no arrays: pass the network's weights")
    for name, leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(
                f"params{name} is {jnp.result_type(leaf)}, not floating-point: keep counters, keys and other "
                f"integers out of params, for example as an argument bound by jax.tree_util.Partial"
            )
    for (name, _), finite in zip(leaves, _finite([leaf for _, leaf in leaves]), strict=True):
        if not finite:
            raise ValueError(f"params{name} holds NaN or infinite values: has the training diverged?")


def check_rank(rank: int, params: Any) -> None:
    """Refuse a rank that the weights cannot have.

    :raises ValueError: with what is allowed.
    """
    count = parameter_count(params)
    if not 1 <= rank <= count:
        raise ValueError(f"rank {rank} is impossible: the network has {count} weights, so 1 to {count}")


@jax.jit
def _forward_and_tangent(apply, params, images, tangent):
    """The output and its derivative along ``tangent``."""
    return jax.jvp(lambda weights: apply(weights, images), (params,), (tangent,))


def _trace(apply: Apply, params: Any, images: jax.Array) -> tuple[str, list[np.ndarray]]:
    # A new function every time, or JAX would answer from its cache of traces.
    closed = jax.make_jaxpr(lambda weights, batch: apply(weights, batch))(params, images)
    return re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)), [_plain(value) for value in closed.consts]


def _plain(value: Any) -> np.ndarray:
    """A constant as numbers; random keys, which a network may carry without using them, are none of themselves."""
    is_key = jnp.issubdtype(jnp.result_type(value), jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(value) if is_key else value)


def _turned(examples: Any) -> Any:
    """A single example turned over: any other will do."""
    return jax.tree.map(lambda leaf: jnp.flip(leaf, axis=tuple(range(1, leaf.ndim))), examples)


def check_network(apply: Apply, params: Any, images: Examples) -> None:
    """Refuse an ``apply`` of the wrong shape, not deterministic, not image by image, or not differentiable.

    Two images, two traces, three runs: what is drawn in Python shows in the traces, what is drawn in callbacks
    shows in two runs of the same images, and what mixes images shows when the second image is another.

    :raises ValueError: saying which, and what to do.
    """
    apply = as_partial(apply)
    first = jax.tree.map(jnp.asarray, images[:1])
    other = jax.tree.map(jnp.asarray, images[images.n - 1 : images.n]) if images.n > 1 else _turned(first)
    pair, twice = concatenated(first, other), concatenated(first, first)
    seen = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(pair))
    try:
        output = jax.eval_shape(apply, params, pair)
        shape = output.shape if isinstance(output, jax.ShapeDtypeStruct) else f"a {type(output).__name__}"
    except (TypeError, AttributeError, jax.errors.JAXTypeError) as error:
        raise ValueError(
            f"apply(params, images) cannot be traced by JAX on images of shape {seen}, so it cannot be "
            f"differentiated ({type(error).__name__}: {str(error).splitlines()[0]}): write it with jax.numpy"
        ) from error
    if not isinstance(shape, tuple) or not shape or shape[0] != 2:
        raise ValueError(
            f"apply(params, images) must return one array (n, height, width, channels), or (n, …), n as it came; for "
            f"images of shape {seen} it returned {shape}"
        )
    (text, constants), (again, constants_again) = (_trace(apply, params, pair) for _ in range(2))
    same = text == again and all(map(np.array_equal, constants, constants_again))
    draw = np.random.default_rng(0).standard_normal
    tangent = jax.tree.map(lambda leaf: jnp.asarray(draw(jnp.shape(leaf)), jnp.result_type(leaf)), params)
    try:
        (output, slope), (repeated, _), (beside, _) = (
            _forward_and_tangent(apply, params, batch, tangent) for batch in (pair, pair, twice)
        )
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"apply(params, images) is not differentiable in params by jax.jvp "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    output, repeated, beside, slope = (np.asarray(array) for array in (output, repeated, beside, slope))
    if not np.isfinite(output).all():
        raise ValueError("apply(params, images) returned NaN or infinite values on the first or the last image")
    # Runs may differ by rounding: some GPU kernels add in an order of their own.
    close = partial(np.allclose, rtol=1e-3, atol=1e-3 * np.abs(output).max())
    if not same or not close(output, repeated):
        raise ValueError(
            "apply(params, images) is not deterministic: two calls differ. Switch off dropout, sample the "
            "latent mean, and use batch normalisation's running statistics"
        )
    if not close(output[0], beside[0]):
        raise ValueError(
            "apply(params, images) mixes the images of a batch: the first image's output changes with the image "
            "beside it. Use batch normalisation's running statistics, and keep whatever spans a batch out of apply"
        )
    if not np.isfinite(slope).all():
        raise ValueError("the derivative of apply with respect to params is NaN or infinite on the first images")
    if not slope.any():
        raise ValueError(
            "the derivative of apply with respect to params is zero on the first images: is a stop_gradient, "
            "a rounding or an argmax in the way, or are other weights used than those in params?"
        )


def checked(apply: Apply, params: Any, images: Examples) -> tuple[Partial, Any]:
    """The first three arguments of a public call, refused or as the computation wants them.

    :returns: ``apply`` and ``params``, see :func:`~sluguq.slug.network.widened` and
        :func:`~sluguq.slug.masks.weighed`.
    :raises ValueError: for the first check that fails.
    """
    plain = images.plain
    check_parameters(params)
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
    if probes is not None and probes < 2:
        raise ValueError(f"probes is {probes}: a standard error needs at least 2")
    if accuracy is not None:
        as_number(accuracy)
        if probes is not None or tolerance is not None or directions is not None:
            raise ValueError("accuracy chooses probes and directions itself: give it alone, or leave it out")
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}: it is a relative standard error, between 0 and 1")
    if prior_precision < 0:
        raise ValueError(f"prior_precision is {prior_precision}: it cannot be negative")
    if directions is not None and directions < 0:
        raise ValueError(f"directions is {directions}: none is 0")
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


def check_finite_scores(scores: np.ndarray, first: int = 0) -> None:
    """Refuse to hand out scores that are no numbers.

    :raises ValueError: naming the first such image, counted from ``first``.
    """
    bad = ~np.isfinite(scores)
    if bad.any():
        raise ValueError(
            f"image {first + int(bad.argmax())} has a NaN or infinite score ({int(bad.sum())} such images): look for "
            f"NaN in these images, or an overflow of apply on them"
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
