"""Scales of skin other than Fitzpatrick's: named in the configuration, and read, sorted and shown by it."""

from __future__ import annotations

import json

import pytest
import yaml

from sluguq.analysis.aggregated import FITZPATRICK, Scale, groups_of, scale_of
from sluguq.analysis.annotations import gaps_by_annotation
from sluguq.claims import judge
from sluguq.claims.rules import UNASKED
from sluguq.config.experiment import Experiment
from sluguq.datasets.skin_types import parse_fst
from sluguq.figures.drawing import draw
from sluguq.figures.style import fst_colours, group_colours
from sluguq.figures.words import group_label
from tests.claims.test_claims import labels
from tests.figures.stand_in import aggregated
from tests.figures.test_figures import texts

MONK = {"name": "MST", "title": "Monk skin tone", "levels": 10}
GROUPS = {"light": [1, 2, 3], "dark": [8, 9, 10]}


def experiment(**changed):
    folder = {"source": "folder", "folder": "photographs", "fst_levels": 10}
    made = {
        "experiment": "e",
        "datasets": {"mine": folder},
        "training_dataset": "mine",
        "groups": GROUPS,
        "scale": MONK,
    }
    return Experiment(**{**made, **changed})


def test_classes_of_milk10k_are_no_fitzpatrick_types():
    made = {"datasets": {"milk": {"source": "milk10k", "folder": "m"}}, "training_dataset": "milk"}
    made |= {"groups": {"light": [1, 2], "dark": [5, 6]}}
    with pytest.raises(
        ValueError, match=r"datasets\.milk has classes of skin tone and no Fitzpatrick skin types: name"
    ):
        experiment(**made, scale={})
    named = {"name": "MILK", "title": "MILK10k's class of skin tone", "levels": 6}
    assert experiment(**made, scale=named).scale.name == "MILK"


def test_a_scale_of_ten_levels_is_configured():
    assert experiment().scale.levels == 10
    with pytest.raises(ValueError, match=r"groups.dark has 8, but scale.levels is 6"):
        experiment(scale={})
    with pytest.raises(ValueError, match=r"datasets.mine.fst_levels is 10, but scale.levels is 6"):
        experiment(scale={}, groups={"light": [1], "dark": [6]}, configurations={"A": {"light": 1}})


def test_levels_beyond_the_scale_of_a_table_are_refused():
    assert parse_fst("10", None, 10) == parse_fst("MST 10", {"MST 10": 10}, 10) == 10
    for value, levels in (("7", 6), ("11", 10), ("0", 10)):
        with pytest.raises(ValueError, match=rf"is no .*skin type \(1 to {levels}, or empty\)"):
            parse_fst(value, None, levels)


@pytest.fixture(scope="module")
def store():
    made = aggregated(groups=GROUPS, seeds=2, tested=20, size=8, maps=False)
    resolved = yaml.safe_load(made.attrs["configuration"])
    return made.assign_attrs(configuration=yaml.safe_dump({**resolved, "scale": MONK}), groups=json.dumps(GROUPS))


def test_figures_and_claims_speak_of_the_scale(store):
    assert scale_of(store) == Scale(**MONK)
    groups = groups_of(store)
    assert group_label("dark", groups) == "dark (MST 8–10)"
    assert fst_colours([10], groups.scale)[10] == fst_colours([6])[6]
    assert len(set(group_colours(groups).values())) == 2
    figure, _ = draw("boxes_by_fst", store)
    assert "MST 10" in texts(figure)
    figure, _ = draw("whose_labels", store, tables={"gaps_by_annotation": gaps_by_annotation(store, 20)})
    assert "dark (MST 8–10)" in texts(figure)
    assert "FST" not in texts(figure)
    counts = judge({"home": store}, labels(5, 5), replicates=20).set_index("claim").loc["dark_underrepresented"]
    assert counts["verdict"] == UNASKED
    assert "another scale, MST" in counts["reason"]


def test_without_a_word_the_scale_is_fitzpatricks():
    plain = aggregated(seeds=2, tested=10, size=8, maps=False)
    assert scale_of(plain) == FITZPATRICK
    assert group_label("dark", groups_of(plain)) == "dark (FST 5, 6)"
