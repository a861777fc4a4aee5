"""The page of findings: every number is one of the run's tables, and no photograph is on it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from sluguq.analysis.making import make_tables
from sluguq.analysis.results import open_results
from sluguq.analysis.tables import read_claims
from sluguq.claims import judge
from sluguq.claims.registration import entry, read_registration, register
from sluguq.claims.robustness import robustness
from sluguq.figures.words import number
from sluguq.report.differences import differences
from sluguq.report.doubts import confounding, other_ways, whose_labels
from sluguq.report.findings import _names, write_findings
from sluguq.report.registered import entries_in_words
from tests.figures.stand_in import aggregated, saved, with_artefacts
from tests.places import ROOT


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """An experiment as the workflow leaves it: stores, tables, claims and a figure; one data set has masks by hand."""
    folder = tmp_path_factory.mktemp("results") / "stand-in"
    by_hand = with_artefacts(seeds=3, images=8, kinds=("ruler",), size=16)
    by_hand = by_hand.isel(image=np.flatnonzero(by_hand["artefact"].values == "ruler"))
    stores = {
        "phantom": aggregated(seeds=3, tested=20, size=8),
        "masked": by_hand.drop_vars(["artefact", "clean_image"]).assign_attrs(role="external", dataset="masked"),
    }
    saved(stores, folder)
    for name, store in stores.items():
        (folder / "tables" / name).mkdir(parents=True)
        for table, rows in make_tables(store, str(store.attrs["role"]), 40).items():
            rows.to_csv(folder / "tables" / name / f"{table}.csv", index=False)
    judge(stores, None, 40).to_csv(folder / "claims.csv", index=False)
    figures = folder / "figures" / "phantom"
    figures.mkdir(parents=True)
    (figures / "error_by_group.svg").write_text("<svg/>")
    return folder


def test_the_page_says_what_the_tables_say(experiment, tmp_path):
    page = write_findings(experiment, tmp_path).read_text()
    claims = read_claims(experiment / "claims.csv")
    asked = claims[claims["verdict"] != "cannot be asked of this run"]
    assert len(asked) > 5
    for row in asked.itertuples():
        line = next(line for line in page.splitlines() if line.startswith(f"| {row.statement} |"))
        assert line.endswith(f"**{row.verdict}** |")
        if np.isfinite(row.estimate):
            assert number(row.estimate) in line
    for row in claims[claims["verdict"] == "cannot be asked of this run"].itertuples():
        assert f"- {row.statement}" in page
    signals = pd.read_csv(experiment / "tables" / "phantom" / "signals.csv")
    slug = signals.query("configuration == 'B' and signal == 'slug' and among == 'all' and test == 'spearman'")
    cell = re.search(r"Configuration B:.*?\| SLUG \| – \| ([^|]*) \|", page, re.DOTALL)[1]
    assert cell.startswith(f"{slug['value'].item():.2f} [")


def test_masks_by_hand_have_a_table_and_figures_are_copied(experiment, tmp_path):
    page = write_findings(experiment, tmp_path).read_text()
    assert "outlined by people" in page
    found = pd.read_csv(experiment / "tables" / "masked" / "drawn_artefacts.csv")
    value = found.query("map == 'slug_map' and measure == 'auroc' and configuration == 'C'")["value"].item()
    assert f"{value:.2f} [" in page
    assert "(findings/error_by_group.svg)" in page
    assert (tmp_path / "findings" / "error_by_group.svg").read_text() == "<svg/>"
    assert "data:image" not in page
    assert "The photographs are synthetic" in page


def test_data_sets_and_groups_that_are_not_the_papers_are_told_in_words():
    paper = {"external_datasets": ["passion"], "groups": {"light": [1, 2]}, "split": {"deduplicate": False}}
    here = {"external_datasets": [], "groups": {"fair": [1], "dark": [5]}, "split": {"deduplicate": True}}
    assert differences(paper, here) == [
        ("external_datasets", "passion", "none"),
        ("groups", "light: 1, 2", "fair: 1; dark: 5"),
        ("split.deduplicate", "false", "true"),
    ]


def test_only_keys_that_both_have_and_that_change_numbers_are_compared():
    paper = {
        "images": {"size": 128},
        "training": {"epochs": 9, "perceptual": {"network": "vgg19"}},
        "resources": {"a": 1},
    }
    here = {"images": {"size": 64}, "training": {"epochs": 9, "perceptual": {"network": "none"}}, "resources": {"a": 2}}
    assert differences(paper, here) == [
        ("images.size", "128", "64"),
        ("training.perceptual.network", "vgg19", "none"),
    ]


def ratios(by, value, low, high):
    row = {"by": by, "configuration": "A", "variable": "mse", "measure": "log_ratio", "images": 40}
    return {**row, **{name: np.log(number) for name, number in (("value", value), ("low", low), ("high", high))}}


def test_whose_labels_tells_where_the_direction_hangs_on_them():
    agree = pd.DataFrame([ratios("labels", 2, 1.5, 3), ratios("measured tone", 1.8, 1.2, 2.5)])
    text = "\n".join(whose_labels({"gaps_by_annotation": agree}))
    assert "| skin types as the groups have them | 40 | 2.00 [1.50, 3.00] |" in text
    assert "Under A all of them say the same of the error. The darkest fare worse." in text
    apart = pd.DataFrame([ratios("labels", 2, 1.5, 3), ratios("measured tone", 0.8, 0.7, 0.9)])
    text = "\n".join(whose_labels({"gaps_by_annotation": apart}))
    assert "Under A the gap of the error depends on who says so. The darkest fare worse: skin types as the" in text
    assert "The lightest fare worse: skin tone measured" in text
    assert "all pixels, lesion and background among them" in text
    outside = "\n".join(whose_labels({"gaps_by_annotation": apart}, {"lesion_mask", "artefact_mask"}))
    assert "the pixels outside the masks of the lesion and what is not skin" in outside
    of_slug = apart.assign(variable="slug", value=np.log(0.9))
    assert "SLUG:" in whose_labels({"gaps_by_annotation": pd.concat([apart, of_slug])})
    assert whose_labels({"gaps_by_annotation": agree[:1]}) == whose_labels({}) == []


def test_another_annotation_and_a_label_of_one_level_confound_nothing(experiment):
    gaps = pd.read_csv(experiment / "tables" / "phantom" / "gaps_within.csv")
    first = gaps[gaps["measure"] == "within"].iloc[[0]]
    one_level = first.assign(label="quality", level="1")
    other = pd.concat([first.assign(label="fst_other", level=str(level)) for level in (3, 4)])
    text = "\n".join(confounding({"gaps_within": pd.concat([gaps, one_level, other])}))
    assert "| ruler |" in text
    assert "quality" not in text
    assert "fst" not in text
    assert confounding({"gaps_within": one_level}) == []


def test_the_entry_of_the_registration_that_was_judged_by_is_named(experiment, tmp_path):
    configuration, path = open_results(experiment).training.attrs["configuration"], experiment / "registration.json"
    for day, text in enumerate(("seeds: 1", configuration, "seeds: 2"), 1):
        register(path, entry(text, {}, f"2026-01-0{day}T10:20:30+00:00", "abc"))
    try:
        page = write_findings(experiment, tmp_path).read_text()
    finally:
        path.unlink()
    assert "Entry 2 has the code of the rules and the configuration of this run." in page
    assert "| 1 | 2026-01-01 10:20 | `abc` | the first |" in page
    assert "(findings/stand-in-registration.json)" in page
    assert read_registration(tmp_path / "findings" / "stand-in-registration.json")


def test_what_an_entry_of_the_registration_changed_is_said():
    first = entry("seeds: 1\nsplit: {test_images: 5}", {}, "2026-01-01T10:20:30+00:00", "abc")
    claims = {**first["claims"], "gap_under_A": {"rule": "another"}, "own": {"rule": "mine"}}
    then = {**first, "configuration": "seeds: 1\nsplit: {test_images: 9}", "claims": claims, "rules_version": "3"}
    text = "\n".join(entries_in_words([first, then], ["2-0"], "seeds: 7"))
    assert "| 2 | 2026-01-01 10:20 | `abc` | `split.test_images` 5 → 9; what is written of `gap_under_A`; " in text
    assert "added: `own`; the code of the rules |" in text
    assert "No entry has both" in text
    assert entries_in_words([], [], "") == []


def test_the_readme_says_what_the_findings_say():
    """Its paragraph is typed; every number of it that is no size of the run stands on the page."""
    readme, page = ((ROOT / name).read_text() for name in ("README.md", "docs/findings.md"))
    paragraph = readme.split("**What it found on real photographs**")[1].split("\n\n")[0]
    assert (ROOT / "docs" / "findings" / "pilot-registration.json").is_file()
    numbers = set(re.findall(r"\d+\.\d+", paragraph))
    assert len(numbers) > 8
    assert {number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", page)} == set()
    tally = re.search(
        r"Of (\d+) claims of the papers (\d+) hold, (\d+) do not hold, (\d+) are not decided",
        " ".join(paragraph.split()),
    )
    assert (
        "Of {} claims of the two papers that this run can be asked about, {} hold, {} do not hold, {} are not".format(
            *tally.groups()
        )
        in page
    )


def test_commands_at_the_end_name_the_file_that_was_run(experiment, tmp_path):
    page = write_findings(experiment, tmp_path, configfile="config/mine.yaml").read_text()
    assert ".venv/bin/snakemake findings --cores 1 --configfile config/mine.yaml" in page
    assert "--configfile config/stand-in.yaml" in write_findings(experiment, tmp_path).read_text()


def test_names_of_the_run_are_told_where_the_claims_have_others():
    groups = {"hell": [1, 2], "dunkel": [5, 6]}
    mixes = {"nur": {"hell": 1.0}, "halb": {"hell": 0.5, "dunkel": 0.5}}
    errors = {name: dict.fromkeys(groups, 0.01) for name in mixes}
    store = aggregated(groups=groups, configurations=mixes, errors=errors, tested=4, pool=6, maps=False)
    assert _names(store) == (
        "In the claims light is hell (FST 1, 2), dark is dunkel (FST 5, 6), A is nur and B is halb."
    )
    assert _names(aggregated(tested=4, pool=6, maps=False)) == ""


def test_confounding_shows_the_plain_gap_beside_the_adjusted(experiment, tmp_path):
    page = write_findings(experiment, tmp_path).read_text()
    gaps = pd.read_csv(experiment / "tables" / "phantom" / "gaps_within.csv")
    row = gaps.query("label == 'ruler' and configuration == 'A' and variable == 'mse' and measure == 'adjusted'")
    line = next(line for line in page.splitlines() if line.startswith("| ruler |") and "| A |" in line)
    assert line.split(" | ")[-1].startswith(f"{np.exp(row['value'].item()):.2f} [")
    assert "What remains" in page
    assert confounding({}) == []


def test_verdicts_that_change_with_other_test_images_are_listed():
    store = aggregated(seeds=3, tested=40, pool=60, size=8, maps=False, noise=0.1)
    shuffled = np.random.default_rng(0).permutation(store["fst"].values)
    table = robustness(store.assign(label_fst_other=("image", shuffled)), 40)
    lines = other_ways({"robustness": table})
    other = next(line for line in lines if line.startswith("| skin types by the other annotation |"))
    # By labels drawn at random A is as bad for either group.
    assert "“Trained on light skin only (A), the error of dark skin is larger”: holds → " in other
    agree = next(line for line in lines if line.startswith("| annotations agree on the group |"))
    assert "Trained on light skin only (A), the error" not in agree
    assert other_ways({}) == []
