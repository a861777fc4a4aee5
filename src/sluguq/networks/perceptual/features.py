"""The perceptual loss: how far apart two images are in the features of a pretrained network.

Equation 2 of the fairness paper (3 of the SLUG paper): the mean squared difference of a layer's feature maps.
Both papers take VGG19 and all 16 of its convolutions; the outputs are taken before the ReLU, as the code that
the fairness paper names does. SqueezeNet 1.1 is a light second network: its first convolution and the outputs
of its eight fire modules, before the ReLU likewise.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sluguq.machine.streams import plain_stream
from sluguq.networks.convolution import convolve
from sluguq.networks.perceptual.published import weights_file
from sluguq.networks.perceptual.torch_files import WeightsFileError, read_torch_weights, verify_hash

Network = Literal["vgg19", "squeezenet1_1"]
InputNormalisation = Literal["imagenet", "none"]

# Of RGB in [0, 1]: what torchvision's classifiers were trained on.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

# Channels of VGG19's convolutions, block by block; a 2×2 maximum lies between blocks (Simonyan, Zisserman 2015).
_VGG_BLOCKS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
# Fire modules of SqueezeNet 1.1, torchvision's position: channels in, squeezed, expanded (each of two halves).
_FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=["network", "normalisation"])
@dataclass(frozen=True)
class Perceptual:
    """A feature network. A pytree: pass it to jitted functions as an argument.

    :ivar weights: torchvision's layer name to {"kernel": (k, k, in, out), "bias": (out,)}.
    :ivar network: which one.
    :ivar normalisation: imagenet: images in [-1, 1] are brought to the mean and deviation that the networks were
        trained with. none: they are used as they are, as the code that the fairness paper names does.
    """

    weights: dict[str, dict[str, jax.Array]]
    network: Network = "vgg19"
    normalisation: InputNormalisation = "imagenet"

    @property
    def outputs(self) -> int:
        """Number of feature maps that `features` yields."""
        return 16 if self.network == "vgg19" else 1 + len(_FIRES)


def layer_shapes(network: Network) -> dict[str, tuple[int, int, int, int]]:
    """Kernel shapes (k, k, in, out) by torchvision's layer names, in the order of the forward pass.

    :param network: vgg19 or squeezenet1_1.
    """
    shapes: dict[str, tuple[int, int, int, int]] = {}
    if network == "vgg19":
        position, inputs = 0, 3
        for block in _VGG_BLOCKS:
            for outputs in block:
                shapes[f"features.{position}"] = (3, 3, inputs, outputs)
                position, inputs = position + 2, outputs  # a convolution and its ReLU
            position += 1  # the maximum
    elif network == "squeezenet1_1":
        shapes["features.0"] = (3, 3, 3, 64)
        for position, (inputs, squeezed, expanded) in _FIRES.items():
            shapes[f"features.{position}.squeeze"] = (1, 1, inputs, squeezed)
            shapes[f"features.{position}.expand1x1"] = (1, 1, squeezed, expanded)
            shapes[f"features.{position}.expand3x3"] = (3, 3, squeezed, expanded)
    else:
        raise ValueError(f"network={network!r}: must be vgg19 or squeezenet1_1")
    return shapes


def load_perceptual(
    network: Network,
    path: str | Path | None,
    *,
    weights: Literal["imagenet", "random"] = "imagenet",
    normalisation: InputNormalisation = "imagenet",
    seed: int = 0,
) -> Perceptual:
    """A feature network with torchvision's weights, or with random ones.

    :param network: vgg19 or squeezenet1_1.
    :param path: torchvision's own file (``weights_file(network)``; its checksum is verified), or an ``.npz`` with
        torchvision's names; None with random weights.
    :param weights: imagenet: read from ``path``. random: drawn from ``seed``, kernels normal with variance
        2 / fan in (He et al. 2015) so that features keep their scale from layer to layer, biases zero.
    :param normalisation: of the input, see :class:`Perceptual`.
    :raises ValueError: where a setting is unknown, or imagenet weights are wanted without a path.
    :raises WeightsFileError: naming the file and layer, where it is damaged or of another network.
    """
    shapes = layer_shapes(network)
    if normalisation not in ("imagenet", "none"):
        raise ValueError(f"normalisation={normalisation!r}: must be imagenet or none")
    if weights == "random":
        generator = plain_stream(seed)
        layers = {}
        for name, shape in shapes.items():
            kernel = math.sqrt(2 / math.prod(shape[:3])) * generator.standard_normal(shape, np.float32)
            layers[name] = {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(shape[3], jnp.float32)}
        return Perceptual(layers, network, normalisation)
    if weights != "imagenet":
        raise ValueError(f"weights={weights!r}: must be imagenet or random")
    if path is None:
        raise ValueError(
            f"{network} with imagenet weights needs its file: fetch {weights_file(network).url} and give its path, "
            "or set weights to random"
        )
    return Perceptual(_read(network, Path(path), shapes), network, normalisation)


def _read(network: Network, path: Path, shapes: dict[str, tuple[int, int, int, int]]) -> dict:
    names = {f"{layer}.{part}" for layer in shapes for part in ("weight", "bias")}
    verify_hash(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names & set(archive.files)}
    else:
        arrays = read_torch_weights(path, only=names.__contains__)
    layers = {}
    for layer, shape in shapes.items():
        if missing := {f"{layer}.weight", f"{layer}.bias"} - set(arrays):
            raise WeightsFileError(f"{path}: has no {', '.join(sorted(missing))}: not the weights of {network}")
        kernel = arrays[f"{layer}.weight"].transpose(2, 3, 1, 0)
        bias = arrays[f"{layer}.bias"]
        if kernel.shape != shape or bias.shape != shape[3:]:
            raise WeightsFileError(
                f"{path}: {layer} has a kernel of shape {kernel.shape}, {network} has {shape} (height, width, in, out)"
            )
        layers[layer] = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    return layers


def _maximum(x: jax.Array, size: int) -> jax.Array:
    """Maximum over size × size windows in steps of 2, the last one cut at the border if size is 3.

    Written as maxima of strided slices: the gradient of a windowed reduction is slow on CPUs.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        if size == 3:
            # torchvision rounds the number of windows up.
            outputs = (length - size + 1) // 2 + 1
            pads = [(0, 0)] * 4
            pads[axis] = (0, max(0, 2 * outputs + 1 - length))
            x = jnp.pad(x, pads, constant_values=-jnp.inf)
        else:
            outputs = length // 2
        parts = [lax.slice_in_dim(x, start, start + 2 * outputs - 1, stride=2, axis=axis) for start in range(size)]
        x = functools.reduce(jnp.maximum, parts)
    return x


def _layer(network: Perceptual, name: str, x: jax.Array, **options: Any) -> jax.Array:
    weights = network.weights[name]
    return convolve(x, weights["kernel"].astype(x.dtype), **options) + weights["bias"].astype(x.dtype)


def features(network: Perceptual, images: jax.Array) -> Iterator[jax.Array]:
    """Yield the feature maps of the images, layer by layer.

    :param network: from :func:`load_perceptual`.
    :param images: (n, height, width, 3) in [-1, 1], at least 32 pixels a side; computed in their type.
    :returns: iterator over (n, h, w, c): the 16 convolutions of VGG19, or SqueezeNet's convolution and eight fire
        modules, before the ReLU.
    """
    x = images
    if network.normalisation == "imagenet":
        mean, deviation = np.asarray(_IMAGENET_MEAN), np.asarray(_IMAGENET_DEVIATION)
        scale, shift = 0.5 / deviation, (0.5 - mean) / deviation
        x = x * jnp.asarray(scale, x.dtype) + jnp.asarray(shift, x.dtype)
    yield from (_vgg if network.network == "vgg19" else _squeezenet)(network, x)


def _vgg(network: Perceptual, x: jax.Array) -> Iterator[jax.Array]:
    names = iter(layer_shapes("vgg19"))
    for number, block in enumerate(_VGG_BLOCKS):
        if number:
            x = _maximum(x, 2)
        for _ in block:
            x = _layer(network, next(names), x)
            yield x
            x = jax.nn.relu(x)


def _squeezenet(network: Perceptual, x: jax.Array) -> Iterator[jax.Array]:
    x = _layer(network, "features.0", x, stride=2, pad=False)
    yield x
    x = jax.nn.relu(x)
    for position in _FIRES:
        if position in (3, 6, 9):
            x = _maximum(x, 3)
        fire = f"features.{position}"
        x = jax.nn.relu(_layer(network, f"{fire}.squeeze", x))
        x = jnp.concatenate([_layer(network, f"{fire}.expand{k}x{k}", x) for k in (1, 3)], axis=-1)
        yield x
        x = jax.nn.relu(x)


def perceptual_loss(network: Perceptual, images: jax.Array, reconstructions: jax.Array) -> jax.Array:
    """Mean over layers of the mean squared difference of features; no gradient to ``images``.

    Σ_l 1/(L C_l H_l W_l) ‖Φ_l(x) − Φ_l(f(x))‖², averaged over the batch: equation 2 of the fairness paper
    without its factor 1/2, and averaged over layers, both as in the code that the paper names.

    :param images: (n, height, width, 3) in [-1, 1].
    :param reconstructions: likewise.
    :returns: a scalar, summed in float32.
    """
    targets = features(network, lax.stop_gradient(images))
    terms = [
        jnp.mean(jnp.square(lax.stop_gradient(a).astype(jnp.float32) - b.astype(jnp.float32)))
        for a, b in zip(targets, features(network, reconstructions), strict=True)
    ]
    return jnp.mean(jnp.stack(terms))
