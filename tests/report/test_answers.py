"""The answers in sentences: the numbers of the tables, the run's own names, and no more certainty than there is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sluguq.report.answers import answers, unsaid
from tests.figures.stand_in import aggregated

GROUPS = {"hell": [1, 2], "dunkel": [3, 4, 5, 6]}
MIXES = {"nur-hell": {"hell": 1.0}, "halb": {"hell": 0.5, "dunkel": 0.5}}


def store(**options):
    errors = {name: {"hell": 0.01, "dunkel": 0.02} for name in MIXES}
    return aggregated(
        groups=GROUPS, configurations=MIXES, errors=errors, tested=4, pool=6, maps=False, **{"seeds": 2, **options}
    )


def gaps(*ratios):
    """A table of ratios: value, low, high of each configuration."""
    rows = [
        {"variable": "mse", "measure": "log_ratio", "configuration": name, "group": "dunkel", "reference": "hell",
         **dict(zip(("value", "low", "high"), np.log(ratio), strict=True))}
        for name, ratio in zip(MIXES, ratios, strict=True)
    ]  # fmt: skip
    others = [{**row, "measure": "difference", "value": 7.0, "low": 6.0, "high": 8.0} for row in rows]
    return pd.DataFrame([*others, *rows])


def signals(low):
    rows = []
    for name in MIXES:
        for signal, rank, caught in (("slug", 0.8, 0.62), ("kl", 0.6, 0.4), ("latent_std", 0.1, 0.05)):
            for test, value in (("spearman", rank), ("caught", caught)):
                row = {"configuration": name, "signal": signal, "among": "all", "test": test, "value": value}
                rows.append({**row, "low": low, "high": 0.9})
    return pd.DataFrame(rows)


def test_who_it_fails_is_said_with_the_runs_own_names_and_ratios():
    (answer,) = answers(store(), {"gaps": gaps((19.2, 4.62, 81.3), (0.8, 0.5, 1.3))})
    assert answer.lead == "Most for dunkel (FST 3–6), where training had hell only: 19 times the error of hell."
    assert answer.sentences == (
        "Trained on hell only (nur-hell), the error of dunkel (FST 3–6) is 19 times [4.6, 81] that of hell (FST 1, 2).",
        "Trained on 50\N{NO-BREAK SPACE}% hell and 50\N{NO-BREAK SPACE}% dunkel (halb), a difference between dunkel "
        "(FST 3–6) and hell (FST 1, 2) is not certain: 0.80 times [0.50, 1.3].",
    )
    assert answer.figure == "error_by_group"


def test_a_smaller_error_is_a_failure_of_the_other_group():
    (answer,) = answers(store(), {"gaps": gaps((0.1, 0.05, 0.2), (1.1, 0.9, 1.3))})
    assert answer.lead == "Most for hell (FST 1, 2), where training had hell only: 10 times the error of dunkel."
    assert "is smaller than that of hell (FST 1, 2), 0.10 times [0.050, 0.20]" in answer.sentences[0]


def test_nothing_certain_is_said_to_be_so():
    given = {"gaps": gaps((1.4, 0.9, 2.0), (1.0, 0.5, 2.0))}
    (answer,) = answers(store(), given)
    assert answer.lead == "No difference between groups is certain at the size of this run."
    said = " ".join(unsaid(store(), given))
    assert "Whether the error differs from that of hell, for dunkel under nur-hell and dunkel under halb" in said
    assert "Anything about people" in said
    assert "2 seeds are few" in said
    assert "Anything about people" not in " ".join(unsaid(store(synthetic=0, seeds=5), given))
    assert "seeds" not in " ".join(unsaid(store(synthetic=0, seeds=5), {"gaps": gaps((2, 1.5, 3), (2, 1.5, 3))}))


def test_whether_it_knows_is_said_beside_the_best_cheap_signal():
    (answer,) = answers(store(), {"signals": signals(0.55)})
    assert answer.lead.startswith("Yes: SLUG orders images much as their errors do.")
    assert answer.sentences[0].replace("\N{NO-BREAK SPACE}", " ") == (
        "Under nur-hell, SLUG's rank correlation with the error is 0.80 [0.55, 0.90], that of the best cheap signal, "
        "KL divergence, 0.60 [0.55, 0.90]; the tenth of images with the highest SLUG holds 62 % [55, 90 %] of the "
        "worst tenth of errors, the tenth with the highest KL divergence 40 % [55, 90 %]."
    )
    assert answers(store(), {"signals": signals(0.2)})[0].lead.startswith("In part")
    table = signals(0.2)
    table.loc[table["configuration"] == "halb", "low"] = -0.3
    assert answers(store(), {"signals": table})[0].lead == (
        "Under nur-hell SLUG rises with the error; under the rest this run cannot tell."
    )
    assert answers(store(), {"signals": signals(-0.2)})[0].lead.startswith("This run cannot tell")


def ranks(*intervals):
    """A table of SLUG's rank correlations: low and high of each configuration."""
    return pd.DataFrame(
        [
            {"configuration": name, "signal": "slug", "among": "all", "test": "spearman", "value": sum(ends) / 2,
             "low": ends[0], "high": ends[1]}
            for name, ends in zip(MIXES, intervals, strict=True)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("intervals", "lead"),
    [
        (((-0.9, -0.8), (-0.5, -0.3)), "No: SLUG falls as the error rises."),
        (
            ((-0.05, 0.05), (0.01, 0.09)),
            "No: SLUG hardly follows the error, with a rank correlation of less than 0.1.",
        ),
        (
            ((0.2, 0.4), (-0.9, -0.8)),
            "Under nur-hell SLUG rises with the error; under halb SLUG falls as the error rises.",
        ),
        (((-0.2, 0.4), (np.nan, np.nan)), "This run cannot tell whether SLUG rises with the error."),
        (
            ((-0.05, 0.05), (-0.2, 0.4)),
            "Under nur-hell SLUG hardly follows the error, with a rank correlation of less than 0.1; under the "
            "rest this run cannot tell.",
        ),
    ],
)
def test_that_it_does_not_know_is_said_too(intervals, lead):
    (answer,) = answers(store(), {"signals": ranks(*intervals)})
    assert answer.lead == lead


def test_a_ratio_that_is_not_known_is_no_difference_that_is_not_certain():
    given = {"gaps": gaps((np.nan, np.nan, np.nan), (1.1, 0.9, 1.3))}
    (answer,) = answers(store(), given)
    assert answer.sentences[0] == (
        "Trained on hell only (nur-hell), how the error of dunkel (FST 3–6) compares with that of hell (FST 1, 2) is "
        "not known."
    )
    said = unsaid(store(), given)
    assert (
        "Whether the error differs from that of hell, for dunkel under nur-hell: the ratio is not known in this run."
        in said
    )
    assert "nur-hell" not in next(line for line in said if "contains 1" in line)


def test_what_is_not_there_is_left_out():
    assert answers(store(), {}) == []
    assert answers(store(), {"gaps": gaps((2, 1, 3), (2, 1, 3)).head(0)}) == []
