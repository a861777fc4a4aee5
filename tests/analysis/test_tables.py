"""Tables from aggregated stores, fairness, signals and artefacts, against what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from sluguq.analysis.aggregated import NoScores, clusters_of, groups_of
from sluguq.analysis.drawn_artefacts import (
    artefact_clusters,
    artefacts_found,
    colour_map,
    find_scores,
    gradient_map,
    pixel_scores,
    region_means,
    with_and_without,
)
from sluguq.analysis.fairness import TOGETHER, flagging, gaps, gaps_within, intersections, levels
from sluguq.analysis.labelled_images import labels_found, map_summaries
from sluguq.analysis.making import make_table, make_tables
from sluguq.analysis.signals import comparable_signals, compare_signals
from sluguq.analysis.signals_beyond_error import labels_by_signal, signals_by_group
from sluguq.analysis.tables import by_seed, per_image
from sluguq.datasets.availability import availability
from tests.figures.stand_in import ERRORS, GROUPS, aggregated, draw_of, with_artefacts


@pytest.fixture(scope="module")
def store():
    return aggregated(seeds=3, tested=30, pool=40, size=8)


@pytest.fixture(scope="module")
def artefacts():
    return with_artefacts(seeds=2, images=8, kinds=("ruler", "ink"))


def test_per_image_has_one_row_for_every_tested_image(store):
    frame = per_image(store)
    assert len(frame) == 3 * 3 * 2 * 30
    assert not frame.duplicated(["configuration", "seed", "id"]).any()
    row = frame.iloc[100]
    one = store.isel(image=int(row["image"])).sel(configuration=row["configuration"], seed=row["seed"])
    assert (row["slug"], row["id"], row["label_site"]) == (
        float(one["slug"]),
        one["id"].item(),
        one["label_site"].item(),
    )


def test_a_store_without_any_error_or_with_types_in_words_is_refused_in_words():
    store = aggregated(seeds=2, tested=4, pool=6, maps=False)
    with pytest.raises(NoScores, match=r"phantom: no image has a finite error under any of the 6 models"):
        make_tables(store.assign(mse=store["mse"] * np.nan), "training", 10)
    words = store["fst"].values.astype(str).astype(object)
    with pytest.raises(NoScores, match=r"phantom: the variable fst is of type object"):
        make_tables(store.assign(fst=("image", words)), "training", 10)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_is_nothing_has_no_logarithm_and_warns_of_none():
    store = aggregated(seeds=2, tested=6, pool=8, maps=False)
    nothing = store.assign(slug=store["slug"] * 0)
    table = make_table("gaps", nothing, 10)
    ratios = table[(table["measure"] == "log_ratio") & (table["variable"] == "slug")]
    assert ratios["value"].isna().all()
    assert (ratios["undefined"] == 2).all()
    assert make_table("calibration", nothing, 10)["value"].isna().all()


def test_calibration_of_a_constant_slug_does_not_depend_on_the_order_of_images():
    store = aggregated(seeds=2, tested=10, pool=12, maps=False)
    constant = store.assign(slug=store["slug"] * 0 + 7)
    first = make_table("calibration", constant, 10)
    turned = make_table("calibration", constant.isel(image=slice(None, None, -1)), 10)
    assert first["value"].dropna().tolist() == pytest.approx(turned["value"].dropna().tolist())
    assert first.query("measure == 'slope'")["value"].isna().all()
    ratios = first[first["measure"] == "observed_over_expected"]["value"].dropna()
    assert ratios.tolist() == pytest.approx([1.0] * len(ratios))


def test_groups_are_ordered_from_light_to_dark():
    store = aggregated(groups={"dark": [5, 6], "light": [1, 2]}, maps=False)
    assert list(groups_of(store)) == ["light", "dark"]


def test_clusters_are_patients(store):
    codes = clusters_of(store)
    patients = store["patient"].values
    assert len(set(codes)) == len(set(patients))
    assert all(len(set(codes[patients == p])) == 1 for p in patients[:10])


def test_by_seed_leaves_out_unknown_values(store):
    frame = per_image(store)
    frame.loc[(frame["seed"] == 1) & (frame["configuration"] == "A"), "kl"] = np.nan
    seeds, clusters = by_seed(frame, "A", ("kl", "mse"))
    assert [len(s["kl"]) for s in seeds] == [60, 60] == [len(c) for c in clusters]


def test_availability_tells_every_fate():
    images = pd.DataFrame({"id": ["a", "b"], "fst": [1, np.nan]})
    missing = pd.DataFrame({"id": ["c"], "fst": [6]})
    table = availability(images, missing, pd.DataFrame({"id": ["b"], "fst": [-1]}))
    assert dict(zip(table["id"], table["state"], strict=True)) == {"a": "available", "b": "rejected", "c": "missing"}
    assert list(table["fst"]) == [1, -1, 6]
    nothing = pd.DataFrame({"id": [], "fst": []})
    assert list(availability(images, nothing, nothing)["state"]) == ["available", "available"]


# Fairness.


def test_gaps_hold_what_was_put_in(store):
    table = gaps(store, replicates=200).set_index(["variable", "configuration", "measure"])
    for configuration, errors in ERRORS.items():
        ratio = table.loc[("mse", configuration, "log_ratio")]
        assert ratio["value"] == pytest.approx(np.log(errors["dark"] / errors["light"]), abs=0.3)
        assert ratio["low"] < ratio["value"] < ratio["high"]
    assert table.loc[("mse", "A", "cliffs_delta"), "value"] > 0.9
    assert abs(table.loc[("latent_std", "A", "cliffs_delta"), "value"]) < 0.3


def test_levels_name_the_worst_group(store):
    table = levels(store, replicates=50)
    worst = table[(table["variable"] == "mse") & (table["configuration"] == "A") & table["worst"]]
    assert set(worst["group"]) == {"dark"}
    quantiles = table[(table["variable"] == "mse") & (table["group"] == "dark") & (table["configuration"] == "B")]
    assert quantiles.set_index("measure").loc[["q50", "q90", "q99"], "value"].is_monotonic_increasing


def test_flags_fall_on_the_dark_where_the_error_does(store):
    table = flagging(store, replicates=50).set_index(["configuration", "group", "measure"])["value"]
    assert table["A", "dark", "flagged"] > 0.15
    assert table["A", "light", "flagged"] == 0
    # Groups are of one size, so the shares average to that of all: 6 of 60.
    for configuration in ERRORS:
        both = [table[configuration, group, "flagged"] for group in GROUPS]
        assert np.mean(both) == pytest.approx(0.1)


def test_intervals_of_levels_stay_positive_in_tiny_groups():
    few = aggregated(seeds=2, tested=3, pool=4)
    for table in (levels(few, replicates=50), intersections(few, replicates=50)):
        assert (table["low"].dropna() > 0).all()
        assert (table["low"] <= table["value"]).all()
    shares = flagging(few, replicates=50)
    assert shares["low"].dropna().between(0, 1).all()
    assert shares["high"].dropna().between(0, 1).all()


def test_intersections_cross_groups_with_labels(store):
    table = intersections(store, replicates=50)
    assert set(table["level"]) >= {"arm", "face"}
    assert (table["label"] == "site").any()
    frame = per_image(store, ["mse", "label_site"])
    chosen = (frame["label_site"] == "arm") & (frame["group"] == "dark") & (frame["configuration"] == "A")
    row = table[(table["level"] == "arm") & (table["group"] == "dark") & (table["configuration"] == "A")]
    wanted = frame[chosen].groupby("seed")["mse"].mean().mean()
    assert row.loc[row["variable"] == "mse", "value"].item() == pytest.approx(wanted)


@pytest.mark.parametrize("table_of", [gaps, levels, intersections])
def test_a_table_without_rows_keeps_its_columns(table_of, tmp_path):
    full = table_of(aggregated(seeds=1, tested=40, pool=40), replicates=20)
    nobody = aggregated(seeds=1, tested=2, pool=2, groups={"dark": [5, 6]}, configurations={"C": {"dark": 1.0}})
    nobody["group"][:] = ""
    table_of(nobody, replicates=20).to_csv(tmp_path / "table.csv", index=False)
    empty = pd.read_csv(tmp_path / "table.csv")
    assert len(full)
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


# Signals.


def test_slug_beats_the_signals_that_know_nothing(store):
    table = compare_signals(store, replicates=50)
    table = table[table["among"] == "all"].set_index(["configuration", "signal", "test"])["value"]
    for configuration in ERRORS:
        assert table[configuration, "slug", "spearman"] > 0.6
        assert abs(table[configuration, "latent_std", "spearman"]) < 0.3
        assert table[configuration, "slug", "auroc_worst"] > 0.8
        # A signal that knows nothing explains nothing away.
        assert table[configuration, "latent_std", "partial"] == pytest.approx(
            table[configuration, "slug", "spearman"], abs=0.1
        )
    assert ("A", "ensemble_variance", "spearman") in table.index


def test_a_copy_of_slug_leaves_nothing_to_add(store):
    copied = store.assign(jacobian_norm=2 * store["slug"])
    table = compare_signals(copied, replicates=20)
    table = table[table["among"] == "all"].set_index(["configuration", "signal", "test"])["value"]
    assert abs(table["B", "jacobian_norm", "partial"]) < 1e-6


def test_the_error_itself_catches_all_of_the_worst_tenth_and_its_reverse_nothing(store):
    table = compare_signals(store.assign(kl=3 * store["mse"], latent_std=-store["mse"]), replicates=20)
    caught = table[(table["test"] == "caught") & (table["among"] == "all")].set_index(["configuration", "signal"])
    for configuration in ERRORS:
        assert caught.loc[(configuration, "kl"), "value"] == 1
        assert caught.loc[(configuration, "latent_std"), "value"] == 0
        assert 0 < caught.loc[(configuration, "slug"), "value"] < 1


def test_an_ensemble_is_one_and_slug_is_tested_on_its_images_too(store):
    frame = per_image(store)
    table = compare_signals(store, replicates=200)
    there = frame[np.isfinite(frame["ensemble_variance"])]
    assert len(there) < len(frame)
    rows = table[table["configuration"] == "B"].set_index(["signal", "among", "test"])
    by = there[there["configuration"] == "B"].groupby("seed")
    for signal, among in (("slug", "ensemble_variance"), ("ensemble_variance", "all")):
        row = rows.loc[signal, among, "spearman"]
        wanted = np.mean([spearmanr(part[signal], part["mse"])[0] for _, part in by])
        assert row["value"] == pytest.approx(wanted)
        assert row["images"] == by.size().max()
        # SLUG of three seeds is three replications; one ensemble under three seeds' errors is one.
        assert row["seeds"] == (3 if signal == "slug" else 1)


def test_the_interval_of_an_ensemble_does_not_shrink_with_the_seeds():
    """Ten copies of one seed: an average of ten replications would have a third of the error of one."""
    whole = aggregated(seeds=1, tested=40, pool=40, size=8, noise=2.0)
    whole = whole.assign(ensemble_variance=whole["slug"].isel(seed=0, drop=True))
    copies = whole.isel(seed=[0] * 10).assign_coords(seed=np.arange(10))
    one, ten = (compare_signals(s).set_index(["configuration", "signal", "among", "test"]) for s in (whole, copies))
    key = ("B", "ensemble_variance", "all", "spearman")
    widths = [t.loc[key, "high"] - t.loc[key, "low"] for t in (one, ten)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_intervals_of_drawn_artefacts_keep_patients_together(artefacts):
    patients = np.array([f"patient{int(name[-1]) % 2}" for name in artefacts["clean_image"].values], object)
    store = artefacts.assign(patient=("image", patients))
    assert len(set(artefact_clusters(store).values())) == 2
    assert len(set(artefact_clusters(artefacts).values())) == 4
    assert (draw_of("drawn_artefacts", store)[1]["clusters"] == 2).all()


def test_pixel_scores_find_what_was_drawn(artefacts):
    scores = pixel_scores(artefacts)
    means = scores.groupby("map")["auroc"].mean()
    assert means["slug_map"] > 0.85
    assert means["error_map"] == pytest.approx(0.5, abs=0.1)
    assert means["slug_bare"] == pytest.approx(0.5, abs=0.1)
    assert set(scores["artefact"]) == {"ruler", "ink"}
    assert (scores["prevalence"] == 20 / 256).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40))
def test_one_sort_gives_what_scikit_learn_gives(pairs):
    truth, values = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], float)
    if truth.all() or not truth.any():
        return
    wanted = roc_auc_score(truth, values), average_precision_score(truth, values)
    assert find_scores(truth, values) == pytest.approx(wanted)


def test_average_precision_of_a_blind_map_is_its_prevalence(artefacts):
    scores = pixel_scores(artefacts, ("slug_map", "error_map"))
    blind = scores[scores["map"] == "error_map"]
    assert blind["average_precision"].mean() == pytest.approx(20 / 256, abs=0.05)


def test_artefacts_found_has_intervals_of_the_means(artefacts):
    scores = pixel_scores(artefacts, ("slug_map", "error_map"))
    table = artefacts_found(scores, replicates=50)
    row = table[(table["map"] == "slug_map") & (table["artefact"] == "ink") & (table["measure"] == "auroc")].iloc[0]
    chosen = scores[(scores["map"] == "slug_map") & (scores["artefact"] == "ink")]
    chosen = chosen[chosen["configuration"] == row["configuration"]]
    assert row["value"] == pytest.approx(chosen.groupby("seed")["auroc"].mean().mean())
    assert row["low"] < row["value"] < row["high"] <= 1


def test_region_means_part_object_lesion_and_rest(artefacts):
    table = region_means(artefacts)
    assert table["slug_artefact"].mean() > table["slug_lesion"].mean() > table["slug_rest"].mean()
    one = table.iloc[0]
    place = int(np.flatnonzero(artefacts["id"].values == one["id"])[0])
    grid = artefacts["slug_map"].sel(configuration=one["configuration"], seed=one["seed"]).isel(image=place).values
    mask = artefacts["artefact_mask"].values[place].astype(bool)
    assert one["slug_artefact"] == pytest.approx(grid[mask].mean(), rel=1e-5)


def test_lesions_may_come_from_the_bare_images_store(artefacts):
    bare = artefacts.isel(image=np.flatnonzero(artefacts["artefact"].values == ""))
    without = artefacts.drop_vars("lesion_mask")
    assert region_means(without)["slug_lesion"].isna().all()
    pd.testing.assert_frame_equal(region_means(without, bare), region_means(artefacts))


def test_with_and_without_pairs_the_same_model(artefacts):
    table = with_and_without(artefacts)
    assert len(table) == 3 * 2 * 2 * 8
    one = table.iloc[5]
    place = int(np.flatnonzero(artefacts["id"].values == one["clean_image"])[0])
    clean = artefacts["slug"].sel(configuration=one["configuration"], seed=one["seed"]).values[place]
    assert one["slug_clean"] == pytest.approx(clean)
    assert one["slug"] > one["slug_clean"]


def test_mean_changes_are_the_ratios_with_an_interval(artefacts):
    patients = np.array([f"patient{int(name[-1]) % 4}" for name in artefacts["clean_image"].values], object)
    store = artefacts.assign(patient=("image", patients))
    figure, table = draw_of("artefact_change", store)
    pairs = with_and_without(store)
    chosen = pairs[(pairs["configuration"] == "B") & (pairs["artefact"] == "ink")]
    logs = np.log(chosen["slug"] / chosen["slug_clean"]).groupby(chosen["seed"]).mean()
    means = table[table["seed"] == -1].set_index(["configuration", "artefact", "variable"])
    row = means.loc["B", "ink", "slug"]
    assert row["value"] == pytest.approx(np.exp(logs.mean()))
    assert row["low"] < row["value"] < row["high"]
    assert (row["seeds"], row["images"], row["clusters"]) == (2, 8, 4)
    # Nothing was drawn into the error map.
    assert means.loc["B", "ink", "mse"]["low"] < 1 < means.loc["B", "ink", "mse"]["high"]
    single = table[table["seed"] >= 0]
    np.testing.assert_allclose(single["value"], single["with_artefact"] / single["without"])
    diamonds = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "D"]
    assert len(diamonds) == len(means)


def test_plain_maps_light_up_where_they_should():
    picture = np.full((20, 20, 3), 100, np.uint8)
    picture[5:10, 5:10] = 250
    assert colour_map(picture)[7, 7] > 1
    assert colour_map(picture)[0, 0] == 0
    assert gradient_map(picture)[5, 7] > 10 * gradient_map(picture)[15, 15]


def test_labels_found_separates_by_the_map():
    store = aggregated(seeds=2, tested=20, pool=20, size=8)
    carried = store["label_ruler"].values == 1
    store["slug_map"].values[:, :, carried, 2, 2] *= 1000
    table = labels_found(store, map_summaries(store), replicates=50)
    best = table[(table["map"] == "slug_map") & (table["summary"] == "maximum")]
    assert (best["value"] > 0.95).all()
    assert (table.loc[table["map"] == "error_map", "value"] < 0.8).all()
    assert (table["carrying"] == carried.sum()).all()


def test_a_signal_that_few_images_have_is_not_compared(store):
    few = store.copy()
    variance = few["ensemble_variance"].values.copy()
    variance[:, 10:] = np.nan
    few["ensemble_variance"] = (("configuration", "image"), variance)
    assert "ensemble_variance" in comparable_signals(store)
    assert "ensemble_variance" not in comparable_signals(few)
    table = compare_signals(few, replicates=20)
    assert set(table["signal"]) == set(comparable_signals(few))
    assert table["images"].min() > 10


# Signals and groups.


def test_signals_see_the_groups_as_the_error_does_or_not(store):
    """SLUG follows the error, whose gap falls from A over B to C; the latent standard deviation knows no group."""
    table = signals_by_group(store, replicates=40)
    by = table.set_index(["signal", "test", "configuration", "group"])["value"]
    assert by["slug", "same_sign", "", "dark"] == 1
    assert by["slug", "same_order", "", "dark"] == 1
    # What is of the image alone has one gap in all configurations.
    assert by["total_variation", "same_order", "", "dark"] == 0.5
    frame = per_image(store, ["mse", "slug"])
    part = frame[(frame["configuration"] == "A") & (frame["seed"] == 0)]
    above = np.sign(np.subtract.outer(*(part.loc[part["group"] == g, "slug"].to_numpy() for g in ("dark", "light"))))
    single = signals_by_group(store.isel(seed=[0]), replicates=20)
    single = single.set_index(["signal", "test", "configuration", "group"])["value"]
    assert single["slug", "cliffs_delta", "A", "dark"] == pytest.approx(above.mean())
    # The error catches all of its own worst, and flags whom it hits.
    assert by["mse", "caught", "A", "dark"] == 1
    assert by["mse", "flagged", "A", "dark"] > 0.15 > 0.1 > by["mse", "flagged", "A", "light"]
    assert signals_by_group(store.assign_attrs(groups='{"light": [1, 2]}')).empty


def test_signals_tell_labels_that_they_know_of():
    store = aggregated(seeds=2, tested=20, pool=24, size=8)
    carried = store["label_ruler"].values == 1
    store["slug"].values[:, :, carried] *= 1e3
    rng = np.random.default_rng(0)
    store = store.assign(label_acne=("image", rng.choice([0.0, 1.0], store.sizes["image"])))
    table = labels_by_signal(store, replicates=20)
    assert list(dict.fromkeys(table["label"])) == ["ruler", "acne"]
    assert table.groupby("label")["known_artefact"].all().to_dict() == {"ruler": True, "acne": False}
    by = table.groupby(["label", "signal"])["value"].mean()
    assert by["ruler", "slug"] > 0.99
    assert abs(by["ruler", "latent_std"] - 0.5) < 0.2
    assert {"mse", "slug", "kl", "total_variation"} <= set(table["signal"])
    assert labels_by_signal(store.drop_vars(["label_ruler", "label_acne"])).empty


def test_a_gap_that_is_the_condition_s_vanishes_within_it():
    """Dark skin has the worse error only because it has more of the condition that is hard to reconstruct."""
    rng = np.random.default_rng(0)
    store = aggregated(seeds=2, tested=200, pool=200, size=4, errors={c: {"light": 0.02, "dark": 0.02} for c in "ABC"})
    dark = store["group"].values == "dark"
    hard = rng.random(len(dark)) < np.where(dark, 0.8, 0.2)
    store["mse"] = store["mse"] * (1 + 3 * xr.DataArray(hard, dims="image"))
    rare = np.where(np.arange(len(dark)) % 25 == 0, "rare", np.where(hard, "hard", "easy"))
    store = store.assign(label_condition=("image", rare.astype(object)))
    table = gaps_within(store, replicates=100)
    table = table[(table["label"] == "condition") & (table["variable"] == "mse") & (table["configuration"] == "B")]
    by = table.set_index(["measure", "level"])
    assert by.loc[("all", ""), "low"] > np.log(1.5)
    for key in (("adjusted", ""), ("within", "hard"), ("within", "easy")):
        assert by.loc[key, "low"] < 0 < by.loc[key, "high"]
        assert abs(by.loc[key, "value"]) < 0.15
    # Eight images of each group are too few for a gap of their own.
    assert "rare" not in set(table["level"])
    assert by.loc[("within", "hard"), "smallest"] == min(((rare == "hard") & part).sum() for part in (dark, ~dark))
    frame = per_image(store, ["mse"])
    part = frame[(frame["configuration"] == "B") & (rare[frame["image"]] == "easy")]
    means = part.groupby(["seed", "group"])["mse"].mean().unstack()
    assert by.loc[("within", "easy"), "value"] == pytest.approx(np.log(means["dark"] / means["light"]).mean())


def test_a_gap_that_two_labels_explain_vanishes_only_where_both_are_adjusted_for():
    """Dark skin has more of the hard condition and more of the source whose photographs are hard."""
    rng = np.random.default_rng(1)
    store = aggregated(seeds=2, tested=200, pool=200, size=4, errors={c: {"light": 0.02, "dark": 0.02} for c in "ABC"})
    dark = store["group"].values == "dark"
    hard, dim = (rng.random(len(dark)) < np.where(dark, 0.75, 0.25) for _ in range(2))
    store["mse"] = store["mse"] * (1 + 2 * xr.DataArray(hard, dims="image")) * (1 + 2 * xr.DataArray(dim, dims="image"))
    labels = {
        "condition": np.where(hard, "hard", "easy"),
        "atlas": np.where(dim, "dim", "bright"),
        "fst_other": dark + 1,
    }
    store = store.drop_vars(["label_site", "label_ruler"]).assign(
        {f"label_{name}": ("image", values.astype(object)) for name, values in labels.items()}
    )
    table = gaps_within(store, replicates=60)
    adjusted = table[(table["variable"] == "mse") & (table["configuration"] == "B") & (table["measure"] == "adjusted")]
    values = adjusted.set_index("label")["value"]
    assert values["condition"] > 0.3
    assert values["atlas"] > 0.3
    assert abs(values[TOGETHER]) < 0.12
    levels = set(table.loc[(table["label"] == TOGETHER) & (table["measure"] == "within"), "level"])
    assert {"dim / easy", "bright / easy", "bright / hard"} <= levels
    assert TOGETHER not in set(gaps_within(store.drop_vars("label_atlas"), replicates=10)["label"])


def test_no_label_no_gap_within(store):
    assert gaps_within(store.drop_vars(["label_site", "label_ruler"])).empty


def test_masks_drawn_by_hand_are_asked_as_drawn_artefacts_are(artefacts):
    ruler = artefacts.isel(image=np.flatnonzero(artefacts["artefact"].values == "ruler"))
    by_hand = pixel_scores(ruler.drop_vars(["artefact", "clean_image"]), ("slug_map", "error_map", "slug_bare"))
    drawn = pixel_scores(ruler, ("slug_map", "error_map"))
    assert set(by_hand["map"]) == {"slug_map", "error_map"}, "there is no bare image to compare with"
    assert set(by_hand["artefact"]) == {"masked by hand"}
    np.testing.assert_array_equal(by_hand["auroc"], drawn["auroc"])
    assert make_table("drawn_artefacts", ruler.drop_vars(["artefact", "clean_image"]), 20)["images"].min() > 0
