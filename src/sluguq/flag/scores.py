"""Scores and maps of photographs by every network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sluguq.flag.judges import Judges
from sluguq.stores.selection import read_rows


def score_photographs(
    judges: Judges, pixels: np.ndarray, settings: Mapping[str, Any], *, maps: bool
) -> tuple[list[dict[str, np.ndarray]], Maps | None]:
    """Scores by every network, one network in memory at a time.

    :param judges: the networks.
    :param pixels: uint8 (n, height, width, channels).
    :param settings: the section ``score`` of the configuration.
    :param maps: whether to return maps: means over networks, and the first network's reconstructions.
    :returns: for each network slug, slug_sem and mse, each (n,); and the maps.
    """
    # JAX takes seconds to import: a wrong folder is told before.
    from sluguq.networks.weights import load_network
    from sluguq.stages.basis_store import read_basis_store
    from sluguq.stages.keys import ModelId
    from sluguq.stages.score import BLOCK, score_images, settled_of

    scores: list[dict[str, np.ndarray]] = []
    sums: dict[str, np.ndarray] = {}
    for judge in judges.networks:
        network, basis = load_network(judge.weights), read_basis_store(judge.basis)
        key = ModelId(judges.configuration, judge.seed).key("probes")
        options = {**settings, "maps": maps}
        settled = settled_of(network, basis, pixels, key=key, **options)
        blocks = [
            score_images(network, basis, pixels[part], key=key, positions=part, settled=settled, **options)
            for part in np.split(np.arange(len(pixels)), range(BLOCK, len(pixels), BLOCK))
        ]
        whole = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        scores.append({name: whole[name].astype(float) for name in ("slug", "slug_sem", "mse")})
        for name in ("error_map", "slug_map"):
            if name in whole:
                sums[name] = sums.get(name, 0) + whole[name] / len(judges.networks)
        if maps and "reconstruction" not in sums:
            sums["reconstruction"] = whole["reconstruction"]
    return scores, Maps(sums["reconstruction"], sums["error_map"], sums.get("slug_map")) if maps else None


def scored_anew(judges: Judges, settings: Mapping[str, Any]) -> Judges:
    """The same networks with their reference scored by other settings.

    :param judges: with their references.
    :param settings: the section ``score`` of the configuration.
    """
    networks = []
    for network in judges.networks:
        pixels = read_rows(judges.pixels, network.reference.index.to_numpy())
        (scores,), _ = score_photographs(replace(judges, networks=(network,)), pixels, settings, maps=False)
        networks.append(replace(network, reference=network.reference.assign(slug=scores["slug"], mse=scores["mse"])))
    return replace(judges, networks=tuple(networks))


class Maps(NamedTuple):
    """Pictures of n photographs.

    reconstruction: uint8 (n, height, width, 3), by the first network. error_map, slug_map: (n, height, width), means
    over networks; a sketched eigenbasis gives no SLUG map.
    """

    reconstruction: np.ndarray
    error_map: np.ndarray
    slug_map: np.ndarray | None

    def taken(self, rows: np.ndarray) -> Maps:
        """The pictures of these photographs, in this order.

        :param rows: (k,) their places.
        """
        slug_map = None if self.slug_map is None else self.slug_map[rows]
        return Maps(self.reconstruction[rows], self.error_map[rows], slug_map)
