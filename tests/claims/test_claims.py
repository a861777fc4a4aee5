"""The claims' rules on simulated runs whose truth is known: every verdict of every claim is reached."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from sluguq.analysis.estimates import Estimate, over_seeds
from sluguq.analysis.statistics import log_ratio, mean
from sluguq.claims import CLAIMS, COLUMNS, Run, judge, rules_version
from sluguq.claims.parts import gap_in, last_tenth, low_error
from sluguq.claims.rules import (
    FAILS,
    HOLDS,
    OPEN,
    SMALLEST_RATIO,
    UNASKED,
    above,
    below,
    corrected,
    counted,
    deciding,
    follows,
    holm,
    p_value,
    together,
    what_would_decide,
    within,
)
from sluguq.figures import FIGURES
from tests.figures.stand_in import CONFIGURATIONS, aggregated, with_artefacts
from tests.places import ROOT

EXTERNAL = {"brown": [3, 4], "dark": [5, 6]}
PLAIN = {c: {"brown": 0.01 * worse, "dark": 0.02 * worse} for c, worse in (("A", 1), ("B", 1), ("C", 1.5))}


def external(light: float, dark: float, exponent: float = 1.0, worse: float = 1.5, **options):
    """C is so many times as bad as A and B."""
    errors = {c: {"brown": light, "dark": dark} for c in CONFIGURATIONS}
    errors["C"] = {group: worse * error for group, error in errors["C"].items()}
    return aggregated(role="external", groups=EXTERNAL, errors=errors, exponent=exponent, maps=False, key=1, **options)


def labels(light: int, dark: int) -> pd.DataFrame:
    return pd.DataFrame({"fst": [1] * light + [6] * dark, "state": "available"})


def labelled(*, slug: float, error: float, label: str = "ruler", exponent: float = 1.0) -> xr.Dataset:
    """Photographs with a ruler, where one pixel of each map is so many times as bright."""
    store = aggregated(
        role="external", groups=EXTERNAL, errors=PLAIN, seeds=6, pool=80, size=8, noise=0.1, exponent=exponent, key=2
    )
    carried = store["label_ruler"].values == 1
    for name, factor in (("slug_map", slug), ("error_map", error)):
        store[name].values[:, :, carried, 2, 2] *= factor
    return store.rename({"label_ruler": f"label_{label}"})


def histories(seeds: int, power: float, noise: float = 1e-3) -> xr.Dataset:
    """Losses of 200 epochs that fall as the epoch to the power -`power`, or evenly where that is 0."""
    epoch = np.arange(1, 201)
    loss = epoch**-power if power else 2 - epoch / 200
    added = np.random.default_rng(0).normal(0, noise, (len(CONFIGURATIONS), seeds, 200))
    return xr.Dataset(
        {"loss": (("configuration", "seed", "epoch"), loss + added)}, coords={"configuration": list(CONFIGURATIONS)}
    )


def world(errors, *, artefacts, table, abroad, isic, power, complexity=1.0, **options):
    """A run of good size: 4 seeds, 60 test images per group and seed."""
    training = aggregated(errors=errors, seeds=4, tested=60, pool=120, maps=False, **options)
    dark = training["group"].values == "dark"
    for name in ("total_variation", "compressed_size"):
        training[name] = training[name] * np.where(dark, complexity, 1.0)
    return judge(
        {
            "home": training,
            "abroad": abroad,
            "isic": isic,
            "artefacts": with_artefacts(
                seeds=3, images=40, configurations=("B", "C"), kinds=("ruler", "patch"), **artefacts
            ),
        },
        table,
        replicates=100,
        models=histories(4, power),
    ).set_index("claim")


@pytest.fixture(scope="module")
def as_slug_paper():
    """The SLUG paper's world: dark worse everywhere, C worse than B for all, SLUG a power of the error."""
    errors = {
        "A": {"light": 0.010, "dark": 0.030},
        "B": {"light": 0.012, "dark": 0.018},
        "C": {"light": 0.022, "dark": 0.027},
    }
    return world(
        errors,
        noise=0.1,
        artefacts={"slug_signal": 3.0},
        table=labels(50, 10),
        abroad=external(0.01, 0.02, pool=80, noise=0.1),
        isic=labelled(slug=1000, error=1),
        power=1.0,
        complexity=1.5,
    )


@pytest.fixture(scope="module")
def as_fairness_paper():
    """The fairness paper's world where the two differ: under C light is worse, and dark is at its best."""
    errors = {
        "A": {"light": 0.010, "dark": 0.030},
        "B": {"light": 0.012, "dark": 0.018},
        "C": {"light": 0.022, "dark": 0.012},
    }
    return world(
        errors,
        artefacts={},
        table=labels(50, 10),
        abroad=external(0.01, 0.02, pool=80, noise=0.1),
        isic=labelled(slug=1000, error=1),
        power=1.0,
    )


@pytest.fixture(scope="module")
def opposite():
    """A world where what both papers say is false: SLUG falls as the error rises, and so on."""
    errors = {
        "A": {"light": 0.140, "dark": 0.100},
        "B": {"light": 0.160, "dark": 0.120},
        "C": {"light": 0.090, "dark": 0.170},
    }
    return world(
        errors,
        exponent=-1.0,
        noise=0.05,
        latent_gap=3.0,
        artefacts={"slug_signal": -2.0, "error_signal": 3.0},
        table=labels(10, 50),
        abroad=external(0.02, 0.01, exponent=-1.0, worse=0.7, pool=80, noise=0.1),
        isic=labelled(slug=1, error=1000, exponent=-1.0),
        power=0.0,
        complexity=0.7,
    )


@pytest.fixture(scope="module")
def small():
    """The papers' world, but five test images per group and two seeds."""
    training = aggregated(seeds=2, tested=5, pool=40, noise=1.5, maps=False, patients=False)
    abroad = external(0.015, 0.016, seeds=2, pool=3)
    artefacts = with_artefacts(seeds=2, images=2, slug_signal=0.4, error_signal=0.6)
    stores = {"home": training, "abroad": abroad, "artefacts": artefacts}
    return judge(stores, None, replicates=200, models=histories(2, 0.5, noise=0.1)).set_index("claim")


# What the truth put into each world makes of each claim; None where the world does not say.
EXPECTED = {
    "dark_underrepresented": (HOLDS, HOLDS, FAILS),
    "error_is_low": (HOLDS, HOLDS, FAILS),
    "loss_converged": (HOLDS, HOLDS, FAILS),
    "gap_under_A": (HOLDS, HOLDS, FAILS),
    "gap_under_B": (HOLDS, HOLDS, FAILS),
    "gap_under_C_reversed": (FAILS, HOLDS, FAILS),
    "no_mirror": (HOLDS, HOLDS, FAILS),
    "light_best_under_A": (HOLDS, HOLDS, FAILS),
    "dark_best_under_C": (FAILS, HOLDS, FAILS),
    "dark_more_sensitive": (FAILS, HOLDS, None),
    "lesion_better_on_light_skin": (UNASKED, UNASKED, UNASKED),
    "tone_follows_training": (UNASKED, UNASKED, UNASKED),
    "latent_std_is_blind": (HOLDS, HOLDS, FAILS),
    "unseen_is_worse": (HOLDS, HOLDS, FAILS),
    "dark_only_worse_for_all": (HOLDS, FAILS, FAILS),
    "dark_only_worse_abroad": (HOLDS, HOLDS, FAILS),
    "dark_worse_even_under_C": (HOLDS, FAILS, FAILS),
    "slug_ranks_with_error": (HOLDS, HOLDS, FAILS),
    "slug_linear_with_error": (HOLDS, HOLDS, FAILS),
    "slug_ranks_within_groups": (HOLDS, HOLDS, FAILS),
    "slug_beats_latent_std": (HOLDS, HOLDS, FAILS),
    "slug_gap_has_sign_of_error": (HOLDS, HOLDS, FAILS),
    "slug_gaps_order_as_error": (HOLDS, HOLDS, FAILS),
    "external_error_rises_with_fst": (HOLDS, HOLDS, FAILS),
    "external_slug_follows_error": (HOLDS, HOLDS, FAILS),
    "external_slug_ranks_with_error": (HOLDS, HOLDS, FAILS),
    "external_slug_ranks_within_fst": (HOLDS, HOLDS, FAILS),
    "removal_lowers_error": (HOLDS, None, FAILS),
    "slug_map_finds_artefacts": (HOLDS, HOLDS, FAILS),
    "error_map_misses_artefacts": (HOLDS, HOLDS, FAILS),
    "slug_map_beats_error_map": (HOLDS, HOLDS, FAILS),
    "artefacts_are_reconstructed": (HOLDS, HOLDS, FAILS),
    "slug_map_tells_labelled_artefacts": (HOLDS, HOLDS, FAILS),
    "error_map_misses_labelled_artefacts": (HOLDS, HOLDS, FAILS),
    "lesion_between_artefact_and_skin": (HOLDS, HOLDS, FAILS),
    "dark_images_more_complex": (HOLDS, None, FAILS),
    "dark_images_vary_more": (None, None, None),
}


def test_every_claim_is_expected():
    assert [claim.key for claim in CLAIMS] == list(EXPECTED)


@pytest.mark.parametrize("key", EXPECTED)
def test_verdicts_follow_the_truth(key, as_slug_paper, as_fairness_paper, opposite):
    for wanted, judged in zip(EXPECTED[key], (as_slug_paper, as_fairness_paper, opposite), strict=True):
        if wanted is not None:
            assert judged.loc[key, "verdict"] == wanted, judged.loc[key, "parts"]


def test_small_runs_decide_little_and_say_why(small):
    assert set(small["verdict"]) == {OPEN, UNASKED}
    assert (small["reason"] != "").all()
    assert (small.loc[small["verdict"] == UNASKED, "decides"] == "").all()
    assert small.loc["gap_under_B", "decides"].startswith("about ")


def test_one_seed_decides_nothing_about_training():
    run = judge({"home": aggregated(seeds=1, tested=30, maps=False)}, replicates=100).set_index("claim")
    assert run.loc["gap_under_A", "verdict"] == OPEN
    assert run.loc["gap_under_A", "reason"] == "rests on 1 seed; 2 are needed"


def test_the_table_is_complete_and_says_what_is_missing():
    table = judge({"home": aggregated(maps=False)}, replicates=50)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(CLAIMS)
    missing = table.set_index("claim")["reason"]
    asked = table.set_index("claim")["verdict"] != UNASKED
    assert not asked["slug_map_finds_artefacts"]
    assert asked["gap_under_A"]
    assert missing["slug_map_finds_artefacts"] == "no images with drawn artefacts were scored"
    assert missing["external_error_rises_with_fst"] == (
        "no external data set has two or more skin types of 20 patients each"
    )
    assert table[["statement", "statistic", "rule", "where"]].map(bool).all(axis=None)


@pytest.mark.parametrize(
    "configurations",
    [{"only": {"light": 1.0}}, {"mostly": {"light": 0.7, "dark": 0.3}, "D": {"dark": 1.0}}],
)
def test_configurations_are_found_by_their_mix_not_their_name(configurations):
    errors = {name: {"light": 0.01, "dark": 0.03} for name in configurations}
    store = aggregated(configurations=configurations, errors=errors, maps=False)
    judged = judge({"home": store}, replicates=50).set_index("claim")
    assert "no configuration is trained on half light, half dark" in judged.loc["gap_under_B", "reason"]
    assert judged.loc["error_is_low", "verdict"] == HOLDS


def test_other_names_and_more_groups_take_lightest_and_darkest():
    groups = {"deep": [6], "middle": [3, 4], "pale": [1]}
    mixes = {"X": {"pale": 1.0}, "Y": {"pale": 0.5, "deep": 0.5}, "Z": {"deep": 1.0}}
    errors = {name: {"pale": 0.01, "middle": 0.02, "deep": 0.03} for name in mixes}
    run = Run({"home": aggregated(groups=groups, configurations=mixes, errors=errors, maps=False)})
    assert (run.light, run.dark) == ("pale", "deep")
    assert (run.light_only, run.both, run.dark_only) == ("X", "Y", "Z")


def test_labels_that_are_no_artefacts_are_not_asked_about():
    home = aggregated(seeds=3, tested=30, maps=False)
    judged = judge({"home": home, "clinic": labelled(slug=1000, error=1, label="melanoma")}, replicates=50)
    row = judged.set_index("claim").loc["slug_map_tells_labelled_artefacts"]
    assert row["verdict"] == UNASKED
    assert row["reason"] == "no data set has maps and photographs labelled with and without rulers, ink or patches"


def test_photographs_without_a_known_label_do_not_count():
    home, isic = aggregated(seeds=3, tested=30, maps=False), labelled(slug=1000, error=1)
    row = judge({"home": home, "isic": isic}, replicates=50).set_index("claim").loc["slug_map_tells_labelled_artefacts"]
    assert row["images"] == row["distinct_images"] == np.isfinite(isic["label_ruler"].values).sum()
    assert row["about"] == "isic, ruler, B"


def test_skin_types_of_few_patients_are_not_asked_about_one_by_one():
    """Skin type 4 of a set of 60 images of 30 patients is there with 10 alone, type 3 with none."""
    abroad = external(0.01, 0.02, pool=60)
    abroad["fst"].values[:60] = np.where(np.arange(60) < 20, 4, -1)
    home = aggregated(seeds=3, tested=30, maps=False)
    judged = judge({"home": home, "abroad": abroad}, replicates=50).set_index("claim")
    parts = judged.loc["external_slug_ranks_within_fst", "parts"]
    assert [f"abroad, FST {t}, B" in parts for t in (3, 4, 5, 6)] == [False, False, True, True]
    abroad["fst"].values[:] = -1
    judged = judge({"home": home, "abroad": abroad}, replicates=50).set_index("claim")
    assert (
        judged.loc["external_slug_ranks_within_fst", "reason"] == "no external data set has a skin type of 20 patients"
    )
    assert judged.loc["external_slug_ranks_with_error", "verdict"] == HOLDS


def test_the_last_tenth_of_a_loss():
    assert last_tenth(np.linspace(2, 1, 1001)) == pytest.approx(0.105, abs=1e-3)
    assert last_tenth(np.r_[3.0, 2.0, np.ones(98)]) == 0
    assert last_tenth(1 / np.sqrt(np.arange(1, 16))) == pytest.approx(0.03, abs=0.005)
    assert last_tenth(1 / np.sqrt(np.arange(1, 1001))) == pytest.approx(0.002, abs=5e-4)
    assert np.isnan(last_tenth(np.linspace(1, 2, 20)))


def test_convergence_needs_histories_and_a_tenth():
    home = aggregated(seeds=3, tested=30, maps=False)
    judged = judge({"home": home}, replicates=20).set_index("claim")
    assert judged.loc["loss_converged", "reason"] == "no store of models was given"
    short = histories(3, 1.0).isel(epoch=slice(9))
    judged = judge({"home": home}, replicates=20, models=short).set_index("claim")
    assert judged.loc["loss_converged", "reason"] == "training had fewer than ten epochs, so there is no last tenth"
    row = judge({"home": home}, replicates=20, models=histories(3, 1.0)).set_index("claim").loc["loss_converged"]
    assert (row["verdict"], row["images"], row["seeds"]) == (HOLDS, 0, 3)


def test_complexity_is_of_images_not_of_trainings():
    home = aggregated(seeds=4, tested=60, pool=120, maps=False)
    once = judge({"home": home}, replicates=50).set_index("claim").loc["dark_images_more_complex"]
    again = (
        judge({"home": home.isel(seed=slice(0, 1))}, replicates=50).set_index("claim").loc["dark_images_more_complex"]
    )
    assert once["seeds"] == 0
    assert once["estimate"] == again["estimate"]
    assert once["images"] == home.sizes["image"]


def test_false_verdicts_are_rare_where_there_is_no_gap():
    """True gap zero: about 95 of 100 runs must leave it open. Patients with two images each."""
    even = {c: {"light": 0.02, "dark": 0.02} for c in CONFIGURATIONS}
    decided = 0
    for key in range(150):
        # The pool is drawn anew each time, so its own difference of difficulty is part of the test.
        store = aggregated(errors=even, seeds=3, tested=20, pool=24, maps=False, key=key)
        part = gap_in(lambda run: run.light_only)(Run({"home": store}, replicates=100))[0]
        decided += part.verdict != OPEN
    assert decided / 150 <= 0.10


def test_an_inverted_indicator_is_an_indicator():
    """Latent standard deviation that falls as the error rises tells the error as well as one that rises."""
    store = aggregated(seeds=4, tested=60, pool=120, noise=0.1, maps=False)
    for sign in (1, -1):
        telling = store.assign(latent_std=1 + sign * store["mse"])
        judged = judge({"home": telling}, replicates=100).set_index("claim")
        assert judged.loc["slug_beats_latent_std", "verdict"] == FAILS, judged.loc["slug_beats_latent_std", "parts"]


def test_latent_std_is_not_blind_where_the_error_is_blind_too():
    even = {c: {"light": 0.02, "dark": 0.02} for c in CONFIGURATIONS}
    store = aggregated(errors=even, seeds=4, tested=60, pool=120, latent_gap=0.2, maps=False)
    judged = judge({"home": store}, replicates=100).set_index("claim").loc["latent_std_is_blind"]
    assert judged["verdict"] != HOLDS, judged["parts"]
    assert "A: 0." in judged["parts"]
    assert "claimed within ±0.33: holds" in judged["parts"]


def test_the_lesion_is_asked_of_both_configurations_and_the_papers_objects():
    """Bubbles, darker than the lesion, are not what the paper speaks of; C is, and there the lesion is brightest."""
    store = with_artefacts(seeds=3, images=40, kinds=("ruler", "bubble"), slug_signal=3.0)
    bubbles, c = store["artefact"].values == "bubble", list(store["configuration"].values).index("C")
    inside = store["artefact_mask"].values == 1
    store["slug_map"].values[:, :, bubbles] /= np.where(inside[bubbles], 1e4, 1)
    key = "lesion_between_artefact_and_skin"
    home = aggregated(seeds=3, tested=30, maps=False)
    judged = judge({"home": home, "artefacts": store}, replicates=50).set_index("claim")
    assert judged.loc[key, "verdict"] == HOLDS, judged.loc[key, "parts"]
    store["slug_map"].values[c] /= np.where(inside, 1e4, 1)
    judged = judge({"home": home, "artefacts": store}, replicates=50).set_index("claim")
    assert judged.loc[key, "verdict"] == FAILS


def test_rows_count_images_and_patients_as_they_are():
    store = aggregated(seeds=4, tested=60, pool=120, maps=False)
    tested = np.isfinite(store["mse"].values[0]).any(axis=0)
    row = judge({"home": store}, replicates=50).set_index("claim").loc["gap_under_A"]
    assert (row["images"], row["distinct_images"], row["seeds"]) == (120, tested.sum(), 4)
    assert row["patients"] == row["units"] == len(set(store["patient"].values[tested]))

    nameless = aggregated(seeds=4, tested=60, pool=120, maps=False, patients=False)
    nameless["duplicate_group"][:] = np.array([f"{i // 3}" for i in range(nameless.sizes["image"])], dtype=object)
    row = judge({"home": nameless}, replicates=50).set_index("claim").loc["gap_under_A"]
    assert pd.isna(row["patients"])
    assert row["units"] == len(set(np.flatnonzero(tested) // 3))

    partly = store.copy(deep=True)
    partly["patient"].values[np.flatnonzero(tested)[0]] = ""
    row = judge({"home": partly}, replicates=50).set_index("claim").loc["gap_under_A"]
    assert pd.isna(row["patients"])


def test_patients_of_drawn_artefacts_are_those_of_the_bare_images():
    home, artefacts = aggregated(seeds=3, tested=20, maps=False), with_artefacts(images=40)
    row = (
        judge({"home": home, "artefacts": artefacts}, replicates=50)
        .set_index("claim")
        .loc["error_map_misses_artefacts"]
    )
    assert (row["images"], row["distinct_images"], row["patients"], row["units"]) == (40, 40, 20, 20)


def test_false_verdicts_are_rare_for_a_claim_of_many_parts():
    """Six independent parts, each exactly at its threshold: decided no more often than one part would be."""
    rng = np.random.default_rng(0)
    trials, whole, uncorrected = 400, 0, 0
    for trial in range(trials):
        parts = []
        for _ in range(6):
            images = rng.normal(size=40)
            seeds = [{"x": images + rng.normal(0, 0.1)} for _ in range(5)]
            parts.append(above("part", over_seeds(mean, seeds, [np.arange(40)] * 5, replicates=80, key=trial)))
        whole += together(parts)[0] != OPEN
        uncorrected += FAILS in [part.verdict for part in parts]
    assert whole / trials <= 0.05
    assert uncorrected / trials >= 0.08


def test_false_verdicts_are_rare_for_a_claim_on_configurations_and_groups():
    """Every configuration's and group's mean error is the paper's 0.07 exactly: six parts, which share images."""
    spread = 0.3**2 + 0.02**2 + 0.05**2
    level = {c: dict.fromkeys(("light", "dark"), 0.07 * np.exp(-spread / 2)) for c in CONFIGURATIONS}
    decided = 0
    for key in range(150):
        store = aggregated(errors=level, seeds=3, tested=20, pool=24, maps=False, key=key)
        decided += together(low_error(Run({"home": store}, replicates=60)))[0] != OPEN
    assert decided / 150 <= 0.08


def test_every_claim_and_figure_stands_in_the_page_of_the_papers():
    """And what the page names is there."""
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    rows = [line.split("|")[3] for line in page.splitlines() if line.startswith("| ")]
    named = set(re.findall(r"`([a-zA-Z_]+)`", " ".join(rows)))
    keys = {claim.key for claim in CLAIMS}
    assert keys <= named
    assert {name for name, figure in FIGURES.items() if figure.paper} <= named
    assert named - keys - set(FIGURES) == {"ssim", "ita_shift"}


def test_what_cannot_be_asked_of_artefacts_names_its_cause():
    home, drawn = aggregated(seeds=2, tested=4, pool=6, maps=False), with_artefacts(seeds=2, images=4)

    def reasons(store, **more):
        return judge({"home": home, "drawn": store, **more}, None, 20).set_index("claim")["reason"]

    lesion = "no image with a drawn artefact has a mask of its lesion"
    bare = "no image with a drawn artefact was also scored without it"
    empty = "the masks of the drawn artefacts are empty, or cover all of the image"
    lost = "artefacts has no errors of B in any seed: training diverged"
    assert reasons(drawn.drop_vars("lesion_mask"))["lesion_between_artefact_and_skin"] == lesion
    assert reasons(drawn.isel(image=slice(4, None)))["artefacts_are_reconstructed"] == bare
    asked = ["slug_map_finds_artefacts", "error_map_misses_artefacts", "slug_map_beats_error_map"]
    assert reasons(drawn.assign(artefact_mask=drawn["artefact_mask"] * 0))[asked].eq(empty).all()
    ill = drawn.copy(deep=True)
    ill["mse"].values[1] = np.nan
    assert reasons(ill)[[*asked, "artefacts_are_reconstructed", "lesion_between_artefact_and_skin"]].eq(lost).all()
    assert reasons(drawn.isel(image=slice(4)))[asked].eq("no ruler or ink or patch was drawn").all()
    isic = labelled(slug=1000, error=1)
    isic["mse"].values[1] = np.nan
    told = reasons(drawn, isic=isic)[["slug_map_tells_labelled_artefacts", "error_map_misses_labelled_artefacts"]]
    assert told.eq("elsewhere has no errors of B in any seed: training diverged").all()


# The rules themselves.


def estimate(low: float, high: float, seeds: int = 5, patients: int = 60, named: int | None = 60) -> Estimate:
    error = (high - low) / 2 / 1.959964
    return Estimate(
        (low + high) / 2, low, high, error, seeds, 90, patients, ((error**2, np.inf),), patients=named
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (above, 0.1, 1, HOLDS),
        (above, -1, -0.1, FAILS),
        (above, -1, 1, OPEN),
        (below, -1, -0.1, HOLDS),
        (below, 0.1, 1, FAILS),
        (below, -1, 1, OPEN),
    ],
)
def test_one_sided_rules(rule, low, high, verdict):
    assert rule("part", estimate(low, high)).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.2, 0.3, HOLDS), (0.1, 0.2, HOLDS), (0.4, 0.6, FAILS), (-0.9, -0.4, FAILS), (0.2, 0.5, OPEN), (-1, 1, OPEN)],
)
def test_equivalence_needs_a_narrow_interval(low, high, verdict):
    assert within("part", estimate(low, high), 0.33).verdict == verdict


def test_what_follows_needs_the_sign_and_a_share():
    plus, minus, unsure = estimate(0.1, 1), estimate(-1, -0.1), estimate(-1, 1)

    def verdict(own, reference, shortfall):
        return follows("p", own, reference, shortfall, "x").verdict

    assert verdict(plus, plus, plus) == HOLDS
    assert verdict(minus, minus, minus) == HOLDS
    assert verdict(plus, minus, plus) == FAILS
    assert verdict(plus, unsure, plus) == OPEN
    assert verdict(unsure, plus, unsure) == OPEN
    # Nothing, or too little, of an effect that is there.
    assert verdict(unsure, plus, minus) == FAILS
    assert verdict(plus, plus, minus) == FAILS


def test_an_effect_shown_to_be_too_small_refutes_however_sure_it_is():
    small = estimate(0.01, 0.03)
    assert above("p", small).verdict == HOLDS
    assert above("p", small, smallest=0.05).verdict == FAILS
    assert above("p", estimate(-0.03, 0.03), smallest=0.05).verdict == FAILS
    assert above("p", estimate(-0.03, 0.07), smallest=0.05).verdict == OPEN
    assert above("p", estimate(0.02, 0.09), smallest=0.05).verdict == HOLDS
    assert below("p", estimate(-0.03, -0.01), smallest=0.05).verdict == FAILS


def test_between_holding_and_not_lies_what_is_not_decided():
    """A sure effect whose estimate is smaller than the smallest of interest, which it may yet reach."""
    for value in np.linspace(-0.1, 0.2, 301):
        for half in (0.004, 0.02, 0.06):
            verdicts = [
                above("p", estimate(v - half, v + half), smallest=0.05).verdict for v in (value, value + 0.99 * half)
            ]
            assert verdicts != [FAILS, HOLDS], (value, half)
            mirrored = below("p", estimate(-value - half, -value + half), smallest=0.05).verdict
            assert mirrored == above("p", estimate(value - half, value + half), smallest=0.05).verdict
    part = above("p", estimate(0.01, 0.07), smallest=0.05)
    assert together([part]) == (OPEN, "an effect is seen, and it may be smaller than the smallest of interest")
    assert p_value([part], OPEN) > 0.05
    assert together([above("p", estimate(-0.01, 0.07), smallest=0.05)]) == (OPEN, "an interval holds the threshold")
    # What would decide it is what shows it to be smaller.
    assert part.aim == pytest.approx(0.01)
    sure = estimate(0.1, 0.3)
    assert follows("p", sure, estimate(0.8, 1.2), estimate(-0.1, 0.05), "the error's").verdict == OPEN
    assert follows("p", sure, estimate(0.8, 1.2), estimate(-0.04, 0.1), "the error's").verdict == HOLDS


def test_a_count_is_below_or_it_is_not():
    assert together([counted("table", 0.4, 10, 0.5)], 0) == (HOLDS, "")
    assert together([counted("table", 0.5, 10, 0.5)], 0) == (FAILS, "")
    assert np.isnan(p_value([counted("table", 0.5, 10, 0.5)], FAILS))


def test_the_p_value_is_the_level_at_which_a_claim_is_just_decided():
    for part in (above("a", estimate(0.1, 1)), below("b", estimate(0.1, 1)), within("c", estimate(-0.1, 0.2), 0.3)):
        p = p_value([part], part.verdict)
        assert part.at(1 - 1.05 * p) != OPEN
        assert part.at(1 - 0.95 * p) == OPEN
        assert p < 0.05
    both = [above("a", estimate(0.1, 1)), above("b", estimate(0.01, 1))]
    assert p_value(both, HOLDS) == pytest.approx(max(p_value([part], HOLDS) for part in both))
    assert p_value([above("a", estimate(-1, 1))], OPEN) > 0.9


def test_the_p_value_is_that_of_the_verdict():
    """Surely above 0, and less surely below the smallest effect: what is said is that it is too small."""
    small = above("a", estimate(0.036, 0.048), smallest=0.05)
    assert small.verdict == FAILS
    # However sure it is, it would hold at no level.
    assert p_value([small], HOLDS) == 1
    assert 0.001 < p_value([small], FAILS) < 0.05


def test_no_level_stands_beside_what_something_else_than_intervals_leaves_open():
    part = above("a", estimate(0.1, 1, patients=5))
    assert together([part])[0] == OPEN
    assert np.isnan(p_value([part], OPEN))


def test_holms_values():
    """By hand: 4 times 0.01, then 3 times 0.02, never falling; what is not known does not count."""
    assert holm([0.02, 0.5, np.nan, 0.01, 0.02]) == pytest.approx([0.06, 0.5, np.nan, 0.04, 0.06], nan_ok=True)


def test_what_would_decide_is_a_multiple_of_seeds_or_images():
    """Half-width 1, and 0.5 from the threshold: four times the variance's reciprocal."""
    images = above("a", estimate(-0.5, 1.5)._replace(value=0.5))
    assert what_would_decide([images]) == "about 4 times the images"
    e = estimate(-0.5, 1.5)
    seeds = above("a", e._replace(value=0.5, variances=((0.2, np.inf), (e.standard_error**2 - 0.2, np.inf))))
    assert what_would_decide([seeds]) == "about 4 times the seeds"
    assert "hardly any" in what_would_decide([above("a", estimate(-1, 1))])
    # Of two seeds, Student's quantile is most of the width: 12.7 with one degree of freedom, 3.2 with three.
    two = Estimate(0.5, -0.77, 1.77, 0.1, 2, 90, 60, ((0.01, 1.0), (0.0, np.inf)))
    assert what_would_decide([above("a", two)]) == "about 2 times the seeds"


def test_one_side_of_a_comparison_needs_patients_too():
    few = estimate(1, 2)._replace(side=3.0)
    reason = "one side of a comparison counts as 3 patients, by their images; 5 are needed"
    assert together([above("a", few)]) == (OPEN, reason)
    assert together([above("a", few._replace(side=5.0))])[0] == HOLDS


@pytest.mark.parametrize("dark", [1, 2, 5])
def test_a_few_dark_patients_do_not_make_a_gap(dark):
    """No gap in truth: 30 light patients and a few dark ones, who differ from each other, with 30 images per group."""
    rng = np.random.default_rng(dark)
    cluster = np.concatenate([np.arange(30), 30 + np.arange(30) % dark])
    verdicts = []
    for _ in range(60):
        of_patient = 0.3 * rng.normal(size=30 + dark)
        errors = [np.exp(of_patient[cluster] + 0.1 * rng.normal(size=60)) for _ in range(4)]
        seeds = [{"x": error, "group": np.arange(60) >= 30} for error in errors]
        gap = over_seeds(log_ratio, seeds, [cluster] * 4, replicates=200)
        verdicts.append(together([above("gap", gap, smallest=SMALLEST_RATIO)])[0])
    assert verdicts.count(HOLDS) <= 4


def test_an_external_trend_does_not_hang_on_how_rare_a_type_is():
    abroad = external(0.01, 0.03, pool=800, noise=0.1)
    light, darkest = (np.flatnonzero(abroad["fst"].values == t) for t in (EXTERNAL["brown"][0], EXTERNAL["dark"][1]))
    for count, wanted in ((4, UNASKED), (50, HOLDS)):
        rare = abroad.isel(image=np.concatenate([light, darkest[:count]]))
        row = judge({"home": aggregated(maps=False), "abroad": rare}, replicates=60).set_index("claim")
        assert row.loc["external_error_rises_with_fst", "verdict"] == wanted
    assert float(row.loc["external_error_rises_with_fst", "estimate"]) > 0.5, "whatever share of the images is dark"


def test_a_value_that_is_not_known_in_a_seed_does_not_hold():
    lost = estimate(1, 2)._replace(undefined=1)
    assert together([above("a", lost)]) == (OPEN, "not known in 1 of 6 seeds")
    assert together([below("a", lost)]) == (FAILS, "")


def test_a_model_that_diverged_is_not_left_out_in_silence():
    store = aggregated(seeds=4, tested=60, pool=120, maps=False, noise=0.1)
    for name in ("mse", "slug", "latent_std"):
        store[name].values[0, 2] = np.nan
    judged = judge({"home": store}, replicates=60).set_index("claim")
    assert judged.loc["gap_under_A", ["verdict", "reason"]].tolist() == [OPEN, "not known in 1 of 4 seeds"]
    assert judged.loc["slug_ranks_with_error", "verdict"] == HOLDS


def test_a_seed_that_diverged_in_every_configuration_is_not_left_out_in_silence():
    """Nothing of the seed is left to show that it was to be scored; all the same it was trained."""
    home = aggregated(seeds=4, tested=60, pool=120, maps=False, noise=0.1)
    isic, drawn = labelled(slug=1000, error=1), with_artefacts(seeds=4, images=40, slug_signal=3.0)
    for store in (home, isic, drawn):
        for name in ("mse", "slug", "latent_std", "slug_map", "error_map"):
            if name in store:
                store[name].transpose("seed", ...).values[2] = np.nan
    judged = judge({"home": home, "isic": isic, "artefacts": drawn}, replicates=60).set_index("claim")
    assert not (judged["verdict"] == HOLDS).any(), judged.loc[judged["verdict"] == HOLDS, "parts"]
    for claim in ("gap_under_A", "slug_ranks_with_error", "error_is_low", "slug_map_finds_artefacts"):
        assert judged.loc[claim, "reason"] == "not known in 1 of 4 seeds", claim
    assert judged.loc["slug_map_tells_labelled_artefacts", "reason"] == "not known in 1 of 6 seeds"


def test_an_image_that_no_configuration_of_a_seed_could_score_is_not_left_out_in_silence():
    """The store says that it was tested, though nothing is known of it."""
    store = aggregated(seeds=4, tested=60, pool=120, maps=False, noise=0.1)
    tested = np.isfinite(store["mse"].values[0])
    store = store.assign_coords(tested=(("seed", "image"), tested))
    image = np.flatnonzero(tested[2])[0]
    for name in ("mse", "slug", "latent_std"):
        store[name].values[:, 2, image] = np.nan
    judged = judge({"home": store}, replicates=60).set_index("claim")
    assert judged.loc["gap_under_A", ["verdict", "reason"]].tolist() == [OPEN, "not known in 1 of 4 seeds"]


def test_a_run_without_any_error_is_told_as_such():
    store = aggregated(seeds=2, tested=10, pool=20, size=8)
    errors = {name: store[name] * np.nan for name in ("mse", "slug", "latent_std", "error_map", "slug_map")}
    table = judge({"home": store.assign(errors)}, None, 20).set_index("claim")
    assert (
        table.loc["tone_follows_training", "reason"]
        == "phantom has no errors of A, B, C in any seed: training diverged"
    )
    assert "has fewer than three patients of light or dark" in table.loc["dark_images_vary_more", "reason"]
    assert not table["verdict"].isin([HOLDS, FAILS]).any()


def test_a_configuration_that_diverged_in_every_seed_is_told_as_such():
    store = aggregated(seeds=3, tested=40, pool=60, size=8)
    for name in ("mse", "slug", "latent_std", "slug_map", "error_map"):
        store[name].values[0] = np.nan
    judged = judge({"home": store}, replicates=20).set_index("claim")
    for claim in ("gap_under_A", "tone_follows_training", "unseen_is_worse"):
        assert judged.loc[claim, "verdict"] == UNASKED, claim
        assert "no errors of A" in judged.loc[claim, "reason"], judged.loc[claim, "reason"]


def test_tone_is_asked_of_a_group_without_tested_images():
    store = aggregated(seeds=3, tested=40, pool=60, size=8)
    for name in ("mse", "slug", "latent_std", "slug_map", "error_map"):
        store[name].values[:, :, store["group"].values == "dark"] = np.nan
    assert judge({"home": store}, replicates=20).set_index("claim").loc["tone_follows_training", "verdict"] == UNASKED


@pytest.mark.parametrize("name", ["seed", "image", "cluster", "map", "x", "inside"])
def test_a_configuration_may_have_any_name(name):
    store = aggregated(seeds=3, tested=40, pool=60, size=8)
    renamed = store.assign_coords(configuration=[name, "B", "C"])
    resolved = yaml.safe_load(store.attrs["configuration"])
    resolved["configurations"][name] = resolved["configurations"].pop("A")
    renamed.attrs["configuration"] = yaml.safe_dump(resolved)
    plain, own = (judge({"home": s}, replicates=20).set_index("claim") for s in (store, renamed))
    pd.testing.assert_series_equal(plain["verdict"], own["verdict"])


@pytest.mark.parametrize("greys", [(100, 200), (100, 100)])
def test_images_that_are_all_the_same_have_no_variability(greys):
    """What differs between them is rounding, of which nothing can be said."""
    store = aggregated(seeds=2, tested=60, pool=60, size=8)
    dark = store["group"].values == "dark"
    store["pixels"][:] = np.where(dark, *greys[::-1])[:, None, None, None].astype(np.uint8)
    row = judge({"home": store}, replicates=40).set_index("claim").loc["dark_images_vary_more"]
    assert row["verdict"] == OPEN
    assert "has no value in this run" in row["reason"]
    assert np.isnan(row["estimate"])


@pytest.mark.parametrize("rising", [1, 3])
def test_a_loss_that_rises_has_not_converged(rising):
    store = histories(3, 1.0)
    store["loss"].values[0, :rising] = np.linspace(1, 2, 200)
    home = aggregated(seeds=3, tested=30, maps=False)
    row = judge({"home": home}, replicates=20, models=store).set_index("claim").loc["loss_converged"]
    assert row["verdict"] == FAILS
    assert f"in {rising} of 3 seeds it did not fall" in row["parts"]


@pytest.mark.parametrize(("shift", "lesion", "verdict"), [(40, 9.0, HOLDS), (0, 0.2, FAILS)])
def test_tone_and_lesions_are_asked_of_stored_pictures(shift, lesion, verdict):
    """Reconstructions of dark skin by A are lighter by so much, and their lesions by B so many times as bad."""
    store = aggregated(seeds=4, tested=40, pool=60, size=8)
    mask = np.zeros((store.sizes["image"], 8, 8), np.uint8)
    mask[:, 3:5, 3:5] = 1
    store["lesion_mask"] = (("image", "y", "x"), mask)
    dark = store["group"].values == "dark"
    same = np.broadcast_to(store["pixels"].values.astype(int), store["reconstruction"].shape).copy()
    same[0][:, dark] += shift
    store["reconstruction"][:] = np.clip(same, 0, 255).astype(np.uint8)
    # The lesion is asked under B, which the paper's figure 1 is of; under A the opposite is put in.
    for place, factor in ((1, lesion), (0, 1 / lesion)):
        store["error_map"].values[place][:, dark] *= np.where(mask[dark] == 1, factor, 1.0)
    judged = judge({"home": store}, replicates=50).set_index("claim")
    for key in ("lesion_better_on_light_skin", "tone_follows_training"):
        assert judged.loc[key, "verdict"] == verdict, judged.loc[key, "parts"]


@pytest.mark.parametrize(("spread", "verdict"), [(3.0, HOLDS), (1.0, FAILS)])
def test_variability_is_of_images_between_each_other(spread, verdict):
    """Images of light skin are noise; those of dark skin the same noise, or more of it."""
    store = aggregated(seeds=2, tested=160, pool=160, size=8)
    rng, dark = np.random.default_rng(0), store["group"].values == "dark"
    noise = 10 * rng.normal(size=store["pixels"].shape) * np.where(dark, spread, 1.0)[:, None, None, None]
    # A pattern that every image has, of another contrast each, which takes dimensions away from light skin.
    if spread > 1:
        noise[~dark] += 60 * rng.normal(size=(int((~dark).sum()), 1, 1, 1)) * np.linspace(-1, 1, 8)[None, :, None, None]
        noise[dark] *= 4
    store["pixels"][:] = np.clip(128 + noise, 0, 255).astype(np.uint8)
    row = judge({"home": store}, replicates=40).set_index("claim").loc["dark_images_vary_more"]
    assert row["verdict"] == verdict, row["parts"]


def test_claims_tell_their_rules_version_and_an_adjusted_verdict():
    table = judge({"home": aggregated(seeds=4, tested=60, pool=120, maps=False, noise=0.1)}, replicates=60)
    assert table["rules_version"].eq(rules_version()).all()
    assert re.fullmatch(r"\d+-[0-9a-f]{12}", rules_version())
    asked = table[table["p"].notna()]
    assert (asked["p_adjusted"] >= asked["p"]).all()
    decided = asked["verdict"].isin([HOLDS, FAILS])
    assert decided.any()
    kept = asked[decided & (asked["p_adjusted"] <= 0.05)]
    assert len(kept)
    assert (kept["adjusted"] == kept["verdict"]).all()
    assert (asked.loc[asked["p_adjusted"] > 0.05, "adjusted"] == OPEN).all()
    # Every claim with a threshold of no effect says what effect is too small, and why.
    of_no_effect = [c for c in CLAIMS if re.search(r"above 0(?!\.)|below 0(?!\.)|exclude 0", c.rule)]
    assert len(of_no_effect) >= 18
    assert all(len(claim.smallest) > 20 for claim in of_no_effect)


def test_a_conjunction_holds_only_whole():
    holds, fails, unsure = (above(n, estimate(*e)) for n, e in (("a", (1, 2)), ("b", (-2, -1)), ("c", (-1, 1))))
    assert together([holds, holds])[0] == HOLDS
    assert together([holds, unsure])[0] == OPEN
    assert together([holds, unsure, fails])[0] == FAILS
    assert together([])[0] == OPEN
    assert deciding([holds, unsure, fails]) is fails
    assert deciding([holds, unsure]) is unsure


def test_a_claim_of_many_parts_fails_at_a_higher_level_only():
    """A part just beyond its threshold at 95 % refutes a claim of one part, not one of ten."""
    holds, barely, clearly = (above(n, estimate(*e)) for n, e in (("a", (1, 2)), ("b", (-2, -0.05)), ("c", (-2, -1))))
    assert together([barely]) == (FAILS, "")
    verdict, reason = together([barely] + 9 * [holds])
    assert verdict == OPEN
    assert reason == "some part is on the other side at 95 %, none at 99.5 %, the level for 10 parts"
    assert [part.verdict for part in corrected([barely] + 9 * [holds])] == [OPEN] + 9 * [HOLDS]
    assert together([clearly] + 9 * [holds]) == (FAILS, "")
    assert together([holds] * 10) == (HOLDS, "")


def test_few_seeds_or_patients_decide_nothing():
    assert together([above("a", estimate(1, 2, seeds=1))]) == (OPEN, "rests on 1 seed; 2 are needed")
    assert together([above("a", estimate(1, 2, patients=19))]) == (OPEN, "rests on 19 patients; 20 are needed")
    assert together([above("a", estimate(1, 2, seeds=2, patients=20))]) == (HOLDS, "")
    unnamed = above("a", estimate(1, 2, patients=19, named=None))
    assert together([unnamed]) == (OPEN, "rests on 19 images, patients unknown; 20 are needed")


def test_unknown_numbers_decide_nothing():
    assert above("part", Estimate(np.nan, np.nan, np.nan, np.nan, 3, 1, 1)).verdict == OPEN


def test_scores_without_maps_leave_the_claims_on_maps_open():
    dataset = aggregated()
    drawn = with_artefacts().drop_vars("slug_map")
    judged = judge({"training": dataset, "artefacts": drawn}, replicates=20).set_index("claim")
    assert judged.loc["slug_map_finds_artefacts", "verdict"] == UNASKED
    assert "have no slug_map" in judged.loc["slug_map_finds_artefacts", "reason"]
