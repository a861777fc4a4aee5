"""Histories, spectra, prior samples and their skin tones, gathered along configuration and seed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sluguq.stages.aggregation.axes import model_axes, write_model_axes
from sluguq.stages.aggregation.tones import write_tones
from sluguq.stores.provenance import provenance
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.tables import read_numbers
from sluguq.stores.variables import described


def aggregate_models(
    histories: Mapping[tuple[str, int], str | os.PathLike[str]],
    eigenbases: Mapping[tuple[str, int], str | os.PathLike[str]],
    samples: Mapping[tuple[str, int], str | os.PathLike[str]],
    images: str | os.PathLike[str],
    splits: Mapping[int, str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    experiment: str,
    groups: Mapping[str, Sequence[int]],
    configuration: str,
) -> None:
    """Gather training histories, eigenvalues, prior samples and skin tones into ``results/<experiment>/models.zarr``.

    :param histories: history.csv of each (configuration, seed), one row per epoch.
    :param eigenbases: summary (json: eigenvalues, residuals, ...) of each eigenbasis.
    :param samples: store of prior samples (sample, y, x, channel) of each model.
    :param images: prepared images of the training data set.
    :param splits: split of each seed.
    :param path: store to write.
    :param experiment: name of the experiment.
    :param groups: skin types of every group.
    :param configuration: resolved configuration as YAML.
    """
    configurations, seeds = model_axes(histories)
    models = (len(configurations), len(seeds))
    tables = {key: read_numbers(file) for key, file in histories.items()}
    spectra = {key: json.loads(Path(file).read_text(encoding="utf-8")) for key, file in eigenbases.items()}
    first_table = next(iter(tables.values()))
    attributes = {
        "experiment": experiment,
        "synthetic": int(open_store(images).attrs["synthetic"]),
        "groups": json.dumps({group: list(types) for group, types in groups.items()}),
        **provenance(
            f"Training histories, spectra and prior samples of the experiment {experiment}",
            "training and eigenbasis of every model",
            configuration,
            "",
        ),
    }
    with StoreWriter(path, attributes=attributes) as writer:
        write_model_axes(writer, configurations, seeds)
        for axis, values in (
            ("epoch", first_table["epoch"].to_numpy()),
            ("rank", np.arange(1, 1 + max((len(s["eigenvalues"]) for s in spectra.values()), default=0))),
        ):
            attributes = described({"epoch": "epoch of training", "rank": "number of the eigenvector"}[axis], "count")
            writer.create(axis, (axis,), values.shape, "int64", attributes=attributes, coordinate=True)
            writer.write(axis, ..., values.astype("int64"))
        for term in (c for c in first_table.columns if c != "epoch"):
            dense = np.full((*models, len(first_table)), np.nan, dtype=np.float64)
            for (name, seed), table in tables.items():
                dense[configurations.index(name), seeds.index(seed)] = table[term]
            writer.create(
                term, ("configuration", "seed", "epoch"), dense.shape, dense.dtype,
                attributes=described(f"{term.replace('_', ' ')}, mean over the epoch", "history of training"),
            )  # fmt: skip
            writer.write(term, ..., dense)
        for term, long_name in (
            ("eigenvalues", "leading eigenvalue of the generalised Gauss-Newton matrix"),
            ("residuals", "residual norm of the eigenpair, ||G u - lambda u||"),
        ):
            longest = max((len(s[term]) for s in spectra.values()), default=0)
            dense = np.full((*models, longest), np.nan)
            for (name, seed), spectrum in spectra.items():
                dense[configurations.index(name), seeds.index(seed), : len(spectrum[term])] = spectrum[term]
            writer.create(
                term, ("configuration", "seed", "rank"), dense.shape, dense.dtype,
                attributes=described(long_name, "Lanczos with full reorthogonalisation"),
            )  # fmt: skip
            writer.write(term, ..., dense)
        _write_samples(writer, configurations, seeds, samples)
        write_tones(writer, configurations, seeds, samples, images, splits)


def _write_samples(
    writer: StoreWriter,
    configurations: Sequence[str],
    seeds: Sequence[int],
    samples: Mapping[tuple[str, int], str | os.PathLike[str]],
) -> None:
    """Pictures that every model's store holds, with the two model dimensions in front."""
    stores = {key: open_store(file) for key, file in samples.items()}
    first = next(iter(stores.values()))
    for name in (str(n) for n in first.data_vars):
        template = first[name]
        writer.create(
            name,
            ("configuration", "seed", *(str(d) for d in template.dims)),
            (len(configurations), len(seeds), *template.shape),
            template.dtype,
            attributes=dict(template.attrs),
        )
        for (configuration, seed), store in stores.items():
            writer.write(name, (configurations.index(configuration), seeds.index(seed)), store[name].values)
