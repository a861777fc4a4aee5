"""From the files of an experiment to its registration and to the tables of judged claims."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sluguq.claims import judge
from sluguq.claims.registration import entry, read_registration, register
from sluguq.claims.robustness import robustness
from sluguq.datasets.availability import availability_of
from sluguq.stores.provenance import commit
from sluguq.stores.store import open_store, open_stores
from sluguq.stores.tables import write_table

_Path = str | os.PathLike[str]


def write_registration(path: _Path, configuration: str, planned: Mapping[str, Any]) -> None:
    """Write down what is planned and by which rules it will be judged, unless that is the last entry already.

    :param path: of the registration, which may be there.
    :param configuration: the resolved configuration, YAML.
    :param planned: sizes as planned.
    :raises RegistrationError: where the file is no registration.
    """
    new = entry(configuration, planned, datetime.now(UTC).isoformat(timespec="seconds"), commit())
    words = "registered" if register(path, new) else "unchanged since the last registration"
    print(f"{words}: rules {new['rules_version']}")


def write_claims(
    path: _Path,
    datasets: Mapping[str, _Path],
    models: _Path,
    *,
    images: _Path,
    missing: _Path,
    rejected: _Path,
    registration: _Path | None,
    replicates: int,
) -> None:
    """Judge every claim of both papers on the stores of an experiment.

    :param path: csv to write.
    :param datasets: aggregated stores by name.
    :param models: store of models.
    :param images: table of the acquired images of the training data set.
    :param missing: table of its missing images.
    :param rejected: table of those that could not be used.
    :param registration: what was registered before the run; None where nothing was.
    :param replicates: of the bootstrap.
    """
    labels = availability_of(images, missing, rejected)
    entries = read_registration(registration) if registration else ()
    table = judge(open_stores(datasets), labels, replicates, open_store(models), entries)
    write_table(path, table, sealed=False)
    print(table[["claim", "verdict"]].to_string(index=False))


def write_robustness(path: _Path, dataset: _Path, replicates: int) -> None:
    """Judge the claims again on the test images taken in other ways.

    :param path: csv to write.
    :param dataset: aggregated store of the training data set.
    :param replicates: of the bootstrap.
    """
    table = robustness(open_store(dataset), replicates)
    write_table(path, table, sealed=False)
    print(table.groupby("variant", sort=False)["same"].agg(["sum", "size"]).to_string())
