"""Architectures by name: the one list to which a new one is added.

JAX and the architectures themselves are imported when one is asked for, so that planning a workflow stays quick.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sluguq.machine.errors import SluguqError
from sluguq.machine.own_files import run_file

if TYPE_CHECKING:
    from sluguq.networks.network import Settings


class Architecture(NamedTuple):
    """Where an architecture is and what can be chosen of it.

    :ivar place: module and name of its settings, ``package.module:Name``.
    :ivar keys: keys of the section ``model`` of the configuration that it takes: fields of its settings, less
        ``image_size`` and ``channels``. What is no key of that section is read from ``model.options``.
    """

    place: str
    keys: tuple[str, ...]


ARCHITECTURES = {
    "residual_vae": Architecture(
        "sluguq.networks.vae:VAESettings",
        ("width", "depth", "latent_channels", "bottleneck_blocks", "normalisation", "padding"),
    ),
    "attention_vae": Architecture(
        "sluguq.networks.attention_vae:AttentionVAESettings", ("width", "depth", "latent_channels", "padding")
    ),
}
_FORMER_NAMES = {"vae": "residual_vae"}  # in files that earlier versions wrote


class ArchitectureError(SluguqError, ValueError):
    """A network that there is not, or that is not what is said of it."""


def is_own(network: str) -> bool:
    """Whether a network is named by a file, ``path/to/file.py:name``, and not by the registry.

    :param network: as the configuration names it.
    """
    return ".py:" in network


def own_file(network: str) -> Path:
    """The file of a network that :func:`is_own`.

    :param network: as the configuration names it.
    """
    return Path(network.rsplit(":", 1)[0])


def place_of(network: str) -> str:
    """Module and name, or file and name, of a network's settings.

    :param network: as the configuration names it.
    :raises ArchitectureError: with the names that there are.
    """
    if is_own(network):
        return network
    name = _FORMER_NAMES.get(network, network)
    if name not in ARCHITECTURES:
        raise ArchitectureError(
            f"there is no network {network!r}: take one of {', '.join(ARCHITECTURES)}, or path/to/file.py:name"
        )
    return ARCHITECTURES[name].place


def source_of(network: str) -> Path:
    """The file that a network's settings are in, found without running it.

    :param network: as the configuration names it.
    :raises ArchitectureError: where there is no such network.
    """
    if is_own(network):
        return own_file(network)
    module = place_of(network).split(":")[0]
    return Path(__file__).parents[1].joinpath(*module.split(".")[1:]).with_suffix(".py")


def name_of(settings: Settings) -> str:
    """The registered name of an architecture, by its settings.

    :param settings: of a network.
    :raises ArchitectureError: where their class is not in the registry.
    """
    place = f"{type(settings).__module__}:{type(settings).__qualname__}"
    for name, architecture in ARCHITECTURES.items():
        if architecture.place == place:
            return name
    raise ArchitectureError(f"{place} is in no line of sluguq.networks.registry: give the network's name")


@functools.cache
def found(place: str) -> Any:
    """The object at ``module:name`` or ``path/to/file.py:name``.

    A file is run once a process, with its folder on ``sys.path`` meanwhile, so that it can import its neighbours.

    :param place: from :func:`place_of`.
    :raises ArchitectureError: where there is no such file or name.
    """
    home, _, name = place.rpartition(":")
    if is_own(place):
        path = Path(home).resolve()
        if not path.is_file():
            raise ArchitectureError(f"there is no file {home} (of the network {place})")
        module = run_file(path, "network", neighbours=True)
    else:
        module = importlib.import_module(home)
    if not hasattr(module, name):
        raise ArchitectureError(f"{home} defines no {name} (of the network {place})")
    return getattr(module, name)


def settings_of(model: Mapping[str, Any], image_size: int, channels: int = 3) -> Settings:
    """Settings of the numerics from the section ``model`` of the configuration.

    :param model: the section as a mapping: ``network``, the keys of its architecture, ``options``.
    :param image_size: height and width in pixels.
    :param channels: colour channels.
    :raises ArchitectureError: where there is no such network, or it does not take these options.
    """
    network, options = model.get("network", "residual_vae"), model.get("options", {})
    place = place_of(network)
    keys = () if is_own(network) else ARCHITECTURES[network].keys
    values = {key: model[key] for key in keys if key in model}
    try:
        return found(place)(image_size=image_size, channels=channels, **values, **options)
    except TypeError as error:
        raise ArchitectureError(f"model.options {dict(options)} do not fit {network}: {error}") from error
