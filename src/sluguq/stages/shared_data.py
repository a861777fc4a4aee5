"""Data that several experiments share: made with one set of options, and never overwritten with another in silence."""

from __future__ import annotations

import os
from pathlib import Path

from sluguq.config.experiment import Experiment
from sluguq.config.paths import acquired_images, image_store
from sluguq.stages.sources_read import check_claim, settled


def acquisition_record(images_csv: str | os.PathLike[str]) -> Path:
    """Where it is written down for whom, and with which options, a data set was acquired.

    :param images_csv: table of the acquired images.
    """
    return Path(images_csv).with_name(".made.json")


def preparation_record(store: str | os.PathLike[str]) -> Path:
    """The same of a store of prepared images.

    :param store: folder of the store.
    """
    return Path(store).with_name(f".made-{Path(store).name}.json")


def check_shared_data(experiment: Experiment) -> None:
    """Refuse data sets that another experiment has made with other options.

    :param experiment: the experiment that is to run.
    :raises ConfigurationError: for the first that would be overwritten.
    """
    for name in experiment.scored_datasets:
        options = experiment.datasets[name]
        record = acquisition_record(acquired_images(name))
        check_claim(record, f"the data set {name!r}", experiment.experiment, settled(options))
        store = image_store(name, experiment.images.size)
        check_claim(preparation_record(store), str(store), experiment.experiment, {"fit": experiment.images.fit})
