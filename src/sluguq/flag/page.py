"""The page of judged photographs: the explorer, in one file that needs no other and no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import sluguq
from sluguq.analysis.percentiles import UNUSUAL
from sluguq.figures.words import number
from sluguq.flag.scores import Maps
from sluguq.flag.table import agreement
from sluguq.report.explorer import Collection, Column, Look, Network, Signal, write_explorer
from sluguq.stores.provenance import commit, package_versions

if TYPE_CHECKING:
    from sluguq.flag.judges import Judge, Judges

SHOWN = 200
"""Photographs on the page, the most suspect ones; the table has all."""


def write_page(
    path: Path,
    table: pd.DataFrame,
    pixels: np.ndarray,
    maps: Maps,
    judges: Judges,
    rejected: pd.DataFrame,
    settings: Mapping[str, Any],
) -> None:
    """Write the page.

    :param path: the html file.
    :param table: from :func:`sluguq.flag.table.judged_table`, most suspect first.
    :param pixels: uint8 (n, height, width, 3) of the first n rows of the table.
    :param maps: of the same photographs.
    :param judges: the networks and their reference.
    :param rejected: columns file and reason.
    :param settings: by which photographs and reference were scored, as the section ``score`` of the configuration.
    """
    rows = table.head(len(pixels))
    write_explorer(
        path,
        [_collection(rows, pixels, maps, judges)],
        Look(colours={}, mixes={}, x="mse_percentile", y="slug_percentile"),
        template="flag/page.html.j2",
        files=None,
        judges=judges,
        mix=", ".join(f"{100 * share:.0f} % {group}" for group, share in judges.mix.items()),
        references=[_reference(network, judges) for network in judges.networks],
        group_types={group: ", ".join(map(str, types)) for group, types in judges.groups.items()},
        shown=len(rows),
        total=len(table),
        ranked=len(judges.networks) == 1 or agreement([n.reference for n in judges.networks], "slug") is not None,
        marked=int((table["slug_percentile"] >= UNUSUAL).sum()),
        unusual=UNUSUAL,
        rejected=rejected.to_dict("records"),
        probes=_probes_in_words(settings),
        with_slug_map=maps.slug_map is not None,
        provenance={"commit": commit(), **package_versions()},
        version=sluguq.__version__,
    )


def _collection(table: pd.DataFrame, pixels: np.ndarray, maps: Maps, judges: Judges) -> Collection:
    """The photographs as the explorer shows them, with numbers that are means over the networks."""
    seeds = ", ".join(str(network.seed) for network in judges.networks)
    signals = {
        "slug_percentile": Signal("SLUG, percentile", True),
        "mse_percentile": Signal("error, percentile", True),
        **{f"slug_percentile_{g}": Signal(f"SLUG, percentile among {g}", True) for g in judges.groups},
        "slug_p": Signal("SLUG, conformal p-value, largest of the groups'"),
        **{f"slug_p_{g}": Signal(f"SLUG, conformal p-value among {g}") for g in judges.groups},
        "slug": Signal("SLUG"),
        "slug_ratio": Signal("SLUG, times the median"),
        "mse": Signal("mean squared error"),
    }
    if len(judges.networks) > 1:
        signals |= {
            f"slug_percentile_seed-{n.seed}": Signal(f"SLUG, percentile by seed {n.seed}", True)
            for n in judges.networks
        }
    signals = {key: signal for key, signal in signals.items() if key in table}
    pictures = {"reconstruction": maps.reconstruction, "error_map": maps.error_map, "slug_map": maps.slug_map}
    folders = [file.rpartition("/")[0] or "." for file in table["file"]]
    network = Network(
        configuration=judges.configuration,
        seed=seeds,
        rows=np.arange(len(table)),
        signals={key: table[key].to_numpy(float) for key in (*signals, "slug_sem")},
        pictures={kind: values.__getitem__ for kind, values in pictures.items() if values is not None},
    )
    return Collection(
        name="photographs",
        title="photographs",
        about="",
        ids=table["file"].tolist(),
        columns={"folder": Column("folder", folders)} if len(set(folders)) > 1 else {},
        signals=signals,
        networks=[network],
        pictures={"photograph": pixels.__getitem__},
        first=judges.configuration,
    )


def _probes_in_words(settings: Mapping[str, Any]) -> str:
    if settings["probes"]:
        return f"{settings['probes']} probes"
    if settings["tolerance"]:
        return f"tolerance {settings['tolerance']}"
    return f"accuracy {settings['accuracy']}" if settings.get("accuracy") else "the default accuracy"


def _reference(network: Judge, judges: Judges) -> dict[str, Any]:
    """One network's reference distribution, in all and by group."""
    parts = {"all": network.reference}
    parts |= {group: network.reference[network.reference["group"] == group] for group in judges.groups}
    return {
        "seed": network.seed,
        "rows": [
            {
                "name": name,
                "n": len(part),
                **{
                    f"{column}_{q}": number(float(part[column].quantile(q / 100))) if len(part) else "–"
                    for column in ("slug", "mse")
                    for q in (50, UNUSUAL)
                },
            }
            for name, part in parts.items()
        ],
    }
