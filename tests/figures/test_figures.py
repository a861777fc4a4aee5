"""Every figure draws what it says, at ordinary and at odd sizes, without overlaps, and saves the same bytes twice."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sluguq.analysis.aggregated import Groups, flags_of, middle_configuration
from sluguq.analysis.labelled_images import ordered_flags
from sluguq.analysis.tables import per_image
from sluguq.figures import FIGURES, TITLES, drawing, names_for
from sluguq.figures.catalogue import caption_text
from sluguq.figures.choice import at_quantiles, by_label
from sluguq.figures.drawing import draw, save
from sluguq.figures.marks import beside, interval
from sluguq.figures.pictures import rim_of, scaled, show_map
from sluguq.figures.style import (
    by_lines,
    configuration_colours,
    figure,
    finish,
    fst_colours,
    group_colours,
    is_wide,
    legend_of,
    logarithmic,
    ratio_axis,
)
from sluguq.figures.words import decimal, group_label, images_and_seeds, number, percentage, significant, span, times
from tests.figures.stand_in import aggregated, draw_of, models, tables, with_artefacts
from tests.places import ROOT

LABELS = pd.DataFrame(
    {"fst": [1, 1, 2, 5, 6, -1], "state": ["available", "missing", "available", "rejected", "available", "available"]}
)
SENSITIVITY = pd.DataFrame(
    [
        {
            "setting": setting,
            "value": value,
            "reference": value == 50,
            "measure": measure,
            "result": 0.5 + 0.01 * i,
            "low": 0.4,
            "high": 0.7,
            "configuration": "B",
            "seed": seed,
            "images": 20,
        }
        for setting, values in {"rank": (0, 5, 50), "probes": (4, 16, 64, 256)}.items()
        for i, value in enumerate(values)
        for seed in (-1, 0, 1)
        for measure in ("spearman", "level")
    ]
)


def stores(**options):
    return {
        "training": aggregated(seeds=2, tested=8, pool=12, **options),
        "artefacts": with_artefacts(seeds=2, images=6, kinds=("ruler", "ink")),
        # Enough images of each group under one label.
        "labelled": aggregated(seeds=2, tested=30, pool=36, size=8, **options),
    }


@pytest.fixture(scope="module")
def usual():
    return stores()


def drawn(name: str, given: dict) -> tuple[Figure, pd.DataFrame]:
    role = "artefacts" if "artefacts" in FIGURES[name].roles else "training"
    role = "labelled" if name == "gaps_within_labels" else role
    return draw_of(name, given[role], models=models(seeds=2), labels=LABELS, sensitivity=SENSITIVITY)


def texts(figure: Figure) -> str:
    found = [t.get_text() for t in figure.texts]
    found += [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(t.get_text() for t in axes.texts)]
        found += [t.get_text() for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return "\n".join(found)


@pytest.mark.parametrize("name", FIGURES)
def test_draws_with_counts_marks_and_tidy_numbers(name, usual):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, table = drawn(name, usual)
    words = texts(figure).replace("\n", " ")
    assert re.search(r"\bn = [\d,–]+ ((labelled|test|training) )?(images|samples)", words)
    # Label tables are of no seed.
    assert FIGURES[name].needs == "labels" or re.search(r"\b2 seeds\b", words)
    if FIGURES[name].needs in ("dataset", "models"):
        assert "SYNTHETIC IMAGES" in words
    assert len(table)
    assert not table.columns.duplicated().any()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_or_overlaps_the_bands(name, usual):
    """All text lies inside the figure, and no panel reaches into title, legend or note."""
    figure, _ = drawn(name, usual)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    whole = figure.bbox
    bands = [t.get_window_extent(renderer) for t in figure.texts]
    bands += [legend.get_window_extent(renderer) for legend in figure.legends]
    for box in bands:
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1
        assert box.y0 >= whole.y0 - 1
        assert box.y1 <= whole.y1 + 1
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        tight = axes.get_tightbbox(renderer)
        assert tight is not None
        assert tight.x1 <= whole.x1 + 2
        assert tight.x0 >= whole.x0 - 2
        for box in bands:
            height = min(tight.y1, box.y1) - max(tight.y0, box.y0)
            width = min(tight.x1, box.x1) - max(tight.x0, box.x0)
            assert height <= 1.5 or width <= 0


ODD = {
    "one seed, one configuration, one group": lambda: aggregated(
        seeds=1,
        configurations={"only": {"all": 1.0}},
        groups={"all": [1, 2, 3, 4, 5, 6]},
        errors={"only": {"all": 0.02}},
        tested=4,
        pool=4,
    ),
    "four groups, five configurations, long names": lambda: aggregated(
        seeds=2,
        groups={"very light": [1], "light": [2, 3], "rather dark": [4, 5], "dark": [6]},
        configurations={f"configuration{i}": {"light": 1.0} for i in range(5)},
        errors={
            f"configuration{i}": dict.fromkeys(("very light", "light", "rather dark", "dark"), 0.02) for i in range(5)
        },
        tested=3,
        pool=3,
    ),
    "no labels, no groups": lambda: (
        aggregated(
            seeds=2,
            groups={"none": [1]},
            errors={c: {"none": 0.02} for c in "ABC"},
            tested=0,
            pool=1,
            unlabelled=9,
            role="external",
        )
        .drop_vars(["label_site", "label_ruler"])
        .isel(image=slice(1, None))
    ),
    "no maps": lambda: aggregated(seeds=2, tested=5, pool=6, maps=False),
    "a model without scores": lambda: _without_scores(aggregated(seeds=2, tested=5, pool=6)),
}


def _without_scores(dataset):
    for name in ("mse", "slug", "latent_std", "kl", "jacobian_norm", "error_map", "slug_map"):
        dataset[name].values[0, 1] = np.nan
    return dataset


@pytest.mark.parametrize("kind", ODD)
def test_odd_stores_draw_too(kind):
    store = ODD[kind]()
    for name in set(names_for("training")) - {"maps_page", "boxes_by_group_seeds"}:
        figure, table = draw_of(name, store, labels=LABELS.iloc[:3])
        assert isinstance(table, pd.DataFrame)
        assert "SYNTHETIC" in texts(figure)
        figure.draw_without_rendering()


def test_configurations_keep_their_order_and_colours_in_the_figure_of_sensitivity(usual):
    parts = [SENSITIVITY.assign(configuration=name) for name in ("C", "A", "B")]
    figure, _ = draw_of("sensitivity", usual["training"], sensitivity=pd.concat(parts))
    legend = figure.legends[0]
    assert [t.get_text() for t in legend.get_texts()] == ["A", "B", "C"]
    assert [h.get_color() for h in legend.legend_handles] == list(configuration_colours("ABC").values())


def test_photographs_bear_no_mark(usual):
    store = usual["training"].assign_attrs(synthetic=0)
    assert "SYNTHETIC" not in texts(draw_of("boxes_by_group", store)[0])


@pytest.mark.parametrize("name", ["boxes_by_group", "boxes_by_fst"])
def test_saves_svg_png_and_csv_the_same_twice(tmp_path, usual, name):
    for folder in ("a", "b"):
        paths = save(*drawn(name, usual), tmp_path / folder, "boxes")
        assert [path.name for path in paths] == ["boxes.svg", "boxes.png", "boxes.csv"]
    for path in paths:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    assert len(pd.read_csv(tmp_path / "a" / "boxes.csv")) == len(per_image(usual["training"]))


def test_unknown_figures_and_missing_input_are_refused(usual):
    with pytest.raises(ValueError, match="there is no figure 'boxen'"):
        draw("boxen", usual["training"])
    with pytest.raises(ValueError, match="drawn from models"):
        draw("samples", usual["training"])
    with pytest.raises(ValueError, match="drawn from the tables gaps, which"):
        draw("group_gaps", usual["training"])


def test_roles_part_the_figures():
    assert "drawn_artefacts" in names_for("artefacts")
    assert "drawn_artefacts" not in names_for("training")
    assert {"retention", "fst_distribution"} <= set(names_for("external"))


# The numbers in the tables are those of the store.


def test_snapshots_become_like_the_image():
    store = models(seeds=2)
    figure, table = draw_of("snapshots", models=store)
    assert list(table["epoch"].unique()) == [1, 3, 10]
    assert len(table) == 3 * 3 * 3  # configurations, images, epochs
    errors = table.pivot_table(index=["configuration", "shown_image"], columns="epoch", values="mse")
    assert (errors[10] == 0).all()
    assert (errors[1] > errors[3]).all()
    difference = (store["snapshots"][0, 0, 1, 2].astype(float) - store["shown"][0, 0, 2]) / 127.5
    assert errors.loc[("A", 2), 3] == pytest.approx(float((difference**2).mean()))
    pictures = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(pictures) == 3 * 3 * (3 + 1)
    np.testing.assert_array_equal(pictures[0], store["shown"][0, 0, 0])


def test_of_many_snapshots_some_are_shown_with_the_first_and_the_last():
    store = models(seeds=1).isel(snapshot=[0] * 12 + [1, 2], shown_image=[0])
    store["snapshot_epoch"] = store["snapshot_epoch"].copy(data=np.broadcast_to(np.arange(1, 15), (3, 1, 14)))
    epochs = draw_of("snapshots", models=store)[1]["epoch"].unique()
    assert len(epochs) == 6
    assert (epochs[0], epochs[-1]) == (1, 14)


def test_a_store_without_snapshots_says_so():
    figure, table = draw_of("snapshots", models=models(seeds=1).drop_vars(["snapshots", "snapshot_epoch"]))
    assert "training.snapshots: 0" in texts(figure)
    assert table.empty


def test_tones_are_compared_over_seeds_and_listed_by_seed():
    store = models(seeds=2)
    figure, table = draw_of("sample_tones", models=store)
    mixed = table[(table["configuration"] == "B") & (table["seed"] == -1)].set_index(["measure", "group"])["value"]
    assert mixed["mean_difference", "light"] < -20
    assert mixed["mean_difference", "dark"] > 20
    assert mixed["share_training", "dark"] == 0.5
    single = table[(table["seed"] == 1) & (table["configuration"] == "A") & (table["of"] == "prior samples")]
    wanted = np.median(store["sample_ita"][0, 1])
    assert single.set_index("measure")["value"]["ita_50"] == pytest.approx(float(wanted))
    note = texts(figure).replace("\n", " ")
    assert "n = 4 samples and 12 training images per seed and configuration, 2 seeds" in note


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.isel(configuration=[0], seed=[0]),
        lambda store: store.isel(configuration=[1, 0, 1, 2]).assign_coords(
            configuration=[f"configuration{i}" for i in range(4)]
        ),
        lambda store: store.assign_attrs(groups='{"light": [2], "middle": [3], "dark": [5]}').assign(
            training_fst=store["training_fst"].where(
                store["training_fst"] != 2, xr.DataArray([2, 3] * 6, dims="training_image")
            )
        ),
    ],
    ids=["one model", "long names", "three groups"],
)
def test_tones_of_odd_stores_draw_too(change):
    figure, table = draw_of("sample_tones", models=change(models(seeds=2)))
    assert len(table)
    figure.draw_without_rendering()


def test_a_store_without_samples_has_no_tones():
    figure, table = draw_of("sample_tones", models=models(seeds=1).drop_vars(["samples", "sample_ita"]))
    assert "training.samples: 0" in texts(figure)
    assert table.empty


def test_box_table_is_the_store(usual):
    _, table = drawn("boxes_by_group", usual)
    store = usual["training"]
    one = table.iloc[7]
    place = int(np.flatnonzero(store["id"].values == one["id"])[0])
    wanted = store["mse"].sel(configuration=one["configuration"], seed=one["seed"]).values[place]
    assert one["mse"] == wanted


def test_seed_points_are_means_of_images(usual):
    _, images = drawn("boxes_by_group", usual)
    _, seeds = drawn("boxes_by_group_seeds", usual)
    means = images.groupby(["configuration", "seed", "group"])["slug"].mean()
    np.testing.assert_allclose(seeds.set_index(["configuration", "seed", "group"])["slug"].sort_index(), means)


def test_reconstructions_are_the_nearest_to_the_quantiles(usual):
    chosen = at_quantiles(usual["training"])
    frame = per_image(usual["training"])
    for group, part in chosen.groupby("group"):
        level = frame[frame["group"] == group].groupby("id")["mse"].mean()
        middle = part[part["quantile"] == 0.5].iloc[0]
        distances = (level - level.quantile(0.5)).abs()
        taken = set(part["id"]) - {middle["id"]}
        assert distances[middle["id"]] == distances.drop(list(taken)).min()
    assert not chosen["image"].duplicated().any()


def test_labelled_images_carry_their_label():
    store = aggregated(seeds=2, tested=10, pool=14)
    assert flags_of(store) == ["label_ruler"]
    chosen = by_label(store, each=3)
    assert len(chosen) == 3
    assert (store["label_ruler"].values[chosen["image"]] == 1).all()


def test_only_labels_of_known_artefacts_are_called_objects():
    """A diagnosis said with yes or no comes after them, marked as something else."""
    rng = np.random.default_rng(0)
    store = aggregated(seeds=2, tested=10, pool=14)
    store = store.assign(label_acne=("image", rng.choice([0.0, 1.0], store.sizes["image"])))
    assert ordered_flags(store) == (["label_ruler"], ["label_acne"])
    assert list(by_label(store, each=1)["group"]) == ["ruler", "acne"]
    figure, table = draw_of("labelled_artefacts", store)
    assert dict(zip(table["label"], table["known_artefact"], strict=True)) == {"ruler": True, "acne": False}
    assert "Below the dotted line: labels of no known artefact" in texts(figure).replace("\n", " ")
    figure, _ = draw_of("labelled_artefacts", store.drop_vars("label_acne"))
    assert "no known artefact" not in texts(figure).replace("\n", " ")
    assert "foreign" not in FIGURES["labelled_artefacts"].caption


@pytest.mark.parametrize(("padding", "said"), [("zero", True), ("reflect", False)])
def test_a_glow_is_put_down_to_zero_padding_only_where_there_is_any(usual, padding, said):
    store = usual["training"].assign_attrs(configuration=f"model: {{padding: {padding}}}")
    assert ("zero padding" in texts(draw_of("maps", store)[0]).replace("\n", " ")) == said


def test_the_middle_configuration_is_the_mixed_one(usual):
    assert usual["training"]["configuration"].values[middle_configuration(usual["training"])] == "B"


def test_maps_are_scaled_by_their_percentile():
    values = np.arange(1000.0).reshape(10, 100)
    out = scaled(values)
    assert out.max() == 1
    assert out.min() == 0
    assert (out == 1).mean() == pytest.approx(0.005, abs=0.002)
    assert (scaled(np.full((4, 4), np.nan)) == 0).all()


# Style.


def test_darker_types_have_darker_colours_and_groups_share_the_scale():
    def lightness(colour: str) -> float:
        return sum(int(colour[i : i + 2], 16) * w for i, w in ((1, 0.3), (3, 0.59), (5, 0.11)))

    levels = [lightness(fst_colours([t])[t]) for t in range(1, 7)]
    assert all(a > b + 15 for a, b in itertools.pairwise(levels))
    assert group_colours(Groups({"g": [3]}))["g"] == fst_colours([3])[3]


def test_words():
    assert group_label("dark", Groups({"dark": [5, 6]})) == "dark (FST 5, 6)"
    assert group_label("dark", Groups({"dark": [6, 4, 5, 3]})) == "dark (FST 3–6)"
    assert span([512, 512]) == "512"
    assert span([1498, 512]) == "512–1,498"
    assert is_wide(np.array([1.0, 100.0]))
    assert not is_wide(np.array([0.0, 100.0]))


def test_what_estimates_rest_on_is_said_with_the_most_seeds():
    table = pd.DataFrame({"images": [498, 512], "seeds": [1, 1]})
    assert images_and_seeds(table) == "498–512 images per seed, 1 seed"
    assert images_and_seeds(table.assign(seeds=[9, 10])) == "498–512 images per seed, 10 seeds"


def test_marks_stand_side_by_side_about_their_tick_and_begin_again_after_the_last():
    assert [beside(j, 3, 0.6) for j in range(3)] == pytest.approx([-0.2, 0, 0.2])
    assert beside(0, 1, 0.6) == 0
    handles = legend_of("ABCDEFGHI", configuration_colours("ABCDEFGHI"), label=str.lower)
    assert [handle.get_label() for handle in handles] == list("abcdefghi")
    assert handles[0].get_marker() == handles[8].get_marker() != handles[1].get_marker()


@pytest.mark.parametrize("which", ["x", "y"])
def test_an_axis_of_ratios_is_as_wide_below_one_as_above(which):
    axes = figure().subplots()
    ratio_axis(axes, which, np.log([0.5, 8.0, np.nan]), margin=1.5)
    low, high = getattr(axes, f"get_{which}lim")()
    assert (low, high) == pytest.approx((1 / 8**1.5, 8**1.5))
    labels = [label.get_text() for label in getattr(axes, f"get_{which}ticklabels")()]
    assert labels == ["1/16×", "1/4×", "1×", "4×", "16×"]
    ratio_axis(axes, which, np.array([]), margin=1.5, least=0.6, finest=0.5)
    assert getattr(axes, f"get_{which}lim")() == pytest.approx((2**-0.6, 2**0.6))


def test_every_figure_has_a_function_and_a_caption_file():
    captions = ROOT / "workflow" / "report"
    for name in FIGURES:
        assert name in drawing._FUNCTIONS
        assert (captions / f"{name}.rst").read_text() == caption_text(name), "run make documents"
    assert drawing._FUNCTIONS.keys() == FIGURES.keys() == TITLES.keys()
    assert len(set(TITLES.values())) == len(TITLES)


def test_what_lies_off_an_axis_is_marked_with_an_arrow_and_its_number():
    fig = figure()
    axes = fig.subplots()
    for place, (value, low, high) in enumerate([(0.5, 0.4, 0.6), (-3.25, -4.0, 0.2), (0.5, -1.0, 2.5)]):
        interval(axes, {"value": value, "low": low, "high": high}, place, "#000000", "o", along=True)
    axes.set_xlim(0, 1)
    finish(fig, "title", "note")
    words = [text.get_text() for text in axes.texts]
    assert words == ["−3.25", "−1", "2.5"]
    arrows = [line.get_marker() for line in axes.lines if line.get_marker() in "<>^v"]
    assert arrows == ["<", "<", ">"]
    finish(fig, "title", "note")
    assert len(axes.texts) == 3, "marked once"


def test_numbers_along_a_logarithmic_axis_do_not_run_together():
    for width, expected in ((1e3, 1), (50, 2), (8, 3)):
        axes = figure().subplots()
        axes.plot([1e-3, 1e-3 * width], [1, 1])
        logarithmic(axes, "x")
        assert len(axes.xaxis.get_major_locator()._subs) == expected


def test_a_legend_reads_line_by_line():
    handles = [Line2D([], [], label=str(i)) for i in range(7)]
    # Columns of a legend with three of them: 0 3 6, 1 4, 2 5.
    assert [h.get_label() for h in by_lines(handles, 3)] == ["0", "3", "6", "1", "4", "2", "5"]
    assert [h.get_label() for h in by_lines(handles[:4], 4)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.01, "1.0"),
        (0.9, "0.90"),
        (9.97, "10"),
        (19.2, "19"),
        (0.05, "0.050"),
        (-0.3, "−0.30"),
        (0, "0"),
        (1234, "1,200"),
    ],
)
def test_measured_numbers_keep_their_last_zero(value, words):
    assert significant(value) == words


def test_numbers_have_one_format():
    assert [number(v) for v in (0.0156, -1.0, 50_000.0, 1.234e7, 123.4)] == [
        "0.0156",
        "−1",
        "50,000",
        "12,300,000",
        "123",
    ]
    assert [number(v, 2) for v in (19.23, 4.62, 0.0347, 190.0)] == ["19", "4.6", "0.035", "190"]
    assert [times(v) for v in (1 / 64, 0.3, 1.0, 8.0)] == ["1/64×", "0.3×", "1×", "8×"]
    assert (decimal(-0.999), percentage(0.62)) == ("−1.00", "62\N{NO-BREAK SPACE}%")


def test_slug_maps_are_scaled_by_what_lies_within_the_rim():
    dataset = aggregated(seeds=1, tested=2, pool=3, size=32)
    assert rim_of(dataset) == 0
    dataset.attrs["configuration"] += "model: {padding: zero}\n"
    assert rim_of(dataset) == 2
    values = np.full((32, 32), 0.5)
    values[:2] = 100.0
    axes = figure().subplots()
    show_map(axes, values, rim=2)
    assert axes.images[0].get_array()[16, 16] == pytest.approx(1)
    assert len(axes.patches) == 1
    show_map(axes, values, rim=0)
    assert axes.images[1].get_array()[16, 16] == pytest.approx(0.005)


def test_a_table_of_nothing_can_be_read_again(tmp_path):
    save(figure(), pd.DataFrame(), tmp_path, "nothing")
    assert len(pd.read_csv(tmp_path / "nothing.csv")) == 0


def test_seeds_are_told_apart_and_quantiles_rest_on_images():
    store = aggregated(seeds=3, tested=24, pool=40, size=8)
    fig, _ = draw_of("slug_against_mse", store)
    markers = {line.get_marker() for line in fig.axes[0].lines if len(line.get_xdata())}
    assert len(markers) == 3
    fig, table = draw_of("levels_by_group", store)
    assert [tick.get_text() for tick in fig.axes[-1].get_xticklabels()] == ["mean", "50 %", "90 %"]
    assert "q99" in set(table["measure"])


def test_poor_cases_stand_beside_good_ones():
    fig, table = draw_of("artefact_maps", with_artefacts(seeds=2, images=12, kinds=("ruler",)))
    assert table["quantile"].tolist() == [0.1, 0.5, 0.9]
    assert table["auroc"].is_monotonic_increasing
    assert table["error_auroc"].notna().all()
    shown = [axes.get_xlabel() for axes in fig.axes if axes.get_xlabel().startswith("AUROC")]
    assert len(shown) == 6


def test_every_configuration_of_an_artefact_has_its_name_and_its_interval_ends_within_the_axis():
    store = with_artefacts(seeds=2, images=6, kinds=("ruler", "ink"))
    fig, table = draw_of("artefact_change", store)
    fig.canvas.draw()
    for axes in fig.axes:
        assert [tick.label1.get_text() for tick in axes.xaxis.get_minor_ticks()] == ["A", "B", "C"] * 2
    low, high = fig.axes[0].get_ylim()
    ends = table.loc[table["seed"] == -1, ["low", "high"]].to_numpy()
    assert not np.isclose(ends, low).any()
    assert not np.isclose(ends, high).any(), "an interval that touches the edge looks cut"


def test_the_answers_figures_say_what_their_tables_say():
    store = aggregated(seeds=2, tested=20, pool=30, size=8)
    fig, table = draw_of("error_by_group", store)
    assert len(table) == 3 * 2 * 40
    said = [text.get_text() for text in fig.axes[0].texts]
    gaps = tables("error_by_group", store)["gaps"]
    row = gaps[(gaps["variable"] == "mse") & (gaps["measure"] == "log_ratio") & (gaps["configuration"] == "A")].iloc[0]
    assert said[0] == "{}× [{}, {}]".format(*(significant(float(np.exp(row[n]))) for n in ("value", "low", "high")))
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == [
        "A\nlight only",
        "B\n50 % light, 50 % dark",
        "C\ndark only",
    ]
    for container in fig.axes[0].containers:
        for box, median in zip(container.boxes, container.medians, strict=True):
            dark = max(to_rgb(box.get_facecolor())) < 0.5
            assert (to_hex(median.get_color()) == "#ffffff") == dark, "a median can be seen in its box"
    _, table = draw_of("slug_knows", store)
    assert table[["mse_percentile", "slug_percentile"]].to_numpy().min() > 0
    for _, part in table.groupby(["configuration", "seed"]):
        # Percentiles of one network are even.
        assert part["slug_percentile"].mean() == pytest.approx(50)


def test_the_catalogue_needs_no_plotting_library():
    code = "import sys, sluguq.figures; assert not {'matplotlib', 'pandas', 'xarray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_note_on_patients_says_where_none_is_known():
    known, unknown = (aggregated(tested=4, pool=6, size=4, patients=patients, maps=False) for patients in (True, False))
    assert "over seeds and patients" in draw_of("group_gaps", known)[0].get_label()
    assert "Patients are not known here" not in draw_of("group_gaps", known)[0].get_label()
    label = draw_of("group_gaps", unknown)[0].get_label()
    assert "Patients are not known here: images stand in their place" in label
