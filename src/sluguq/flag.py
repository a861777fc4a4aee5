"""New photographs judged by the trained models of an experiment: how unusual is the SLUG of each?

SLUG has no absolute scale, and its level differs between networks. So each photograph is compared, network by
network, with the test images of the experiment that this same network has scored and was not trained on; the
percentiles are then averaged over networks, and the average is ranked among those that such images would have.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from tqdm import tqdm

from sluguq.figures.choice import middle_configuration
from sluguq.flag_page import SHOWN, Maps, write_page
from sluguq.flag_table import judged_table
from sluguq.images import Fit, ImageRejected, decode
from sluguq.selection import read_rows
from sluguq.store import file_sha256, open_store, whole_file
from sluguq.tables import groups_of, mixes_of

TABLE, PAGE, REJECTED = "flagged.csv", "flagged.html", "flagged.rejected.csv"


class FlagError(ValueError):
    """Photographs cannot be judged as asked; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Network:
    """A trained network whose eigenbasis was kept.

    reference: what it scored on its seed's test images; columns group, slug, mse; the index is the image's place in the
    experiment's store.
    """

    seed: int
    weights: Path
    basis: Path
    reference: pd.DataFrame


@dataclass(frozen=True)
class Judges:
    """The networks that judge, and the experiment that they come from."""

    experiment: str
    dataset: str
    configuration: str
    mix: Mapping[str, float]
    groups: Mapping[str, list[int]]
    seeds: int
    synthetic: bool
    size: int
    fit: Fit
    score: Mapping[str, Any]
    pixels: xr.DataArray
    networks: tuple[Network, ...]


class Flagged(NamedTuple):
    """What `flag` wrote, and how many photographs were judged and could not be read."""

    table: Path
    page: Path
    judged: int
    rejected: int


def flag(
    folder: str | os.PathLike[str],
    experiment: str | os.PathLike[str],
    *,
    configuration: str | None = None,
    out: str | os.PathLike[str] | None = None,
    probes: int | None = None,
) -> Flagged:
    """Judge the photographs of a folder and write flagged.csv, flagged.html and flagged.rejected.csv.

    The table has a row a photograph, most suspect first (by percentile of SLUG, then by its ratio to the median):
    file; slug and mse, means over networks; slug_sem, the standard error of the mean over networks (of the probes,
    where there is one network or theirs is larger); slug_percentile and mse_percentile (0 to 100) among the
    reference, of several networks the rank of the mean percentile (`sluguq.flag_table.rank_of_mean`); slug_ratio,
    SLUG over the reference's median; slug_percentile_<group> among that group's images alone; and for each network
    slug, slug_sem, slug_percentile, mse and mse_percentile, ending in _seed-<seed>.

    :param folder: photographs, also in folders below; hidden files are passed over.
    :param experiment: folder of the experiment's results, results/<name>.
    :param configuration: configuration whose networks judge; by default the most mixed one.
    :param out: folder to write to; by default results/<name>/flagged/<name of the folder>.
    :param probes: random probes of an image; by default as the experiment's own images were scored. With another number
        the reference is scored anew too: all images of a network share its probes and most of their noise, so scores
        under different probes do not compare.
    :raises FlagError: where there is no such experiment or configuration, no eigenbasis that was kept, or no
        photograph to judge.
    :raises StoreError: where a file of the experiment is damaged.
    :raises WeightsError: likewise.
    """
    folder, experiment = Path(folder), Path(experiment)
    judges = find_judges(experiment, configuration)
    out = experiment / "flagged" / folder.resolve().name if out is None else Path(out)
    names, pixels, rejected = read_photographs(folder, judges.size, judges.fit, skip=out)
    settings = dict(judges.score)
    if probes not in (None, settings["probes"]):
        settings |= {"probes": probes, "tolerance": None}
        judges = scored_anew(judges, settings)
    all_fit = len(pixels) <= SHOWN
    scores, maps = score_photographs(judges, pixels, settings, maps=all_fit)
    table = judged_table(names, judges.networks, scores, judges.groups)
    shown = table.index[:SHOWN].to_numpy()
    if not all_fit:
        # Maps of thousands of photographs by several networks would not fit into memory.
        _, maps = score_photographs(judges, pixels[shown], settings, maps=True)
    elif maps is not None:
        maps = maps.taken(shown)
    assert maps is not None
    table = table.reset_index(drop=True)
    for name, content in ((TABLE, table), (REJECTED, rejected)):
        with whole_file(out / name) as partial:
            content.to_csv(partial, index=False)
    write_page(out / PAGE, table, pixels[shown], maps, judges, rejected, settings)
    return Flagged(out / TABLE, out / PAGE, len(table), len(rejected))


def find_judges(experiment: Path, configuration: str | None = None) -> Judges:
    """The networks of one configuration whose eigenbases were kept, with their reference distributions.

    :raises FlagError: where there is no such experiment or configuration, no eigenbasis was kept, or weights have
        changed.
    """
    store = _reference_store(experiment)
    resolved = yaml.safe_load(store.attrs.get("configuration") or "{}")
    known = [str(name) for name in store["configuration"].values]
    configuration = known[middle_configuration(store)] if configuration is None else configuration
    if configuration not in known:
        raise FlagError(f"{experiment} has no configuration {configuration!r}; it has {', '.join(known)}")
    seeds = [int(seed) for seed in store["seed"].values]
    networks = tuple(
        _network(experiment, store, configuration, seed) for seed in seeds if _kept(experiment, configuration, seed)
    )
    if not networks:
        others = [name for name in known if any(_kept(experiment, name, seed) for seed in seeds)]
        hint = f"; those of configuration {', '.join(others)} were kept (--configuration)" if others else ""
        raise FlagError(
            f"no eigenbasis of configuration {configuration} is left under {experiment / 'eigenbases'}{hint}. "
            "Set eigenbasis.keep to all or first_seed in the experiment's configuration, and run the workflow again: "
            "it computes the eigenbases anew and trains nothing"
        )
    return Judges(
        experiment=str(store.attrs.get("experiment", experiment.name)),
        dataset=str(store.attrs.get("dataset", "")),
        configuration=configuration,
        mix=mixes_of(store).get(configuration, {}),
        groups=groups_of(store),
        seeds=len(seeds),
        synthetic=bool(int(store.attrs.get("synthetic", 0))),
        size=int(resolved["images"]["size"]),
        fit=resolved["images"]["fit"],
        score=resolved["score"],
        pixels=store["pixels"],
        networks=networks,
    )


def _reference_store(experiment: Path) -> xr.Dataset:
    """The aggregated store of the data set that the experiment trained on."""
    if not experiment.is_dir():
        raise FlagError(f"there is no experiment at {experiment}; give the folder of its results, results/<name>")
    for path in sorted(experiment.glob("*.zarr")):
        store = open_store(path)
        if store.attrs.get("role") == "training":
            return store
    raise FlagError(f"{experiment} has no store of scored test images; run the workflow for this experiment first")


def _basis_path(experiment: Path, configuration: str, seed: int) -> Path:
    return experiment / "eigenbases" / configuration / f"seed-{seed}.zarr"


def _kept(experiment: Path, configuration: str, seed: int) -> bool:
    return (_basis_path(experiment, configuration, seed) / "zarr.json").is_file()


def _network(experiment: Path, store: xr.Dataset, configuration: str, seed: int) -> Network:
    scored = store.sel(configuration=configuration, seed=seed)
    weights = experiment / "models" / configuration / f"seed-{seed}" / "weights.safetensors"
    if not weights.is_file():
        raise FlagError(f"{weights} is missing; run the workflow again, which trains this network anew")
    digest = str(scored["weights_sha256"].item()) if "weights_sha256" in store.coords else ""
    if digest and digest != file_sha256(weights):
        raise FlagError(
            f"{weights} is not the network that scored the experiment's test images; run the workflow again"
        )
    columns = {name: scored[name].values for name in ("slug", "mse")}
    reference = pd.DataFrame({"group": scored["group"].values.astype(str), **columns})
    return Network(
        seed, weights, _basis_path(experiment, configuration, seed), reference.dropna(subset=["slug", "mse"])
    )


def read_photographs(
    folder: Path, size: int, fit: Fit, *, skip: Path | None = None
) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    """Every photograph of a folder, as :func:`sluguq.images.decode` reads it.

    :param folder: where they lie, also in folders below.
    :param size: height and width in pixels that the networks see.
    :param fit: how a photograph becomes a square.
    :param skip: folder of an earlier run's three files, which are not looked at.
    :returns: names relative to the folder, uint8 (n, size, size, 3), and a table of file and reason of the unreadable.
    :raises FlagError: where there is no such folder, no file in it, or none that can be read.
    """
    if not folder.is_dir():
        raise FlagError(f"there is no folder {folder}")
    own = {(skip / name).resolve() for name in (TABLE, PAGE, REJECTED)} if skip else set()
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.resolve() not in own
    ]
    if not files:
        raise FlagError(f"there is no file in {folder}")

    def read(path: Path) -> np.ndarray | str:
        try:
            return decode(path.read_bytes(), size, fit=fit)
        except (ImageRejected, OSError) as error:
            return str(error)

    # Pillow lets go of the interpreter while it decodes.
    with ThreadPoolExecutor() as threads:
        results = list(tqdm(threads.map(read, files), total=len(files), desc="read", unit="image", disable=None))
    names = [path.relative_to(folder).as_posix() for path in files]
    good = [(name, found) for name, found in zip(names, results, strict=True) if not isinstance(found, str)]
    bad = [(name, found) for name, found in zip(names, results, strict=True) if isinstance(found, str)]
    if not good:
        raise FlagError(
            f"none of the {len(files)} files in {folder} can be read; the first is {bad[0][0]}: {bad[0][1]}"
        )
    pixels = np.stack([picture for _, picture in good])
    return [name for name, _ in good], pixels, pd.DataFrame(bad, columns=["file", "reason"])


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
    from sluguq.stages.basis_store import read_basis
    from sluguq.stages.keys import model_key
    from sluguq.stages.score import BLOCK, score_images
    from sluguq.weights import load_vae

    scores: list[dict[str, np.ndarray]] = []
    sums: dict[str, np.ndarray] = {}
    for network in judges.networks:
        vae, basis = load_vae(network.weights), read_basis(network.basis)
        key = model_key(judges.configuration, network.seed, "probes")
        blocks = [
            score_images(vae, basis, pixels[start : start + BLOCK], key=key, **{**settings, "maps": maps})
            for start in range(0, len(pixels), BLOCK)
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
    """The same networks with their reference scored by other settings."""
    networks = []
    for network in judges.networks:
        pixels = read_rows(judges.pixels, network.reference.index.to_numpy())
        (scores,), _ = score_photographs(replace(judges, networks=(network,)), pixels, settings, maps=False)
        networks.append(replace(network, reference=network.reference.assign(slug=scores["slug"], mse=scores["mse"])))
    return replace(judges, networks=tuple(networks))
