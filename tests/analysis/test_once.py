"""One quantity has one interval, wherever it stands."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from sluguq.analysis.catalogue import TABLES, tables_for
from sluguq.analysis.making import make_tables
from sluguq.analysis.tables import ESTIMATE, read_table
from sluguq.claims import Run
from sluguq.claims.catalogue import CLAIMS
from sluguq.figures import FIGURES
from sluguq.figures.drawing import draw
from sluguq.report.model_card import model_card
from sluguq.stores.tables import write_table
from tests.figures.stand_in import aggregated, models, with_artefacts

REPLICATES = 40
NUMBERS = ["value", "low", "high", "seeds", "images", "clusters"]


@pytest.fixture(scope="module")
def stores():
    three = {"light": [1, 2], "middle": [3, 4], "dark": [5, 6]}
    return {
        "training": aggregated(seeds=2, tested=24, pool=30, size=8),
        "external": aggregated(seeds=2, groups=three, pool=24, size=8, role="external"),
        "artefacts": with_artefacts(seeds=2, images=24),
        "models": models(seeds=2),
    }


@pytest.fixture(scope="module")
def tables(stores):
    return {role: make_tables(store, role, REPLICATES) for role, store in stores.items()}


def of(table: pd.DataFrame, index: str | list[str], **chosen: object) -> pd.DataFrame:
    for column, value in chosen.items():
        table = table[table[column] == value]
    return table.set_index(index)[NUMBERS].sort_index().astype(float)


@pytest.mark.parametrize("role", ["training", "external"])
def test_what_stands_in_two_tables_is_one_number(tables, role):
    """Correlations, retention gains, gaps and flags stand beside other signals too."""
    made = tables[role]
    by, signals, groups = "configuration", made["signals"], made["signals_by_group"]
    spearman = of(signals, by, signal="slug", test="spearman", among="all")
    gaps = {name: of(made["gaps"], [by, "group"], variable=name, measure="cliffs_delta") for name in ("mse", "slug")}
    pairs = [(of(made["correlations"], by, seed=-1, kind="spearman"), spearman)]
    for name in ("slug", "latent_std"):
        gain = of(signals, by, signal=name, test="retention_gain", among="all")
        pairs.append((of(made["removal"], by, seed=-1, score=name, measure="gain"), gain))
    for name, gap in gaps.items():
        pairs.append((gap, of(groups, [by, "group"], signal=name, test="cliffs_delta")))
    for test in ("flagged", "caught"):
        flags = of(made["flagging"], [by, "group"], measure=test)
        pairs.append((flags, of(groups, [by, "group"], signal="slug", test=test)))
    for first, second in pairs:
        assert len(first)
        pd.testing.assert_frame_equal(first, second, rtol=1e-9, atol=1e-12)


def numbers(part: object) -> tuple[float, float, float]:
    return part.estimate.value, part.estimate.low, part.estimate.high


def test_claims_are_judged_by_the_numbers_of_the_tables(stores, tables):
    datasets = {role: stores[role] for role in ("training", "external", "artefacts")}
    run = Run(datasets, None, REPLICATES)
    parts = {key: {p.name: p for p in claim.parts(run)} for key, claim in ((c.key, c) for c in CLAIMS) if key in ASKED}
    training = tables["training"]
    wanted = {
        ("slug_ranks_with_error", "B"): of(training["correlations"], "configuration", seed=-1, kind="spearman").loc[
            "B"
        ],
        ("slug_linear_with_error", "B"): of(training["correlations"], "configuration", seed=-1, kind="pearson").loc[
            "B"
        ],
        ("error_is_low", "A, light"): of(
            training["levels"], "configuration", variable="mse", group="light", measure="mean"
        ).loc["A"],
        ("latent_std_is_blind", "C"): of(
            training["gaps"], "configuration", variable="latent_std", measure="cliffs_delta"
        ).loc["C"],
        ("external_slug_ranks_with_error", "external, B"): of(
            tables["external"]["correlations"], "configuration", seed=-1, kind="spearman"
        ).loc["B"],
        ("slug_map_finds_artefacts", "ruler, B"): of(
            tables["artefacts"]["drawn_artefacts"], "configuration", artefact="ruler", map="slug_map", measure="auroc"
        ).loc["B"],
        ("error_map_misses_artefacts", "ink, B"): of(
            tables["artefacts"]["drawn_artefacts"], "configuration", artefact="ink", map="error_map", measure="auroc"
        ).loc["B"],
        ("slug_map_tells_labelled_artefacts", "training, ruler, B"): of(
            training["labelled"], "configuration", label="ruler", map="slug_map", summary="contrast"
        ).loc["B"],
    }
    assert {claim for claim, _ in wanted} == ASKED
    for (claim, name), row in wanted.items():
        np.testing.assert_allclose(numbers(parts[claim][name]), row[["value", "low", "high"]], rtol=1e-9)


ASKED = {
    "slug_ranks_with_error", "slug_linear_with_error", "error_is_low", "latent_std_is_blind",
    "external_slug_ranks_with_error", "slug_map_finds_artefacts", "error_map_misses_artefacts",
    "slug_map_tells_labelled_artefacts",
}  # fmt: skip


def test_figures_and_cards_say_what_the_tables_say(stores, tables):
    """The csv beside a figure is the table, or its own points; a card's cells are the table's."""
    training, compared = tables["training"], set()
    for name, specification in FIGURES.items():
        for role in {*specification.roles} & {"training", "artefacts"}:
            for table in map(tables[role].get, specification.tables):
                _, drawn = draw(name, stores[role], tables=tables[role])
                if table is not None and set(drawn.columns) == set(table.columns):
                    pd.testing.assert_frame_equal(drawn, table)
                    compared.add(name)
    assert {"group_gaps", "correlation_by_seed", "retention", "drawn_artefacts", "signals"} <= compared
    card = model_card(stores["training"], "B", training, {"clinic": tables["external"]["skin_types"]})
    row = of(training["levels"], "group", configuration="B", variable="mse", measure="mean").loc["dark"]
    assert f"| dark (FST 5, 6) | {row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}] |" in card
    figure, _ = draw("slug_against_mse", stores["training"], tables=training)
    value, low, high = of(training["correlations"], "configuration", seed=-1, kind="spearman").loc["B"][:3]
    titles = [axes.get_title() for axes in figure.axes]
    assert any(f"rank {value:.2f} [{low:.2f}, {high:.2f}]" in re.sub("−", "-", title) for title in titles)


@pytest.mark.parametrize("role", ["training", "artefacts", "models"])
def test_tables_come_back_from_disk_as_they_were(tables, role, tmp_path):
    assert list(tables[role]) == tables_for(role)
    for name, table in tables[role].items():
        write_table(tmp_path / f"{name}.csv", table, sealed=False)
        again = read_table(tmp_path / f"{name}.csv")
        pd.testing.assert_frame_equal(again, table.reset_index(drop=True), check_dtype=False, check_exact=True)


def test_names_that_look_like_numbers_or_nothing_stay_names(tmp_path):
    table = pd.DataFrame(
        {"configuration": ["1", "NA"], "level": ["", "nan"], "value": [np.nan, 1.0], "worst": [True, False]}
    )
    write_table(tmp_path / "table.csv", table, sealed=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv"), table)


def test_a_store_without_rows_has_tables_with_columns(stores, tmp_path):
    bare = stores["training"].drop_vars(["slug_map", "error_map", "label_site", "label_ruler"])
    for name, table in make_tables(bare.isel(image=slice(0, 20)), "training", 20).items():
        write_table(tmp_path / f"{name}.csv", table, sealed=False)
        assert list(read_table(tmp_path / f"{name}.csv").columns) == list(table.columns)
    for table in make_tables(stores["models"].drop_vars("sample_ita"), "models", 20).values():
        assert set(ESTIMATE) <= set(table.columns)
    assert {role for table in TABLES.values() for role in table.roles} == {
        "training",
        "external",
        "artefacts",
        "models",
    }


def test_a_seed_that_diverged_is_counted(stores):
    store = stores["training"].copy(deep=True)
    for name in ("mse", "slug", "latent_std"):
        store[name].values[0, 1] = np.nan
    for name, table in make_tables(store, "training", 20).items():
        if name in ("levels", "gaps", "correlations"):
            over = table[table["seed"] == -1] if "seed" in table else table
            lost = over.groupby("configuration")["undefined"].agg(["min", "max"])
            assert lost.loc["A"].tolist() == [1, 1], name
            assert lost.loc["B"].tolist() == [0, 0], name
