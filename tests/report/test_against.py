"""What speaks against SLUG is said wherever the tables show it, and only there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sluguq.analysis.drawn_artefacts import MASKED
from sluguq.report.against import against


def signals(**values):
    """Rows of `signals`: by signal its rank correlation, and its own with SLUG held."""
    rows = []
    for name, (rank, left) in values.items():
        for test, value in (("spearman", rank), ("partial_reverse", left)):
            row = {"configuration": "A", "signal": name, "among": "all", "test": test, "value": value}
            rows.append({**row, "low": value - 0.05, "high": value + 0.05})
    return pd.DataFrame(rows)


def ratio(variable, value, low, high, **more):
    row = {"configuration": "A", "group": "dark", "reference": "light", "variable": variable, "measure": "log_ratio"}
    return {**row, **more, **{name: np.log(x) for name, x in (("value", value), ("low", low), ("high", high))}}


def maps(kind, **values):
    rows = [
        {"artefact": kind, "measure": "auroc", "configuration": name, "map": key, "value": value,
         "low": value - 0.1, "high": value + 0.1}
        for name in "AB" for key, value in values.items()
    ]  # fmt: skip
    return {"drawn_artefacts": pd.DataFrame(rows)}


def test_nothing_is_said_where_slug_is_best():
    table = signals(slug=(0.8, np.nan), kl=(0.5, 0.0))
    gaps = pd.DataFrame([ratio("mse", 1.5, 1.2, 1.9), ratio("slug", 1.6, 1.2, 2.0)])
    found = maps("ruler", slug_map=0.9, gradient=0.6, slug_bare=0.95)
    assert against({"signals": table, "gaps": gaps}, {"artefacts": found}) == []
    assert against({}, {}) == []


def test_rivals_that_do_better_or_know_more_are_named():
    table = signals(slug=(0.8, np.nan), kl=(0.85, 0.0), total_variation=(0.7, 0.6))
    better, left = against({"signals": table}, {})
    assert (
        better
        == "Signals with a higher rank correlation with the error than SLUG: KL divergence (A 0.85 against 0.80)."
    )
    assert left.endswith("their rank correlation with it is 0.60 (total variation).")


def test_the_ensemble_is_compared_on_its_own_images():
    table = signals(slug=(0.8, np.nan), ensemble_variance=(0.85, 0.0))
    there = table[table["signal"] == "slug"].assign(among="ensemble_variance", value=0.9)
    assert against({"signals": pd.concat([table, there])}, {}) == []
    (said,) = against({"signals": pd.concat([table, there.assign(value=0.82)])}, {})
    assert "(A 0.85 against 0.82, on the images that have one)" in said


def test_a_gap_that_slug_shows_less_of_is_said():
    gaps = pd.DataFrame([ratio("mse", 1.5, 1.2, 1.9), ratio("slug", 1.1, 0.9, 1.3)])
    (said,) = against({"gaps": gaps}, {})
    assert "dark over light under A 1.10 [0.90, 1.30] in SLUG, 1.50 [1.20, 1.90] in the error" in said
    hardly = pd.DataFrame([ratio("mse", 1.5, 1.2, 1.9), ratio("slug", 1.49, 1.2, 1.9)])
    assert against({"gaps": hardly}, {}) == []
    undecided = pd.DataFrame([ratio("mse", 1.1, 0.9, 1.3), ratio("slug", 0.5, 0.4, 0.6)])
    assert against({"gaps": undecided}, {}) == []
    reverse = pd.DataFrame([ratio("mse", 0.5, 0.4, 0.6), ratio("slug", 0.4, 0.3, 0.6)])
    assert against({"gaps": reverse}, {}) == []


def test_slug_on_the_other_side_by_measured_tone_is_said():
    rows = [ratio("mse", 1.0, 0.9, 1.1), ratio("slug", 0.8, 0.7, 0.9)]
    (said,) = against({"gaps_by_annotation": pd.DataFrame(rows).assign(by="measured tone")}, {})
    assert "under A 0.80 [0.70, 0.90] times, while the error is 1.00 [0.90, 1.10] times" in said
    assert against({"gaps_by_annotation": pd.DataFrame(rows).assign(by="labels")}, {}) == []


def test_maps_that_find_more_and_chance_are_said_with_what_is_to_be_found():
    found = {
        "artefacts": maps("ruler", slug_map=0.8, gradient=0.9, error_map=0.7),
        "mine": maps(MASKED, slug_map=0.55, colour=0.5),
    }
    better, chance = against({}, found)
    assert better.endswith("ruler: image gradient 0.90, SLUG map 0.80.")
    assert "content outlined by people (mine) under A 0.55 [0.45, 0.65]" in chance
