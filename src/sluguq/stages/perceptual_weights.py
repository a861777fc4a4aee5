"""ImageNet weights of the perceptual networks, fetched once and verified."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sluguq.datasets.download import Downloader, Request
from sluguq.machine.errors import SluguqError
from sluguq.networks.perceptual.published import weights_file


class WeightsMismatch(SluguqError, RuntimeError):
    """A fetched file is not what torchvision published."""


def fetch_weights(network: str, path: str | os.PathLike[str], *, url: str | None = None) -> None:
    """Fetch the weights of a network to ``path``; the file appears only once its checksum is right.

    :param network: vgg19 or squeezenet1_1.
    :param path: where the file is to lie.
    :param url: a mirror, in place of torchvision's own address.
    :raises DownloadError: where the file could not be had.
    :raises WeightsMismatch: where what came has another checksum; it is deleted.
    """
    source = weights_file(network)
    path = Path(path)
    unverified = path.with_name(f".{path.name}.unverified")
    with Downloader() as downloader:
        downloader.fetch(Request(url or source.url, unverified))
    digest = hashlib.sha256()
    with unverified.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    if not digest.hexdigest().startswith(source.sha256):
        unverified.unlink()
        raise WeightsMismatch(
            f"{url or source.url} gave a file whose SHA-256 begins with {digest.hexdigest()[:8]}, not with "
            f"{source.sha256}; try again, or give training.perceptual.file a copy that you trust"
        )
    unverified.replace(path)
