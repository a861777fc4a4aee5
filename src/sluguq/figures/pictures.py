"""Pages of images: reconstructions by configuration and by epoch, maps beside their images, samples from the prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sluguq.analysis.aggregated import flags_of, groups_of, middle_configuration
from sluguq.figures.choice import at_quantiles, by_label, first_seed
from sluguq.figures.style import MAP_COLOURS, WIDTH, empty, figure, finish
from sluguq.figures.words import group_label, number, plural

BRIGHTEST = 99.5
"""Each map is divided by this percentile of its own pixels, and cut off at 1."""

SCALE_NOTE = (
    f"Colours run from 0 to the map's own {BRIGHTEST}th percentile, so they compare places within a map, not maps."
)
RIM_NOTE = (
    "Dotted: the rim that the network's zero padding brightens in SLUG maps; it is of the network, not of the skin, "
    "and left out of the scale."
)


def reconstructions(dataset: xr.Dataset) -> tuple[Figure, pd.DataFrame]:
    """The same images under every configuration, with their errors.

    Images: of each group those nearest to the 10th, 50th and 90th percentile of the group's error, the
    error averaged over configurations and seeds. Networks: of the first seed that tested the image.
    The table has group, quantile, id, seed, configuration, mse.

    :param dataset: an opened aggregated store.
    """
    title = "Reconstructions by configuration"
    choices = at_quantiles(dataset)
    if "reconstruction" not in dataset or "pixels" not in dataset or choices.empty:
        return empty(title, "no reconstructions were stored (score.maps)", dataset), pd.DataFrame()
    configurations = list(dataset["configuration"].values.astype(str))
    groups = groups_of(dataset)
    across = len(configurations) + 1
    cell = min(1.05, (WIDTH - 0.9) / across)
    fig = figure(width=cell * across + 0.9, height=(cell + 0.13) * len(choices) + 0.95)
    grid = fig.subplots(len(choices), across, squeeze=False)
    rows = []
    for line, choice in zip(grid, choices.to_dict("records"), strict=True):
        position = int(choice["image"])
        seed = first_seed(dataset, position)
        if seed is None:
            continue
        one = dataset.isel(image=position, seed=seed)
        show(line[0], one["pixels"].transpose("y", "x", "channel").values)
        name = group_label(choice["group"], groups) if choice["group"] else "all images"
        name = name.replace(" (", "\n(")
        line[0].set_ylabel(f"{name}\n{100 * choice['quantile']:.0f}th percentile", fontsize=6.6)
        for axes, (c, configuration) in zip(line[1:], enumerate(configurations), strict=True):
            mse = float(one["mse"].isel(configuration=c))
            if not np.isfinite(mse):
                axes.axis("off")
                continue
            picture = one["reconstruction"].isel(configuration=c).transpose("y", "x", "channel").values
            show(axes, picture, f"MSE {number(mse)}")
            rows.append(
                {
                    **{k: choice[k] for k in ("group", "quantile", "id")},
                    "seed": dataset["seed"].values[seed],
                    "configuration": configuration,
                    "mse": mse,
                }
            )
    for axes, name in zip(grid[0], ["image", *configurations], strict=True):
        axes.set_title(name)
    note = (
        f"n = {len(choices)} images, chosen as nearest to the 10th, 50th and 90th percentile of their group's error "
        f"(mean over configurations and {plural(dataset.sizes['seed'], 'seed')}). Networks of the first seed that "
        "tested the image."
    )
    return finish(fig, title, note, dataset), pd.DataFrame(rows)


def maps(dataset: xr.Dataset, many: bool = False, configuration: str | None = None) -> tuple[Figure, pd.DataFrame]:
    """Image, reconstruction, error map and SLUG map.

    Images: of each group those nearest to quantiles of SLUG; and where labels say yes or no (ruler,
    ink), of each label those with the fewest other labels, nearest to evenly spaced quantiles of SLUG.
    The table has group (or label), quantile, id, configuration, seed, mse, slug.

    :param dataset: an opened aggregated store.
    :param many: a page of many, two to a line.
    :param configuration: by default that with the most even mix of groups.
    """
    position = (
        middle_configuration(dataset)
        if configuration is None
        else list(dataset["configuration"].values.astype(str)).index(configuration)
    )
    name = str(dataset["configuration"].values[position])
    title = f"{'Many images with their' if many else 'Error and SLUG'} maps, configuration {name}"
    if "slug_map" not in dataset or "pixels" not in dataset:
        return empty(title, "no maps were stored (score.maps)", dataset), pd.DataFrame()
    parts, rules = [], []
    flags = flags_of(dataset)
    if not flags or (dataset["group"].values.astype(str) != "").any():
        quantiles = tuple((i + 0.5) / 8 for i in range(8)) if many else (0.5, 0.95)
        parts.append(at_quantiles(dataset, quantiles, "slug"))
        rules.append("of each group those nearest to quantiles of SLUG")
    if flags:
        parts.append(by_label(dataset, each=4 if many else 1))
        rules.append("of each yes-or-no label those with the fewest other labels, nearest to quantiles of SLUG")
    choices = pd.concat(parts, ignore_index=True).drop_duplicates("image")
    rule = "; ".join(rules)
    if choices.empty:
        return empty(title, "no image has scores", dataset), pd.DataFrame()
    pairs = 2 if many and len(choices) > 3 else 1
    down = -(-len(choices) // pairs)
    cell = 0.76 if pairs == 2 else 1.25
    fig = figure(width=WIDTH if pairs == 2 else 4 * cell + 0.6, height=(cell + 0.16) * down + 1.0)
    grid = fig.subplots(down, 4 * pairs, squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    rows = []
    for place, choice in enumerate(choices.to_dict("records")):
        line = grid[place % down, 4 * (place // down) : 4 * (place // down) + 4]
        seed = first_seed(dataset, int(choice["image"]))
        if seed is None:
            continue
        one = dataset.isel(image=int(choice["image"]), seed=seed, configuration=position)
        _line_of_maps(line, one, choice, small=many, rim=rim_of(dataset))
        rows.append(
            {
                **{k: choice[k] for k in ("group", "quantile", "id")},
                "configuration": name,
                "seed": dataset["seed"].values[seed],
                "mse": float(one["mse"]),
                "slug": float(one["slug"]),
            }
        )
    for block in range(pairs):
        for axes, heading in zip(
            grid[0, 4 * block : 4 * block + 4], ("image", "reconstruction", "error map", "SLUG map"), strict=True
        ):
            axes.set_title(heading, fontsize=7 if many else 8.5)
    note = (
        f"n = {len(choices)} images: {rule} (% on the left: the quantile; the mean over "
        f"{plural(dataset.sizes['seed'], 'seed')}). Networks of the first seed that tested the image. {SCALE_NOTE}"
    )
    if rim_of(dataset):
        note += f" {RIM_NOTE}"
    colour_bar(fig, grid)
    return finish(fig, title, note, dataset), pd.DataFrame(rows)


def pads_with_zeros(dataset: xr.Dataset) -> bool:
    """Whether the experiment's configuration says so; its default is the papers' zeros.

    :param dataset: an opened aggregated store.
    """
    resolved = yaml.safe_load(dataset.attrs.get("configuration") or "{}") or {}
    return isinstance(resolved.get("model"), dict) and resolved["model"].get("padding", "zero") == "zero"


def _line_of_maps(line: Any, one: xr.Dataset, choice: Mapping[Any, Any], small: bool, rim: int) -> None:
    for axes in line:
        axes.axis("on")
    show(line[0], one["pixels"].transpose("y", "x", "channel").values)
    if "reconstruction" in one:
        show(line[1], one["reconstruction"].transpose("y", "x", "channel").values)
    else:
        line[1].axis("off")
    for axes, variable in zip(line[2:], ("error_map", "slug_map"), strict=True):
        show_map(axes, one[variable].transpose("y", "x").values, rim if variable == "slug_map" else 0)
    line[2].set_xlabel(f"MSE {number(float(one['mse']))}", fontsize=6, labelpad=1.5)
    line[3].set_xlabel(f"SLUG {number(float(one['slug']))}", fontsize=6, labelpad=1.5)
    who = choice["group"] or "all images"
    line[0].set_ylabel(f"{who}\n{100 * choice['quantile']:.0f} %", fontsize=5.8 if small else 7)


def rim_of(dataset: xr.Dataset) -> int:
    """Pixels along each border that zero padding brightens in SLUG maps: a sixteenth of the image, else none.

    :param dataset: an opened aggregated store.
    """
    return max(dataset.sizes.get("y", 0) // 16, 1) if pads_with_zeros(dataset) else 0


def show_map(axes: Axes, values: np.ndarray, rim: int) -> None:
    """A map in its colours; with a rim, scaled by what lies within it, and the rim set apart by a dotted line.

    :param axes: to draw on.
    :param values: (y, x) the map.
    :param rim: pixels along each border, see :func:`rim_of`.
    """
    values = np.asarray(values, dtype=np.float32)
    inside = values[rim:-rim, rim:-rim] if rim else values
    show(axes, scaled(values, inside))
    if rim:
        height, width = values.shape
        frame = Rectangle((rim - 0.5, rim - 0.5), width - 2 * rim, height - 2 * rim)
        frame.set(fill=False, edgecolor="white", linestyle=":", linewidth=0.5)
        axes.add_patch(frame)


def colour_bar(fig: Figure, grid: Any) -> None:
    """What the colours of the maps say, below them.

    :param fig: the figure.
    :param grid: array of the axes that the maps are on.
    """
    colours = ScalarMappable(Normalize(0, 1), MAP_COLOURS)
    bar = fig.colorbar(colours, ax=list(np.ravel(grid)), orientation="horizontal", aspect=34, shrink=0.6, pad=0.015)
    bar.set_ticks([0, 1], labels=["0", f"{BRIGHTEST}th percentile of the map"])
    bar.ax.tick_params(labelsize=6, length=2)
    bar.outline.set_linewidth(0.4)


def scaled(values: np.ndarray, by: np.ndarray | None = None) -> np.ndarray:
    """A map in [0, 1]: divided by its `BRIGHTEST` percentile, or that of another part of it, and cut off.

    Zeros where it is not positive.

    :param values: the map, of any shape.
    :param by: the other part, of any shape.
    """
    by = values if by is None else by
    top = np.nanpercentile(by, BRIGHTEST) if np.isfinite(by).any() else 0.0
    return np.clip(np.nan_to_num(values) / top, 0, 1) if top > 0 else np.zeros_like(values)


def show(axes: Axes, picture: np.ndarray, below: str = "") -> None:
    """A picture without ticks.

    :param axes: to draw on.
    :param picture: (y, x, channel) uint8, or (y, x) in [0, 1] in the colours of maps.
    :param below: words under it.
    """
    if picture.ndim == 2:
        axes.imshow(picture, cmap=MAP_COLOURS, vmin=0, vmax=1, interpolation="nearest")
    else:
        axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if below:
        axes.set_xlabel(below, fontsize=6.6, labelpad=1.5)


def _first_seed(models: xr.Dataset) -> str:
    """`seed 0, of 3 seeds`."""
    return f"seed {models['seed'].values[0]}, of {plural(models.sizes['seed'], 'seed')}"


def samples(models: xr.Dataset, each: int = 8) -> tuple[Figure, pd.DataFrame]:
    """Images that each configuration's decoder draws from the prior, of the first seed.

    The table has configuration, seed, sample and the mean red, green and blue of each sample.

    :param models: the opened store of models.
    :param each: samples a configuration, at most.
    """
    title = "Samples from the prior"
    if "samples" not in models or not models.sizes.get("sample"):
        return empty(title, "the store of models has no samples", models), pd.DataFrame()
    configurations = list(models["configuration"].values.astype(str))
    count = min(each, models.sizes["sample"])
    cell = (WIDTH - 0.5) / 8
    fig = figure(width=max(cell * count + 0.5, 4.5), height=cell * len(configurations) + 0.85)
    grid = fig.subplots(len(configurations), count, squeeze=False)
    first = models["samples"].isel(seed=0, sample=slice(count))
    pictures = first.transpose("configuration", "sample", "y", "x", "channel").values
    rows = []
    for line, configuration, some in zip(grid, configurations, pictures, strict=True):
        for place, (axes, picture) in enumerate(zip(line, some, strict=True)):
            show(axes, picture)
            red, green, blue = picture.reshape(-1, 3).mean(axis=0)
            rows.append(
                {
                    "configuration": configuration,
                    "seed": models["seed"].values[0],
                    "sample": place,
                    "red": red,
                    "green": green,
                    "blue": blue,
                }
            )
        line[0].set_ylabel(configuration, rotation=0, ha="right", va="center", fontsize=8.5)
    note = f"n = {count} samples a configuration, the first ones drawn, by {_first_seed(models)}."
    return finish(fig, title, note, models), pd.DataFrame(rows)


def snapshots(models: xr.Dataset, most: int = 6) -> tuple[Figure, pd.DataFrame]:
    """The same test images reconstructed during training, by configuration, of the first seed; two images a line.

    The table has configuration, seed, shown_image, epoch, mse; the error is that of the stored picture, which has 256
    levels.

    :param models: the opened store of models.
    :param most: epochs shown, evenly spread over those that were kept, the first and the last among them.
    """
    title = "Reconstructions during training"
    if "snapshots" not in models or not models["snapshots"].size:
        return empty(title, "no snapshots were kept (training.snapshots: 0)", models), pd.DataFrame()
    configurations = list(models["configuration"].values.astype(str))
    first = models[["shown", "snapshots", "snapshot_epoch"]].isel(seed=0)
    places = np.unique(np.linspace(0, first.sizes["snapshot"] - 1, most).round().astype(int))
    first = first.isel(snapshot=places)
    photographs = first["shown"].transpose("configuration", "shown_image", "y", "x", "channel").values
    pictures = first["snapshots"].transpose("configuration", "shown_image", "snapshot", "y", "x", "channel").values
    epochs = first["snapshot_epoch"].transpose("configuration", "snapshot").values
    count, across = photographs.shape[1], 1 + len(places)
    side, lines = min(2, count), -(-count // 2)
    cell = min(0.9, (WIDTH - 0.5) / (side * across))
    fig = figure(width=max(cell * side * across + 0.5, 4.5), height=(cell + 0.13) * lines * len(configurations) + 0.95)
    grid = fig.subplots(lines * len(configurations), side * across, squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    rows = []
    for c, configuration in enumerate(configurations):
        for image in range(count):
            line = grid[c * lines + image // 2, (image % 2) * across :][:across]
            for axes in line:
                axes.axis("on")
            show(line[0], photographs[c, image])
            for axes, epoch, picture in zip(line[1:], epochs[c], pictures[c, image], strict=True):
                mse = float(np.square((picture.astype(float) - photographs[c, image]) / 127.5).mean())
                show(axes, picture, f"MSE {number(mse)}")
                rows.append(
                    {
                        "configuration": configuration,
                        "seed": models["seed"].values[0],
                        "shown_image": image,
                        "epoch": epoch,
                        "mse": mse,
                    }
                )
        grid[c * lines, 0].set_ylabel(configuration, rotation=0, ha="right", va="center", fontsize=8.5)
    for block in range(side):
        headings = ["image", *(f"epoch {epoch:,}" for epoch in epochs[0])]
        for axes, heading in zip(grid[0, block * across :][:across], headings, strict=True):
            axes.set_title(heading, fontsize=6.6)
    note = (
        f"n = {count} test images, evenly spaced through the test sets, {_first_seed(models)}. "
        "Below each reconstruction its mean squared error."
    )
    return finish(fig, title, note, models), pd.DataFrame(rows)
