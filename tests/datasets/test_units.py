"""Who may not be parted: the same for splits and for the bootstrap, whatever a table writes for nobody."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sluguq.analysis.aggregated import clusters_of
from sluguq.claims.run import _people
from sluguq.datasets.contradictions import contradictions
from sluguq.datasets.nothing import NOTHING
from sluguq.datasets.splits import _with_units, leaks, make_split
from sluguq.datasets.units import identities, lesion_names, units_of


def test_one_name_in_two_forms_of_unicode_is_one_person():
    assert len(set(identities(["Zoë", "Zoe\u0308", "\u200bZoë "]))) == 1


NAMES = st.sampled_from(["", "NA", "nan", "unknown", "#N/A", "-1", "a", "b", "c", " NULL ", "a ", "1", "1.0", "—"])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(1, 25))

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=count, max_size=count))

    columns = {
        "patient": column(NAMES),
        "lesion": column(NAMES),
        "duplicate_group": column(st.integers(-1, 5)),
    }
    left_out = draw(st.sets(st.sampled_from(list(columns))))
    kept = {name: values for name, values in columns.items() if name not in left_out}
    return pd.DataFrame({"id": [f"i{n:02d}" for n in range(count)], "fst": 1, **kept})


@settings(max_examples=150, deadline=None)
@given(tables())
def test_units_of_a_split_are_clusters_of_the_bootstrap(table):
    store = xr.Dataset({name: ("image", table[name].to_numpy()) for name in table if name != "id"})
    assert _with_units(table, True)["unit"].tolist() == clusters_of(store).tolist()


@settings(max_examples=100, deadline=None)
@given(tables())
def test_units_are_those_of_a_plain_reckoning(table):
    """Every pair of images that shares a known name, joined; a lesion's number counts within its patient."""
    count = len(table)
    pairs = np.eye(count, dtype=bool)
    same_name = {"a ": "a", "1.0": "1"}
    names = {
        name: [same_name.get(value, value) for value in table[name].astype(str)]
        for name in table
        if name not in ("id", "fst")
    }
    known = {name: [value.strip().lower() not in NOTHING for value in column] for name, column in names.items()}
    for one in range(count):
        for other in range(count):
            for name, column in names.items():
                same = known[name][one] and known[name][other] and column[one] == column[other]
                if same and name == "lesion" and "patient" in names:
                    owners = {
                        names["patient"][i] for i in range(count) if column[i] == column[one] and known["patient"][i]
                    }
                    # Where the number stands with several patients, people differ who are not the same person.
                    whose = [names["patient"][i] if known["patient"][i] else "" for i in (one, other)]
                    same = len(owners) < 2 or whose[0] == whose[1]
                pairs[one, other] |= same
    expected = connected_components(coo_array(pairs), directed=False)[1]
    found = units_of({name: table[name].to_numpy() for name in names}, count)
    assert (np.equal.outer(found, found) == np.equal.outer(expected, expected)).all()


@pytest.mark.parametrize("nobody", sorted(NOTHING - {""}))
def test_nobody_is_no_person(nobody):
    assert len(set(units_of({"patient": [nobody] * 6}, 6))) == 6


def test_lesions_counted_afresh_in_every_patient_do_not_join_patients():
    patient, lesion = ["p", "p", "q", "q", "", ""], ["1", "2", "1", "2", "1", "3"]
    assert lesion_names(patient, lesion).tolist() == ["p/1", "p/2", "q/1", "q/2", "1", "3"]
    assert units_of({"patient": patient, "lesion": lesion}, 6).tolist() == [0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    "column", [["P1", " P1", "P1\t"], ["1", "1.0", " 1.00"], np.array([1, 1.0, "1"], object), [1.0, 1.0, 1.0]]
)
def test_one_name_in_several_spellings_is_one_person(column):
    assert units_of({"patient": column}, 3).tolist() == [0, 0, 0]
    assert lesion_names(column, [1.0, 1.0, np.nan]).tolist() == ["1", "1", ""]
    ids = ["a", "b", "c"]
    assert _people(xr.Dataset({"patient": ("image", np.asarray(column))}), np.array([0, 1, 2])) == 1
    disagreeing = contradictions({"id": ids, "fst": [1, 6, 6], "patient": column})
    assert disagreeing["images"].tolist() == ["a, b, c"]
    split = pd.DataFrame({"id": ids, "role": ["train_A", "test_dark", "test_dark"]})
    assert leaks(split, pd.DataFrame({"id": ids, "fst": 1, "patient": column}))["kind"].tolist() == ["patient"]


def test_names_that_only_look_alike_are_different_people():
    assert len(set(units_of({"patient": ["1", "01", "1.5", "1.05", "P1", "p1"]}, 6))) == 6


def test_joined_names_of_lesions_never_meet():
    patient = ["A", "B", "A/1", "C", "", "A", "A%2F1"]
    lesion = ["1/2", "1/2", "2", "2", "A/1%2F2", "B/2", "2"]
    assert len(set(lesion_names(patient, lesion))) == 7
    # The first patient's lesion 1, and another's that is called A/1.
    assert units_of({"patient": ["A", "B", "C"], "lesion": ["1", "1", "A/1"]}, 3).tolist() == [0, 1, 2]


def test_a_lesion_of_one_patient_ties_an_image_whose_patient_is_unknown():
    assert units_of({"patient": ["p", ""], "lesion": ["7", "7"]}, 2).tolist() == [0, 0]


def test_repeated_lesion_numbers_leave_enough_to_split():
    count = 200
    table = pd.DataFrame(
        {
            "id": [f"{n:03}" for n in range(count)],
            "fst": [1 + 4 * (n % 2) for n in range(count)],
            "patient": [f"P{n // 4}" for n in range(count)],
            "lesion": [str(n % 4 + 1) for n in range(count)],
        }
    )
    drawn = make_split(
        table, {"light": [1], "dark": [5]}, {"A": {"light": 1.0}}, seed=0, train_images=40, test_images=20
    )
    assert drawn["role"].value_counts().to_dict() == {"train_A": 40, "test_light": 20, "test_dark": 20}


def test_images_of_unknown_people_are_tested_as_often_as_others():
    count = 400
    patients = [f"P{n // 4}" if n < count // 2 else "NA" for n in range(count)]
    table = pd.DataFrame({"id": [f"{n:03}" for n in range(count)], "fst": 1, "patient": patients})
    drawn = make_split(table, {"light": [1]}, {"A": {"light": 1.0}}, seed=0, train_images=100, test_images=100)
    tested = drawn[drawn["role"] == "test_light"].merge(table, on="id")
    assert 0.2 < (tested["patient"] == "NA").mean() < 0.9
