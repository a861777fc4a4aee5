"""A network that was trained elsewhere, taken up in the place of one that the workflow trains."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sluguq.machine.devices import device_in_words
from sluguq.networks.reconstruction import reconstruct
from sluguq.networks.registry import found, is_own, place_of
from sluguq.networks.weights import WeightsError, load_network, save_network, save_reference
from sluguq.stages.keys import ModelId
from sluguq.stages.model_files import ModelFiles
from sluguq.stages.pictures import samples_of, shown_images, write_pictures
from sluguq.stages.settings import in_yaml, write_settings
from sluguq.stores.store import open_store
from sluguq.stores.tables import write_table


def adopt_model(
    images: str | os.PathLike[str],
    split: str | os.PathLike[str],
    trained: str | os.PathLike[str],
    files: ModelFiles,
    *,
    model_id: ModelId,
    image_size: int,
    model: Mapping[str, Any],
    samples: int,
) -> None:
    """Write what training would have: weights (a copy, or for a network of one's own a reference), pictures.

    :param images: prepared images of the training data set.
    :param split: the seed's split.
    :param trained: file of the trained weights, which ``model.weights`` names.
    :param files: what to write: weights; a history of no epochs; some test images, and prior samples where the network
        can draw them; what the model depends on.
    :param model_id: which model.
    :param image_size: height and width in pixels of the images that it is to see.
    :param model: the section ``model`` of the configuration.
    :param samples: number of prior samples.
    :raises WeightsError: naming the file, where it holds another network than ``model`` names, or of another size.
    """
    trained, weights_path = Path(trained), Path(files.weights)
    name = model_id._asdict()
    settings = {**name, "image_size": image_size, "model": model}
    if is_own(model["network"]):
        save_reference(weights_path, model["network"], trained, image_size=image_size, options=model["options"], **name)
        network = load_network(weights_path)
    else:
        network = load_network(trained)
        kind = found(place_of(model["network"]))
        if not isinstance(network.settings, kind) or network.settings.image_size != image_size:
            raise WeightsError(
                f"{trained}: is a network of {network.settings}, but model.network is {model['network']} and images "
                f"have {image_size} pixels"
            )
        save_network(weights_path, network, architecture=model["network"], **name)
    store = open_store(images)
    photographs = shown_images(store, split)
    reconstruct(network, photographs)  # what cannot reconstruct is told here, before hours of eigenbasis
    write_pictures(
        files.samples,
        store,
        photographs,
        samples_of(network, samples, model_id.seed),
        {},
        title=f"Pictures by the given network of configuration {model_id.configuration}, seed {model_id.seed}",
        source="network trained elsewhere",
        configuration=in_yaml(settings),
        device=device_in_words(),
    )
    write_table(files.history, pd.DataFrame(columns=["epoch"]), sealed=False)
    write_settings(files.configuration, settings)
