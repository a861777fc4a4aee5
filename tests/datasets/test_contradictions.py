"""One photograph, or one patient, with two skin types is told."""

from __future__ import annotations

from sluguq.datasets.contradictions import contradictions

GROUPS = {"light": [1, 2], "dark": [5, 6]}


def test_kinds_of_contradiction():
    rows = contradictions(
        {
            "id": ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
            "fst": [1, 6, 2, 5, 1, 2, -1, 3, 4],
            "sha256": ["x", "x", "1", "2", "3", "4", "5", "6", "7"],
            "duplicate_group": [0, 0, 1, 1, 2, -1, 2, -1, -1],
            "patient": ["p", "q", "r", "s", "t", "t", "p", "NA", "NA"],
        },
        GROUPS,
    )
    assert rows.to_dict("records") == [
        {"kind": "same file", "of": "x", "fst": "1, 6", "groups": "light, dark", "images": "a, b"},
        {"kind": "duplicates", "of": "1", "fst": "2, 5", "groups": "light, dark", "images": "c, d"},
        {"kind": "patient", "of": "t", "fst": "1, 2", "groups": "light", "images": "e, f"},
    ]


def test_without_any_there_is_an_empty_table():
    rows = contradictions({"id": ["a", "b"], "fst": [1, 1], "patient": ["p", "p"]})
    assert rows.empty
    assert list(rows.columns) == ["kind", "of", "fst", "groups", "images"]
