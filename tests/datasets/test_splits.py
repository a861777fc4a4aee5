"""Splits: sizes met exactly, nothing on both sides, the papers' protocols on the real label table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluguq.datasets.splits import SplitError, check_split, leaks, make_split, split_sizes
from tests.places import SHARED

GROUPS = {"light": [1, 2], "dark": [5, 6]}
CONFIGURATIONS = {"A": {"light": 1.0}, "B": {"light": 0.5, "dark": 0.5}, "C": {"dark": 1.0}}


def images(light: int, dark: int, **columns: object) -> pd.DataFrame:
    """A table of light (FST 1, 2), dark (5, 6) and a few other images, each its own patient."""
    fst = [1 + n % 2 for n in range(light)] + [5 + n % 2 for n in range(dark)] + [3, 4, -1]
    table = pd.DataFrame({"id": [f"i{n:04d}" for n in range(len(fst))], "fst": fst, "patient": "", "lesion": ""})
    return table.assign(duplicate_group=-1, **columns)


def split(table: pd.DataFrame, train: int, test: int, **keys: object) -> pd.DataFrame:
    return make_split(table, GROUPS, CONFIGURATIONS, **{"seed": 0, **keys}, train_images=train, test_images=test)  # type: ignore[arg-type]


def sizes(drawn: pd.DataFrame) -> dict[str, int]:
    return drawn["role"].value_counts().to_dict()


def types(drawn: pd.DataFrame, table: pd.DataFrame, role: str) -> list[int]:
    return drawn[drawn["role"] == role].merge(table, on="id")["fst"].tolist()


def test_sizes_and_skin_types():
    table = images(60, 50)
    drawn = split(table, 31, 12)
    assert sizes(drawn) == {"test_light": 12, "test_dark": 12, "train_A": 31, "train_B": 31, "train_C": 31}
    assert set(types(drawn, table, "test_light")) == {1, 2}
    assert set(types(drawn, table, "train_C")) == {5, 6}
    dark = sum(fst > 4 for fst in types(drawn, table, "train_B"))
    assert dark in (15, 16)
    for _, rows in drawn.groupby("role"):
        assert rows["id"].is_unique


def test_seeds_of_different_blocks_share_nobody_that_they_train_on():
    """Patients of two images; seeds 0 and 2 draw from one half of them, seed 1 from the other."""
    table = images(160, 160)
    table["patient"] = [f"p{n // 2}" for n in range(len(table))]
    drawn = {seed: split(table, 30, 10, seed=seed, blocks=2) for seed in range(3)}
    who = {
        seed: set(part[part["role"].str.startswith("train")].merge(table, on="id")["patient"])
        for seed, part in drawn.items()
    }
    assert not who[0] & who[1]
    assert who[0] & who[2]
    for part in drawn.values():
        assert sizes(part) == {"test_light": 10, "test_dark": 10, "train_A": 30, "train_B": 30, "train_C": 30}
    with pytest.raises(SplitError, match=r"in block 1 of 4, but configuration A needs 60. Lower .* split\.blocks"):
        split(table, 60, 10, seed=1, blocks=4)


def test_training_sets_are_independent_of_each_other():
    drawn = split(images(200, 200), 80, 20)
    of = {role: set(rows["id"]) for role, rows in drawn.groupby("role")}
    # 40 of B's come from the 180 light images left; of A's 80, a share of 80/180 is expected among them.
    assert 5 < len(of["train_A"] & of["train_B"]) < 32


def test_deterministic_and_indifferent_to_order():
    table = images(60, 50)
    first = split(table, 30, 10, seed=4)
    assert first.equals(split(table.sample(frac=1, random_state=1), 30, 10, seed=4))
    assert not first.equals(split(table, 30, 10, seed=5))


def test_a_further_configuration_changes_nothing_else():
    table = images(60, 50)
    more = {**CONFIGURATIONS, "D": {"light": 0.9, "dark": 0.1}}
    drawn = make_split(table, GROUPS, more, seed=0, train_images=30, test_images=10)
    others = drawn[drawn["role"] != "train_D"].reset_index(drop=True)
    assert others.equals(split(table, 30, 10))


def test_shares_are_rounded_by_largest_remainder():
    thirds = {"T": {"light": 1 / 3, "dark": 2 / 3}}
    table = images(60, 60)
    drawn = make_split(table, GROUPS, thirds, seed=0, train_images=31, test_images=10)
    dark = sum(fst > 4 for fst in types(drawn, table, "train_T"))
    assert (len(drawn[drawn["role"] == "train_T"]), dark) == (31, 21)


def test_every_image_is_tested_equally_often():
    counts = pd.Series(0, index=images(40, 40)["id"])
    for seed in range(200):
        drawn = split(images(40, 40), 10, 10, seed=seed)
        counts = counts.add(drawn.loc[drawn["role"] == "test_light", "id"].value_counts(), fill_value=0)
    light = counts.iloc[:40]
    # Binomial with n = 200, p = 1/4: standard deviation 6.1.
    assert light.sum() == 2000
    assert light.between(50 - 4.5 * 6.1, 50 + 4.5 * 6.1).all()


@pytest.mark.parametrize("kind", ["patient", "lesion", "duplicate_group"])
def test_what_belongs_together_stays_together(kind):
    table = images(90, 90)
    table[kind] = [n // 3 if kind == "duplicate_group" else f"k{n // 3}" for n in range(len(table))]
    for seed in range(5):
        drawn = split(table, 40, 30, seed=seed)
        assert sizes(drawn)["test_light"] == 30
        assert len(leaks(drawn, table)) == 0
        tested = drawn[drawn["role"].str.startswith("test")].merge(table, on="id")
        # Sizes fit whole units, so no unit is cut.
        assert (tested.groupby(kind).size() == 3).all()


def test_relations_chain_across_kinds():
    table = images(4, 40)
    table["patient"] = ["p", "p", "", "", *[""] * 43]
    table["lesion"] = ["", "l", "l", "", *[""] * 43]
    table["duplicate_group"] = [-1, -1, 7, 7, *[-1] * 43]
    with pytest.raises(SplitError, match="group 'light'"):
        make_split(table, GROUPS, {"A": {"light": 1.0}}, seed=0, train_images=1, test_images=1)


def test_duplicates_part_only_in_the_papers_protocol():
    table = images(40, 40)
    table["duplicate_group"] = [n // 2 for n in range(len(table))]
    assert len(leaks(split(table, 20, 11), table)) == 0
    drawn = split(table, 29, 11, deduplicate=False)
    assert len(leaks(drawn, table, deduplicate=False)) == 0
    assert set(leaks(drawn, table)["kind"]) == {"duplicate_group"}


def test_units_that_hold_both_groups():
    table = images(40, 40)
    table["patient"] = [f"p{n % 40}" for n in range(80)] + [""] * 3
    for seed in range(5):
        drawn = split(table, 28, 12, seed=seed)
        assert len(leaks(drawn, table)) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=4, max_size=25), st.integers(1, 30), st.integers(0, 10**6))
def test_test_sizes_are_exact_whenever_there_are_images(units, size, seed):
    patients = [f"p{n}" for n, count in enumerate(units) for _ in range(count)]
    table = images(0, len(patients)).iloc[: len(patients)].assign(patient=patients, fst=5)
    needs = {"C": {"dark": 1.0}}
    if size > len(table):
        with pytest.raises(SplitError, match=f"has {len(table)} usable images"):
            make_split(table, {"dark": [5]}, needs, seed=seed, train_images=1, test_images=size)
        return
    try:
        drawn = make_split(table, {"dark": [5]}, needs, seed=seed, train_images=1, test_images=size)
    except SplitError as error:
        # Only where the units tested leave nobody to train on.
        assert "are left" in str(error)  # noqa: PT017
        return
    assert sizes(drawn) == {"test_dark": size, "train_C": 1}
    sums = {0}
    for count in units:
        sums |= {total + count for total in sums}
    if size in sums:
        tested = set(drawn.loc[drawn["role"] == "test_dark", "id"])
        whole = table.groupby("patient")["id"].agg(set)
        assert all(len(ids & tested) in (0, len(ids)) for ids in whole), "an exact fill cuts no unit"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_relation_ever_leaks_and_sizes_are_kept(data):
    """Whatever images share, a split meets the sizes and keeps both sides apart, or says that it cannot."""
    count = data.draw(st.integers(8, 60))

    def column(values: int) -> list[int]:
        return data.draw(st.lists(st.integers(-1, values), min_size=count, max_size=count))

    table = pd.DataFrame({"id": [f"i{n}" for n in range(count)], "fst": [(1, 2, 5, 6, 3)[n % 5] for n in range(count)]})
    table["patient"] = [f"p{n}" if n >= 0 else "" for n in column(12)]
    table["lesion"] = [f"l{n}" if n >= 0 else "" for n in column(40)]
    table["duplicate_group"] = column(40)
    train, test = data.draw(st.integers(1, 10)), data.draw(st.integers(1, 8))
    keys = {"replacement": data.draw(st.booleans()), "seed": data.draw(st.integers(0, 99))}
    try:
        drawn = split(table, train, test, **keys)
    except SplitError as error:
        assert "usable images" in str(error)  # noqa: PT017
        return
    assert sizes(drawn) == {"test_light": test, "test_dark": test, "train_A": train, "train_B": train, "train_C": train}
    assert len(leaks(drawn, table)) == 0


def test_with_replacement_images_repeat_and_a_small_group_suffices():
    drawn = split(images(40, 20), 100, 10, replacement=True)
    assert sizes(drawn)["train_C"] == 100
    of_c = drawn.loc[drawn["role"] == "train_C", "id"]
    assert of_c.nunique() <= 10
    assert len(leaks(drawn, images(40, 20))) == 0


def test_shortage():
    table = images(60, 42)
    message = (
        r"group 'dark' \(FST 5, 6\) has 42 usable images; 12 go to the test set and 30 are left, but configuration C "
        r"needs 33, 3 more\..*split\.shortage: repeat"
    )
    with pytest.raises(SplitError, match=message):
        split(table, 33, 12)
    repeated = split(table, 33, 12, shortage="repeat")
    counts = repeated.loc[repeated["role"] == "train_C", "id"].value_counts()
    assert (len(counts), sorted(counts.unique())) == (30, [1, 2])
    assert (counts == 2).sum() == 3
    assert repeated.loc[repeated["role"] == "train_A", "id"].is_unique
    fewer = split(table, 33, 12, shortage="fewer")
    assert sizes(fewer)["train_C"] == 30
    assert sizes(fewer)["train_A"] == 33


def test_group_smaller_than_its_test_set_says_how_many_are_needed():
    with pytest.raises(SplitError, match=r"has 8 usable images, but its test set needs 12 and training up to 30 more"):
        split(images(60, 8), 30, 12)


def test_nobody_left_is_an_error_even_with_replacement():
    with pytest.raises(SplitError, match="12 go to the test set and 0 are left"):
        split(images(60, 12), 30, 12, replacement=True, shortage="fewer")


def test_repeated_ids_are_refused():
    table = images(60, 60)
    table.loc[1, "id"] = "i0000"
    with pytest.raises(SplitError, match="id 'i0000' more than once"):
        split(table, 10, 5)


def test_the_leak_check_finds_leaks():
    table = images(6, 6, lesion=[f"l{n // 2}" for n in range(15)])
    good = pd.DataFrame({"id": ["i0000", "i0002"], "role": ["test_light", "train_A"]})
    check_split(good, table)
    lesion = pd.DataFrame({"id": ["i0000", "i0001"], "role": ["test_light", "train_A"]})
    with pytest.raises(SplitError, match="1 things stand both in a test and in a training set: lesion l0"):
        check_split(lesion, table)
    same = pd.DataFrame({"id": ["i0004", "i0004"], "role": ["test_light", "train_B"]})
    assert leaks(same, table)["kind"].tolist() == ["id", "lesion"]
    with pytest.raises(SplitError, match="names 1 images that the data set lacks"):
        check_split(pd.DataFrame({"id": ["x"], "role": ["train_A"]}), table)


@pytest.fixture(scope="module")
def label_table() -> pd.DataFrame:
    """The real label table of Fitzpatrick17k, every image taken for available."""
    path = SHARED / "fitzpatrick17k" / "fitzpatrick17k.csv"
    if not path.is_file():
        pytest.skip(f"no label table at {path}")
    table = pd.read_csv(path)
    return pd.DataFrame({"id": table["md5hash"], "fst": table["fitzpatrick_scale"]})


def test_counts_of_the_real_label_table(label_table):
    counts = label_table["fst"].value_counts().to_dict()
    assert counts == {-1: 565, 1: 2947, 2: 4808, 3: 3308, 4: 2781, 5: 1533, 6: 635}
    assert label_table["fst"].isin(GROUPS["light"]).sum() == 7755
    assert label_table["fst"].isin(GROUPS["dark"]).sum() == 2168


def test_fairness_papers_sizes(label_table):
    drawn = make_split(
        label_table,
        GROUPS,
        CONFIGURATIONS,
        seed=0,
        train_images=1668,
        test_images=500,
        replacement=True,
        deduplicate=False,
    )
    assert sizes(drawn) == {"test_light": 500, "test_dark": 500, "train_A": 1668, "train_B": 1668, "train_C": 1668}
    # A bootstrap of 1,668 from 1,668 holds 1 - 1/e of them.
    assert drawn.loc[drawn["role"] == "train_C", "id"].nunique() / 1668 == pytest.approx(1 - np.exp(-1), abs=0.03)
    exactly = split(label_table, 1668, 500)
    assert exactly.loc[exactly["role"] == "train_C", "id"].nunique() == 1668


def test_slug_papers_sizes_are_twelve_short(label_table):
    with pytest.raises(SplitError, match="1656 are left, but configuration C needs 1668, 12 more"):
        split(label_table, 1668, 512)
    drawn = split(label_table, 1668, 512, shortage="repeat")
    assert sizes(drawn) == {"test_light": 512, "test_dark": 512, "train_A": 1668, "train_B": 1668, "train_C": 1668}
    of_c = drawn.loc[drawn["role"] == "train_C", "id"]
    assert of_c.nunique() == 1656
    assert of_c.value_counts().max() == 2


def test_sizes_tell_what_comes_more_than_once():
    split = pd.DataFrame({"id": list("abcaab"), "role": ["train_A"] * 5 + ["test_light"]})
    sizes = split_sizes({3: split}).set_index("role")
    assert sizes["shared"].isna().all()
    sizes = sizes.drop(columns="shared")
    assert sizes.loc["train_A"].to_dict() == {"seed": 3, "images": 5, "distinct": 3, "repeated": 1}
    assert sizes.loc["test_light"].to_dict() == {"seed": 3, "images": 1, "distinct": 1, "repeated": 0}


def test_what_seeds_share_is_counted():
    """Of three different images, one is in both other seeds and one in the second alone."""
    drawn = {0: ["a", "a", "b", "c"], 1: ["a", "b", "d"], 2: ["a", "e"]}
    splits = {seed: pd.DataFrame({"id": ids, "role": "train_A"}) for seed, ids in drawn.items()}
    shared = split_sizes(splits).set_index("seed")["shared"]
    assert shared.to_dict() == pytest.approx({0: (2 / 3 + 1 / 3) / 2, 1: (2 / 3 + 1 / 3) / 2, 2: 0.5})


@pytest.mark.parametrize("column", ["id", "sha256"])
def test_what_is_held_out_is_nowhere_nor_what_shares_a_unit_with_it(column):
    table = images(60, 50).assign(sha256=[f"hash{n}" for n in range(113)])
    table.loc[[3, 7], "patient"] = "p"
    held = table.loc[[3, 80], column].tolist()
    drawn = split(table, 30, 10, held_out=held)
    assert not set(drawn["id"]) & set(table.loc[[3, 7, 80], "id"])
    assert sizes(drawn)["train_A"] == 30
    assert drawn.equals(split(table.drop(index=[3, 7, 80]), 30, 10)), "the others are drawn as if these did not exist"
