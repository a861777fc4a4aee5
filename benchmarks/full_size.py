"""Aggregation, figures, tables, claims and report at the papers' size, on stores made for the purpose.

Thirty models (three configurations, ten seeds) have scored 1,024 test images each of the training data set, 4,901 and
3,000 images of two external ones, and 320 images a seed with and without drawn artefacts, all at 128 pixels with maps.
The stages are those of the workflow's scripts, each in a process of its own.

    nice -n 15 python benchmarks/full_size.py FOLDER

The scores are random with gaps between groups and configurations put in. The maps are smooth random fields under 10 %
noise, so that they compress as real ones do; the models of one data set share their files (hard links), since what
the stages do does not depend on it. FOLDER needs about 40 GB, and is left empty unless `--keep` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from scipy.ndimage import gaussian_filter

from slug_common import publish, table
from sluguq.stores.provenance import provenance
from sluguq.stores.store import StoreWriter, open_store
from sluguq.stores.variables import IMAGE_COORDINATES, MAPS, PER_IMAGE, described, round_mantissa

SIZE = 128
BANK = 64
CONFIGURATIONS = {"A": {"light": 1.0}, "B": {"light": 0.5, "dark": 0.5}, "C": {"dark": 1.0}}
GROUPS = {"light": [1, 2], "dark": [5, 6]}
ERRORS = {"A": (0.010, 0.030), "B": (0.012, 0.018), "C": (0.022, 0.024)}
# Fitzpatrick17k's labelled images of FST 1 and 2, and of 5 and 6; PASSION; some thousand of ISIC with labels.
POOLS = {"light": 7755, "dark": 2168}
EXTERNAL = {"passion": 4901, "isic": 3000}
LABELS = ("ruler", "ink", "patches", "hair", "gel_bubble", "gel_border", "dark_corner")
KINDS = ("", "ruler", "ink", "patch", "bubble")
NAMES = ("fitzpatrick", *EXTERNAL, "artefacts")


class Scale:
    """How large everything is; `share` makes all of it smaller."""

    def __init__(self, seeds: int, share: float) -> None:
        self.seeds = range(seeds)
        self.models = [(name, seed) for name in CONFIGURATIONS for seed in self.seeds]
        self.pools = {group: round(count * share) for group, count in POOLS.items()}
        self.tested = round(512 * share)
        self.external = {name: round(count * share) for name, count in EXTERNAL.items()}
        self.drawn = max(round(32 * share), 2)
        self.configuration = yaml.safe_dump(
            {"experiment": "full-size", "configurations": CONFIGURATIONS, "images": {"size": SIZE}}
        )


def fields(rng: np.random.Generator, count: int, smooth: float, noise: float) -> np.ndarray:
    """Smooth positive random fields (count, SIZE, SIZE) of mean 1, each pixel under its own relative noise."""
    raw = np.stack([gaussian_filter(rng.normal(size=(SIZE, SIZE)), smooth) for _ in range(count)])
    raw = np.exp(1.2 * raw / raw.std()) * np.abs(1 + noise * rng.normal(size=raw.shape))
    return (raw / raw.mean(axis=(1, 2), keepdims=True)).astype(np.float32)


def pictures(rng: np.random.Generator, count: int, grain: float) -> np.ndarray:
    """Smooth coloured pictures uint8 (count, SIZE, SIZE, 3) with grain of this many grey levels."""
    colour = rng.uniform(80, 200, (count, 1, 1, 3)).astype(np.float32)
    shade = np.stack([gaussian_filter(rng.normal(size=(SIZE, SIZE)), 6) for _ in range(count)])
    values = colour * (1 + 0.3 * shade / shade.std())[..., None] + rng.normal(0, grain, (count, SIZE, SIZE, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def write_images(
    path: Path, ids: np.ndarray, fst: np.ndarray, extra: dict[str, tuple], rng: np.random.Generator
) -> None:
    """A store of prepared images; `extra` holds further variables."""
    bank = pictures(rng, BANK, 3.0)
    known = described("made for the benchmark", "random numbers")
    texts = {"patient": [f"p{i // 2}" for i in range(len(ids))], "sha256": [f"{i:064x}" for i in range(len(ids))]}
    attributes = {**provenance("images", "benchmark", "", ""), "synthetic": 1}
    with StoreWriter(path, attributes=attributes) as writer:
        columns = {"id": ids, "fst": fst, "duplicate_group": np.full(len(ids), -1), **texts}
        for name, values in columns.items():
            values = np.asarray(values, object) if np.asarray(values).dtype.kind in "OU" else np.asarray(values)
            writer.create(
                name, ("image",), values.shape, values.dtype, coordinate=True,
                attributes=IMAGE_COORDINATES[name],
            )  # fmt: skip
            writer.write(name, ..., values)
        for name, (dimensions, values) in extra.items():
            writer.create(name, dimensions, values.shape, values.dtype, attributes=known)
            writer.write(name, ..., values)
        writer.create("pixels", ("image", "y", "x", "channel"), (len(ids), SIZE, SIZE, 3), "uint8", attributes=known)
        for start in range(0, len(ids), BANK):
            writer.append("pixels", bank[: min(BANK, len(ids) - start)])


def write_maps(path: Path, count: int, rng: np.random.Generator) -> None:
    """A score store of maps alone, whose files every model's store links to."""
    bank = {
        "error_map": round_mantissa(0.02 * fields(rng, BANK, 2, 0.3)),
        "slug_map": round_mantissa(fields(rng, BANK, 4, 0.1)),
        "reconstruction": pictures(rng, BANK, 1.0),
    }
    with StoreWriter(path, attributes=provenance("maps", "benchmark", "", "")) as writer:
        for name, values in bank.items():
            writer.create(
                name, MAPS[name].dimensions, (count, *values.shape[1:]), MAPS[name].dtype,
                attributes=MAPS[name].attributes,
            )  # fmt: skip
            for start in range(0, count, BANK):
                writer.append(name, values[: min(BANK, count - start)])


def write_scores(path: Path, maps: Path, store: xr.Dataset, rows: np.ndarray, model: tuple[str, int]) -> None:
    """The score store of one model for some rows of an image store, with the linked maps."""
    name, seed = model
    rng = np.random.default_rng([seed, ord(name)])
    fst = store["fst"].values[rows]
    # How hard an image is, is its own; every model sees it with its own noise.
    difficulty = np.random.default_rng(0).normal(0, 0.3, store.sizes["image"])[rows]
    level = np.where(fst >= 5, ERRORS[name][1], ERRORS[name][0])
    mse = level * np.exp(difficulty + rng.normal(0, 0.1, len(rows)))
    slug = 1e5 * mse * np.exp(rng.normal(0, 0.2, len(rows)))
    values = {
        "mse": mse,
        "latent_std": 0.5 + 0.05 * rng.normal(size=len(rows)),
        "kl": 100 + 10 * difficulty,
        "slug": slug,
        "slug_sem": 0.01 * slug,
        "jacobian_norm": 4 * slug * np.exp(rng.normal(0, 0.4, len(rows))),
        "jacobian_norm_sem": 0.01 * slug,
        "probes": np.full(len(rows), 200),
    }
    with StoreWriter(path, attributes={**provenance("scores", "benchmark", "", ""), "synthetic": 1}) as writer:
        for key in ("id", "fst"):
            chosen = store[key].values[rows]
            writer.create(
                key, ("image",), chosen.shape, chosen.dtype, attributes=IMAGE_COORDINATES[key], coordinate=True
            )
            writer.write(key, ..., chosen)
        for key, variable in {**PER_IMAGE, **MAPS}.items():
            shape = (len(rows), SIZE, SIZE, 3)[: len(variable.dimensions)]
            writer.create(key, variable.dimensions, shape, variable.dtype, attributes=variable.attributes)
            if key in values:
                writer.write(key, ..., values[key].astype(variable.dtype))
    for key in MAPS:
        shutil.copytree(maps / key / "c", path / key / "c", copy_function=os.link)


def make(folder: Path, scale: Scale) -> None:
    """Image stores and score stores of all data sets."""
    rng = np.random.default_rng(0)
    ids = np.array([f"{group}-{i:05d}" for group, count in scale.pools.items() for i in range(count)], object)
    fst = np.concatenate([np.resize(GROUPS[group], count) for group, count in scale.pools.items()]).astype(np.int8)
    masks = (np.indices((SIZE, SIZE)) - SIZE / 2).__pow__(2).sum(axis=0) < (SIZE / 5) ** 2
    lesion = {"lesion_mask": (("image", "y", "x"), np.repeat(masks[None].astype("uint8"), len(ids), axis=0))}
    write_images(folder / "images" / "fitzpatrick.zarr", ids, fst, lesion, rng)
    tested = {}
    for seed in scale.seeds:
        draw = np.random.default_rng(seed)
        tested[seed] = np.sort(
            np.concatenate(
                [draw.choice(np.flatnonzero(np.isin(fst, types)), scale.tested, False) for types in GROUPS.values()]
            )
        )
    for name, count in scale.external.items():
        there = rng.integers(3, 7, count) if name == "passion" else np.full(count, -1)
        labels = {f"label_{label}": (("image",), rng.binomial(1, 0.2, count).astype(float)) for label in LABELS}
        names = np.array([f"{name}-{i:05d}" for i in range(count)], object)
        extra = labels if name == "isic" else {}
        write_images(folder / "images" / f"{name}.zarr", names, there.astype(np.int8), extra, rng)
    for seed in scale.seeds:
        _make_drawn(folder, scale, ids, fst, tested[seed], seed)
    counts = {"fitzpatrick": 2 * scale.tested, **scale.external, "artefacts": 2 * scale.drawn * len(KINDS)}
    for name in NAMES:
        write_maps(folder / "maps" / f"{name}.zarr", counts[name], rng)
        for model in scale.models:
            file = f"artefacts-{model[1]}" if name == "artefacts" else name
            store = open_store(folder / "images" / f"{file}.zarr")
            rows = tested[model[1]] if name == "fitzpatrick" else np.arange(store.sizes["image"])
            path = folder / "scores" / model[0] / f"seed-{model[1]}" / f"{name}.zarr"
            write_scores(path, folder / "maps" / f"{name}.zarr", store, rows, model)


def _make_drawn(folder: Path, scale: Scale, ids: np.ndarray, fst: np.ndarray, tested: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    chosen = np.concatenate(
        [rng.choice(tested[np.isin(fst[tested], types)], scale.drawn, False) for types in GROUPS.values()]
    )
    rows, kinds = np.repeat(chosen, len(KINDS)), np.tile(KINDS, len(chosen))
    names = np.array([f"{ids[r]}--{k}-s{seed}" if k else ids[r] for r, k in zip(rows, kinds, strict=True)], object)
    masks = np.zeros((len(rows), SIZE, SIZE), "uint8")
    for mask, kind in zip(masks, kinds, strict=True):
        if kind:
            y, x = rng.integers(0, SIZE - 30, 2)
            mask[y : y + 12, x : x + 30] = 1
    extra = {
        "artefact_mask": (("image", "y", "x"), masks),
        "artefact": (("image",), kinds.astype(object)),
        "clean_image": (("image",), ids[rows]),
    }
    write_images(folder / "images" / f"artefacts-{seed}.zarr", names, fst[rows], extra, rng)


def aggregate(folder: Path, scale: Scale, name: str) -> None:
    """The stage `aggregate` for one data set."""
    from sluguq.stages.aggregation.scores import aggregate_scores

    files = [f"artefacts-{seed}" for seed in scale.seeds] if name == "artefacts" else [name]
    aggregate_scores(
        [folder / "images" / f"{file}.zarr" for file in files],
        {model: folder / "scores" / model[0] / f"seed-{model[1]}" / f"{name}.zarr" for model in scale.models},
        folder / f"{name}.zarr",
        experiment="full-size",
        dataset=name,
        role={"fitzpatrick": "training", "artefacts": "artefacts"}.get(name, "external"),
        groups=GROUPS,
        configuration=scale.configuration,
    )


def figures(folder: Path, scale: Scale, name: str) -> None:
    """The stage `figures` for one data set; tells the seconds of every figure and the peak memory after it."""
    import matplotlib

    matplotlib.use("Agg")
    from sluguq.analysis.tables import read_table
    from sluguq.figures import FIGURES, names_for
    from sluguq.figures.drawing import draw, save

    store = open_store(folder / f"{name}.zarr")
    read = {path.stem: read_table(path) for path in (folder / "tables" / name).iterdir()}
    spent = {}
    for figure in names_for(store.attrs["role"]):
        start = time.perf_counter()
        labels = pd.DataFrame({"id": store["id"].values, "fst": store["fst"].values, "state": "available"})
        labels_of = labels if FIGURES[figure].needs == "labels" else None
        drawn, numbers = draw(figure, store, labels=labels_of, tables=read)
        save(drawn, numbers, folder / "figures" / name, figure)
        spent[figure] = f"{time.perf_counter() - start:.1f} s, {peak():.2f} GB"
    print(json.dumps(spent), file=sys.stderr, flush=True)


def tables(folder: Path, scale: Scale, name: str) -> None:
    """The stage `tables` for one data set."""
    from sluguq.analysis.catalogue import tables_for
    from sluguq.analysis.making import make_table
    from sluguq.stores.tables import write_table

    store = open_store(folder / f"{name}.zarr")
    (folder / "tables" / name).mkdir(parents=True, exist_ok=True)
    spent = {}
    for table_name in tables_for(store.attrs["role"]):
        start = time.perf_counter()
        write_table(folder / "tables" / name / f"{table_name}.csv", make_table(table_name, store), sealed=False)
        spent[table_name] = f"{time.perf_counter() - start:.1f} s, {peak():.2f} GB"
    print(json.dumps(spent), file=sys.stderr, flush=True)


def claims(folder: Path, scale: Scale, name: str) -> None:
    """The stage `claims`."""
    from sluguq.claims import judge

    stores = {each: open_store(folder / f"{each}.zarr") for each in NAMES}
    labels = pd.DataFrame({"fst": stores["fitzpatrick"]["fst"].values, "state": "available"})
    judge(stores, labels).to_csv(folder / "claims.csv", index=False)


def report(folder: Path, scale: Scale, name: str) -> None:
    """The stage `report_page`, with the model cards."""
    from sluguq.analysis.tables import read_table
    from sluguq.report.model_card import model_card
    from sluguq.report.page import write_report

    stores = {each: open_store(folder / f"{each}.zarr") for each in NAMES}
    home = {name: read_table(folder / "tables" / "fitzpatrick" / f"{name}.csv") for name in ("levels", "flagging")}
    external = {each: read_table(folder / "tables" / each / "skin_types.csv") for each in EXTERNAL}
    write_report(
        folder / "index.html",
        claims=pd.read_csv(folder / "claims.csv"),
        datasets=stores,
        figures={each: folder / "figures" / each for each in NAMES},
        cards={each: model_card(stores["fitzpatrick"], each, home, external) for each in CONFIGURATIONS},
    )


STAGES: dict[str, Callable[[Path, Scale, str], None]] = {
    "aggregate": aggregate,
    "figures": figures,
    "tables": tables,
    "claims": claims,
    "report": report,
}


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def disk(folder: Path) -> float:
    """GB of the files under a folder, a file with several names counted once."""
    sizes = {file.stat().st_ino: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    return sum(sizes.values()) / 1e9


def main() -> None:
    """Make the stores, run every stage in a process of its own, publish, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="make every data set smaller by this factor")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="leave the stores")
    parser.add_argument("--stage", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    scale = Scale(given.seeds, given.share)
    if given.stage:
        start = time.perf_counter()
        STAGES[given.stage[0]](given.folder, scale, given.stage[1])
        spent = {"seconds": time.perf_counter() - start, "processor": time.process_time(), "peak": peak()}
        print(json.dumps(spent))
        return
    if not (given.folder / "scores").is_dir():
        make(given.folder, scale)
    rows = []
    for stage, name in [
        *(("aggregate", name) for name in NAMES),
        *(("tables", name) for name in NAMES),
        *(("figures", name) for name in NAMES),
        ("claims", "all"),
        ("report", "all"),
    ]:
        command = [sys.executable, __file__, str(given.folder), "--stage", stage, name]
        command += ["--seeds", str(given.seeds), "--share", str(given.share)]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
        size = f"{disk(given.folder / f'{name}.zarr'):.1f}" if stage == "aggregate" else "–"
        rows.append(
            [stage, name, *(f"{result[key]:.0f}" for key in ("seconds", "processor")), f"{result['peak']:.1f}", size]
        )
        print(rows[-1], file=sys.stderr, flush=True)
    sizes = ", ".join(f"{name} {open_store(folder).sizes['image']:,}" for name, folder in _stores(given.folder))
    body = [
        f"{len(scale.models)} models; images in the aggregated stores, at {SIZE} pixels: {sizes}. Scores and maps are "
        "made up (see the script), the maps smooth fields under noise that compress to about half their size; the "
        "stages are the workflow's. Maps of external data sets are links to the files of the score stores and take no "
        f"room of their own: all stores together, models' and aggregated, take {disk(given.folder):.1f} GB here, where "
        "the models of one data set share made-up files.",
        "",
        table(["stage", "data set", "seconds", "processor seconds", "peak memory, GB", "store on disk, GB"], rows),
    ]
    publish("Aggregation and figures at full size", "python benchmarks/full_size.py FOLDER", "\n".join(body))
    if not given.keep:
        shutil.rmtree(given.folder)


def _stores(folder: Path) -> list[tuple[str, Path]]:
    return [(name, folder / f"{name}.zarr") for name in NAMES]


if __name__ == "__main__":
    main()
