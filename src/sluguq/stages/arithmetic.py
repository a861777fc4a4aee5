"""How many operations networks take: counted from their architecture, without building them.

A multiplication with an addition counts as two. What a convolution does to padding is not counted, as XLA does not. An
up-sampling convolution counts as the four of 2x2 taps that give the same result (`sluguq.networks.convolution`).
"""

from __future__ import annotations

from sluguq.config.experiment import Model, Perceptual

_VGG_BLOCKS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
_FIRES = (
    ((64, 16, 64), (128, 16, 64)),
    ((128, 32, 128), (256, 32, 128)),
    ((256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)),
)


def forward_flop(model: Model, size: int, channels: int = 3) -> float:
    """Operations of one image's forward pass through the VAE, encoder and decoder.

    :param model: the network.
    :param size: height and width of the image in pixels.
    """

    def convolution(taps: int, inputs: int, outputs: int) -> float:
        return 2.0 * taps**2 * inputs * outputs

    top, low = model.width * 2**model.depth, size // 2**model.depth
    same = 3 * low - 2  # taps of a 3x3 convolution along an axis that fall on the image
    total = convolution(3 * size - 2, channels, model.width) + convolution(5 * size - 6, model.width, channels)
    total += convolution(low, top, 2 * model.latent_channels) + convolution(low, model.latent_channels, top)
    total += 2 * model.bottleneck_blocks * 2 * convolution(same, top, top // 2)
    for level in range(model.depth):
        narrow, small = model.width * 2**level, size // 2 ** (level + 1)
        wide, large = 2 * narrow, 2 * small
        total += convolution(3 * small - 1, narrow, narrow + wide) + convolution(3 * small - 2, narrow, wide)
        total += 4 * convolution(2 * small - 1, wide, 2 * narrow) + convolution(3 * large - 2, narrow, narrow)
    return total


def perceptual_flop(perceptual: Perceptual, size: int) -> float:
    """Operations of one image's forward pass through the network of the perceptual loss.

    :param perceptual: the section ``training.perceptual``.
    :param size: height and width in pixels.
    """
    total = 0.0
    if perceptual.network == "vgg19":
        inputs, side = 3, size
        for block in _VGG_BLOCKS:
            for outputs in block:
                total += 2.0 * (3 * side - 2) ** 2 * inputs * outputs
                inputs = outputs
            side //= 2
        return total
    side = (size - 3) // 2 + 1
    total += 2.0 * (3 * side) ** 2 * 3 * 64
    for fires in _FIRES:
        side = (side - 3 + 1) // 2 + 1
        for inputs, squeezed, expanded in fires:
            per_pixel = inputs * squeezed + squeezed * expanded
            total += 2.0 * side**2 * per_pixel + 2.0 * (3 * side - 2) ** 2 * squeezed * expanded
    return total
