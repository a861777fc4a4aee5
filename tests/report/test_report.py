"""The page and the cards: whole, true to their input, and in need of nothing else."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from sluguq.analysis.catalogue import TABLES
from sluguq.analysis.making import make_table
from sluguq.analysis.tables import read_claims
from sluguq.claims import judge
from sluguq.claims.rules import UNASKED
from sluguq.figures import FIGURES, names_for
from sluguq.figures.drawing import save
from sluguq.figures.words import number
from sluguq.report.folded import MOST_ROWS, PLANNING, WITHOUT_FIGURE, folded
from sluguq.report.model_card import model_card
from sluguq.report.page import SECTIONS, write_report
from tests.figures.stand_in import aggregated, draw_of, models


@pytest.fixture(scope="module")
def store():
    return aggregated(seeds=2, tested=12, pool=16, size=8)


@pytest.fixture(scope="module")
def page(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for name in ("boxes_by_group", "maps_page", "flagged", "slug_against_mse", "error_by_group", "slug_knows"):
        save(*draw_of(name, store), folder / "figures" / "phantom", name)
    claims = judge({"phantom": store}, replicates=50)
    claims.to_csv(folder / "claims.csv", index=False)
    path = write_report(
        folder / "index.html",
        claims=read_claims(folder / "claims.csv"),
        datasets={"phantom": store},
        figures={"phantom": folder / "figures" / "phantom"},
        cards={"A": card_of(store, "A")},
        tables={name: make_table(name, store, 60) for name in ("gaps", "signals")},
        shown={"phantom": [folded(name, make_table(name, store, 20), f"{name}.csv") for name in WITHOUT_FIGURE]},
        links={
            "explore": "explore.html",
            "datasheets": {"phantom": "datasheets/phantom.html"},
            "cards": {"A": "model_cards/A.md"},
            "tables": {"phantom": {"levels": "tables/phantom/levels.csv"}},
            "claims": "claims.csv",
            "split_sizes": "tables/split_sizes.csv",
        },
        costs=[
            {"stage": "train", "jobs planned": "6", "jobs measured": "4", "hours taken": "1.25"},
            {"stage": "score", "jobs planned": "12", "jobs measured": "0", "hours taken": ""},
        ],
    )
    return claims, path.read_text(encoding="utf-8")


def card_of(store, name, external=None):
    """A model card from tables of few replicates."""
    tables = {table: make_table(table, store, 60) for table in ("levels", "flagging")}
    others = {n: make_table("skin_types", other, 60) for n, other in (external or {}).items()}
    return model_card(store, name, tables, others)


class Balanced(HTMLParser):
    """Counts tags that are opened and not closed, or the reverse."""

    VOID = frozenset({"meta", "br", "img", "col", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def test_the_page_is_whole_and_needs_no_network(page):
    _, html = page
    parser = Balanced()
    parser.feed(html)
    assert not parser.faults
    assert not parser.open
    shown = re.findall(r'(?:src|<link [^>]*href)="([^"]*)"', html)
    assert shown
    assert all(source.startswith("data:image/") for source in shown)
    assert not re.search(r'href="[a-z]*:?//', html)
    assert "@import" not in html
    assert "url(" not in html.split("<body>")[0]


def test_every_link_inside_the_page_arrives(page):
    _, html = page
    targets = set(re.findall(r'\bid="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= targets


def test_the_page_states_every_claim_once_and_the_tally(page):
    claims, html = page
    for statement in claims["statement"]:
        assert html.count(statement.replace("'", "&#39;")) == 1
    counted = claims["verdict"].value_counts()
    for verdict, count in counted.items():
        words = {UNASKED: "cannot be asked", "holds": "hold", "does not hold": "do not hold"}.get(verdict, verdict)
        assert f">{count} {verdict if count == 1 and verdict != UNASKED else words}<" in html
    assert counted[UNASKED] > 0
    assert "Cannot be asked of this run: " in html
    for paper, part in claims.groupby("paper"):
        summary = re.search(rf"<summary>{paper[0].upper()}{paper[1:]}: (.*?)</summary>", html)[1]
        assert sum(int(n) for n in re.findall(r"\d+", summary)) == (part["verdict"] != UNASKED).sum()
    assert "Synthetic images." in html
    assert "not for clinical use" in html.lower()


def test_the_answers_come_first_with_their_figures_and_words_are_explained(page):
    _, html = page
    order = [
        "<dfn>VAE</dfn>", "<dfn>SLUG</dfn>", "<dfn>group</dfn>", "<dfn>configuration</dfn>", "<dfn>seed</dfn>",
        "For whom does it fail?", 'id="phantom-error_by_group"', "Does it know?", 'id="phantom-slug_knows"',
        "What this run cannot say", 'href="explore.html"', 'id="fairness-paper"', 'id="claims"',
    ]  # fmt: skip
    places = [html.index(words) for words in order]
    assert places == sorted(places)
    assert html.count('id="phantom-error_by_group"') == html.count('id="phantom-slug_knows"') == 1


def test_figures_are_inside_at_their_size(page):
    _, html = page
    assert html.count('<img src="data:image/') == 6
    assert 'id="phantom-maps_page"' in html
    assert 'id="phantom-retention"' not in html


def test_text_alternatives_say_what_is_compared_and_of_how_many(page):
    _, html = page
    alternatives = re.findall(r'<img src="data:[^"]*" alt="([^"]*)"', html)
    assert len(set(alternatives)) == 6
    for words in alternatives:
        assert re.search(r"\bn = [\d,–]+ (test )?images", words)
        assert "2 seeds" in words
    assert any(
        "SLUG against reconstruction error. n = 24 images per seed, 2 seeds in one panel" in a for a in alternatives
    )


def test_a_paper_s_figures_in_other_sections_are_linked(page):
    """Figures 1 and 2 of the SLUG paper stand with the fairness paper's."""
    _, html = page
    section = html.split('<section id="slug-paper">')[1].split("</section>")[0]
    assert '<a href="#phantom-boxes_by_group">figures 1 and 2</a> (phantom, training data)' in section
    assert "phantom-slug_against_mse" not in section.split("In other sections")[1].split("</p>")[0]


def test_the_page_says_that_sensitivity_was_not_run_and_how_to(page, store, tmp_path):
    claims, html = page
    assert "Not run. <code>snakemake --cores all sensitivity</code>" in html
    folder = tmp_path / "figures" / "sensitivity"
    measured = {"setting": "rank", "value": 5, "reference": True, "measure": "level", "result": 1.0, "low": 0.9}
    table = pd.DataFrame([{**measured, "high": 1.1, "configuration": "B", "seed": s, "images": 20} for s in (-1, 0)])
    save(*draw_of("sensitivity", store, sensitivity=table), folder, "sensitivity")
    path = write_report(
        tmp_path / "index.html", claims=claims, datasets={"phantom": store}, figures={"sensitivity": folder}
    )
    html = path.read_text(encoding="utf-8")
    assert 'id="sensitivity-sensitivity"' in html
    assert "Not run." not in html


def test_a_figure_with_nothing_to_draw_is_named_and_not_shown(store, page, tmp_path):
    claims, _ = page
    for name in ("drawn_artefacts", "labelled_artefacts"):
        save(*draw_of(name, store), tmp_path / "figures", name)
    (tmp_path / "figures" / "labelled_artefacts.csv").write_text("label,value\nruler,0.5\n")
    path = write_report(
        tmp_path / "index.html", claims=claims, datasets={"phantom": store}, figures={"phantom": tmp_path / "figures"}
    )
    html = path.read_text(encoding="utf-8")
    assert 'id="phantom-labelled_artefacts"' in html
    assert 'id="phantom-drawn_artefacts"' not in html
    assert "nothing to draw: drawn artefacts." in html


def test_every_figure_has_a_place_on_the_page():
    placed = [name for section in SECTIONS for name in section.figures]
    assert len(placed) == len(set(placed))
    for role in ("training", "external", "artefacts"):
        assert set(names_for(role)) <= set(placed)


def test_the_card_says_what_was_trained_and_for_whom_it_works(store):
    card = card_of(store, "B")
    assert "configuration B of stand-in" in card
    assert "50 % light (FST 1, 2), 50 % dark (FST 5, 6)" in card
    assert "Synthetic images" in card
    assert "Not for diagnosis" in card
    assert "12 images per seed, 2 seeds" in card
    with pytest.raises(ValueError, match="no configuration 'D'; it has A, B, C"):
        card_of(store, "D")


def test_the_card_says_how_other_data_sets_fare(store):
    groups = {"brown": [3, 4], "dark": [5, 6]}
    errors = {c: {"brown": 0.01, "dark": 0.02} for c in "ABC"}
    other = aggregated(role="external", groups=groups, errors=errors, seeds=2, pool=16, unlabelled=5, maps=False)
    card = card_of(store, "B", {"clinic": other})
    section = card.split("## On data sets that it was not trained on")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert "### clinic" in section
    assert [row[0] for row in rows] == ["FST 3", "FST 4", "FST 5", "FST 6", "not known"]
    assert [row[3] for row in rows] == ["8 images per seed, 2 seeds"] * 4 + ["5 images per seed, 2 seeds"]
    chosen = other.sel(configuration="B").isel(image=np.flatnonzero(other["fst"].values == 6))
    for cell, name in zip(rows[3][1:3], ("mse", "slug"), strict=True):
        assert cell.split(" [")[0] == number(float(chosen[name].mean()))
    unscored = card_of(store, "B", {"clinic": other.drop_vars("slug")})
    assert unscored.count("not scored") == 5
    elsewhere = other.isel(configuration=slice(0, 1))
    assert "not trained on" not in card_of(store, "B", {"clinic": elsewhere})
    assert "not trained on" not in card_of(store, "B")


def test_rows_of_claims_count_images_and_patients(tmp_path, store):
    """As many images per seed as there are, and no patients where the data do not name them."""
    for patients, words in ((True, r"\d+ patients"), (False, "patients unknown")):
        home = aggregated(seeds=3, tested=12, pool=30, maps=False, patients=patients)
        claims = judge({"home": home}, labels=pd.DataFrame({"fst": [1, 6]}), replicates=20, models=models(epochs=20))
        page = write_report(tmp_path / "index.html", claims=claims, datasets={"home": home}, figures={}).read_text()
        cells = re.findall(r'<td data-name="n">(.*?)</td>', page, flags=re.DOTALL)
        shown = {row["claim"]: cell for row, cell in zip(_as_shown(claims), cells, strict=True)}
        distinct = np.isfinite(home["mse"].values[0]).any(axis=0).sum()
        assert re.fullmatch(rf"24 images per seed, {distinct} distinct<br>{words}\s*<br>3 seeds", shown["gap_under_A"])
        assert re.fullmatch(r"3 seeds", shown["loss_converged"].strip())
        assert re.fullmatch(r"2 images\s*", shown["dark_underrepresented"])
        assert re.fullmatch(rf"60 images<br>{words}\s*", shown["dark_images_more_complex"])
        assert "slug_map_finds_artefacts" not in shown, "what cannot be asked has no row"


def _as_shown(claims):
    """Rows in the order of the page: paper by paper, without those that cannot be asked."""
    rows = claims[claims["verdict"] != UNASKED].to_dict("records")
    return [row for paper in dict.fromkeys(claims["paper"]) for row in rows if row["paper"] == paper]


def test_photographs_get_a_card_without_the_mark(store):
    assert "Synthetic images:" not in card_of(store.assign_attrs(synthetic=0), "A")


def test_cards_are_set_as_a_page(page, store):
    _, html = page
    card = html.split('<div class="card">')[1].split("</div>")[0]
    assert "<h3>Model card: configuration A of stand-in</h3>" in card
    assert card.count("<table>") == 2
    assert card.count("<li>") == sum(line.startswith("- ") for line in card_of(store, "A").splitlines())
    assert "<p><strong>Synthetic images: these models know nothing about people.</strong></p>" in card
    assert "|" not in card


def test_datasheets_and_cards_are_linked(page):
    _, html = page
    assert '<a href="datasheets/phantom.html">phantom</a>' in html
    assert '<a href="model_cards/A.md">' in html
    assert '<a href="tables/phantom/levels.csv">levels</a>' in html
    assert '<a href="claims.csv">' in html


def test_split_sizes_are_linked_beside_what_was_trained(store, page, tmp_path):
    claims, _ = page
    save(*draw_of("spectrum", models=models(seeds=2)), tmp_path / "figures" / "models", "spectrum")
    path = write_report(
        tmp_path / "index.html", claims=claims, datasets={"phantom": store},
        figures={"models": tmp_path / "figures" / "models"}, links={"split_sizes": "tables/split_sizes.csv"},
    )  # fmt: skip
    training = path.read_text(encoding="utf-8").split('<section id="training">')[1].split("</section>")[0]
    assert '<a href="tables/split_sizes.csv">' in training


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (-2.0, "−2"),
        (1234.5, "1,230"),
        (3.2e7, "32,000,000"),
        (float("nan"), "–"),
        ("", "–"),
        (0, "0"),
    ],
)
def test_numbers_for_people(value, text):
    assert number(value) == text


def test_what_it_took_stands_beside_what_was_planned(page):
    section = page[1].split('<section id="took">')[1].split("</section>")[0]
    assert "<tr><td>train</td><td>6</td><td>4</td><td>1.25</td></tr>" in section
    assert "<tr><td>score</td><td>12</td><td>0</td><td>–</td></tr>" in section


def test_a_run_without_measurements_has_no_section_of_them(store, tmp_path):
    unmeasured = [{"stage": "train", "hours taken": ""}]
    claims = judge({"phantom": store}, replicates=50)
    written = write_report(
        tmp_path / "index.html", claims=claims, datasets={"phantom": store}, figures={}, costs=unmeasured
    )
    assert 'id="took"' not in written.read_text(encoding="utf-8")


def test_tables_without_a_figure_are_folded_on_the_page(page, store):
    text = page[1]
    for name in WITHOUT_FIGURE:
        assert TABLES[name].caption in unescape(text)
        assert not any(name in figure.tables for figure in FIGURES.values())
    table = make_table("tone_trend", store, 20)
    row = table.iloc[0]
    assert f"{number(row['value'])} [{number(row['low'])}, {number(row['high'])}]" in text
    assert '<a href="tone_trend.csv">as csv</a>' in text


def test_a_long_table_shows_its_first_rows_and_says_so():
    long = pd.DataFrame({"claim": ["c"] * (MOST_ROWS + 1), "decided": np.linspace(0, 1, MOST_ROWS + 1), "same": True})
    shown = folded("power", long, "power.csv")
    assert (len(shown.rows), shown.total) == (MOST_ROWS, MOST_ROWS + 1)
    assert shown.rows[0] == ["c", "0", "yes"]
    assert shown.caption == PLANNING["power"]


def test_the_verdict_among_all_claims_of_a_paper_stands_beside_the_verdict(page):
    claims, text = page
    asked = claims[claims["p_adjusted"].notna()]
    assert len(asked)
    for row in asked.itertuples():
        assert f"(adjusted p {number(row.p_adjusted, 2)})" in text
    assert f"Version of the rules: {claims['rules_version'].iloc[0]}." in text
