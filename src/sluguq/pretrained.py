"""ImageNet weights of the perceptual networks: where torchvision publishes them, fetched and verified."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class WeightsFile(NamedTuple):
    """Where torchvision's weights are published (BSD-3): address, first digits of the SHA-256, file name."""

    url: str
    sha256: str
    filename: str


class WeightsMismatch(RuntimeError):
    """A fetched file is not what torchvision published."""


_SHA256_PREFIX = {"vgg19": "dcbb9e9d", "squeezenet1_1": "b8a52dc0"}


def weights_file(network: str) -> WeightsFile:
    """Where the ImageNet weights of `network` (vgg19 or squeezenet1_1) are to be fetched.

    Raises:
        ValueError: There is no such network.
    """
    if network not in _SHA256_PREFIX:
        raise ValueError(f"network={network!r}: must be one of {', '.join(_SHA256_PREFIX)}")
    filename = f"{network}-{_SHA256_PREFIX[network]}.pth"
    return WeightsFile(f"https://download.pytorch.org/models/{filename}", _SHA256_PREFIX[network], filename)


def fetch_weights(network: str, path: str | os.PathLike[str], *, url: str | None = None) -> None:
    """Fetch the weights of a network to `path`; the file appears only once its checksum is right.

    Args:
        network: vgg19 or squeezenet1_1.
        path: Where the file is to lie.
        url: A mirror, in place of torchvision's own address.

    Raises:
        DownloadError: The file could not be had.
        WeightsMismatch: What came has another checksum; it is deleted.
    """
    from sluguq.datasets.download import Downloader, Request

    published = weights_file(network)
    path = Path(path)
    unverified = path.with_name(f".{path.name}.unverified")
    with Downloader() as downloader:
        downloader.fetch(Request(url or published.url, unverified))
    digest = hashlib.sha256()
    with unverified.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    if not digest.hexdigest().startswith(published.sha256):
        unverified.unlink()
        raise WeightsMismatch(
            f"{url or published.url} gave a file whose SHA-256 begins with {digest.hexdigest()[:8]}, not with "
            f"{published.sha256}; try again, or give training.perceptual.file a copy that you trust"
        )
    unverified.replace(path)
