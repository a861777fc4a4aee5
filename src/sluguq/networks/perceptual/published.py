"""ImageNet weights of the perceptual networks: where torchvision publishes them."""

from __future__ import annotations

from typing import NamedTuple


class WeightsFile(NamedTuple):
    """Where torchvision's weights are published (BSD-3): address, first digits of the SHA-256, file name."""

    url: str
    sha256: str
    filename: str


_SHA256_PREFIX = {"vgg19": "dcbb9e9d", "squeezenet1_1": "b8a52dc0"}


def weights_file(network: str) -> WeightsFile:
    """Where the ImageNet weights of ``network`` (vgg19 or squeezenet1_1) are to be fetched.

    :param network: its name.
    :raises ValueError: where there is no such network.
    """
    if network not in _SHA256_PREFIX:
        raise ValueError(f"network={network!r}: must be one of {', '.join(_SHA256_PREFIX)}")
    filename = f"{network}-{_SHA256_PREFIX[network]}.pth"
    return WeightsFile(f"https://download.pytorch.org/models/{filename}", _SHA256_PREFIX[network], filename)
