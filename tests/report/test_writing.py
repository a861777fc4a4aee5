"""From files to files: report and cards, figure and table of planning, registration and judged claims."""

from __future__ import annotations

import pandas as pd
import pytest

from sluguq.analysis.making import make_tables
from sluguq.analysis.tables import read_claims
from sluguq.claims import judge
from sluguq.config import resolve, resolved_yaml
from sluguq.figures.drawing import save
from sluguq.figures.planning import write_power
from sluguq.report.verdicts import write_claims, write_registration, write_robustness
from sluguq.report.writing import write_report_and_cards
from sluguq.stores.store import StoreError, open_stores
from sluguq.stores.tables import IMAGE_COLUMNS, MISSING_COLUMNS, REJECTED_COLUMNS, write_table
from tests.figures.stand_in import aggregated, draw_of, models, saved

CONFIGURATION = resolved_yaml(
    resolve(
        {
            "experiment": "stand-in",
            "datasets": {"phantom": {"source": "phantom", "counts": {1: 40, 5: 40}}},
            "training_dataset": "phantom",
            "seeds": [0, 1],
        }
    )
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An experiment's files: the store that was trained on, an external one, their tables, claims, a figure."""
    folder = tmp_path_factory.mktemp("report")
    stores = {
        "phantom": aggregated(seeds=2, tested=12, pool=16, size=8),
        "elsewhere": aggregated(role="external", seeds=2, pool=6, size=8, key=1, maps=False),
    }
    saved({n: s.assign_attrs(configuration=CONFIGURATION) for n, s in stores.items()}, folder)
    for name, store in stores.items():
        (folder / "tables" / name).mkdir(parents=True)
        for table, rows in make_tables(store, str(store.attrs["role"]), 20).items():
            rows.to_csv(folder / "tables" / name / f"{table}.csv", index=False)
    judge({"phantom": stores["phantom"]}, replicates=20).to_csv(folder / "claims.csv", index=False)
    save(*draw_of("flagged", stores["phantom"]), folder / "figures" / "phantom", "flagged")
    save(*draw_of("spectrum", models=models(seeds=2)), folder / "figures" / "models", "spectrum")
    return folder


def test_report_and_cards_come_from_files_and_link_them(folder):
    datasets = {name: folder / f"{name}.zarr" for name in ("phantom", "elsewhere")}
    planned = folder / "planning"
    write_power(planned / "power.csv", planned / "figures", datasets, replicates=20, planned=(2, 12))
    assert pd.read_csv(planned / "power.csv")["planned"].any()
    assert (planned / "figures" / "power.svg").is_file()
    write_report_and_cards(
        folder / "out" / "index.html",
        {"A": folder / "cards" / "A.md", "C": folder / "cards" / "C.md"},
        datasets=datasets,
        claims=folder / "claims.csv",
        split_sizes=folder / "split_sizes.csv",
        tables=[*(folder / "tables").rglob("*.csv"), planned / "power.csv"],
        figures=(folder / "figures").rglob("*.svg"),
        datasheets=[folder / "datasheets" / "phantom.html"],
        explore="explore.html",
    )
    html = (folder / "out" / "index.html").read_text(encoding="utf-8")
    for address in (
        "../claims.csv", "../split_sizes.csv", "../tables/phantom/gaps.csv", "../tables/elsewhere/skin_types.csv",
        "../planning/power.csv", "../datasheets/phantom.html", "../cards/C.md", "explore.html",
    ):  # fmt: skip
        assert f'href="{address}"' in html
    assert 'id="phantom-flagged"' in html
    for name in "AC":
        card = (folder / "cards" / f"{name}.md").read_text(encoding="utf-8")
        assert card.startswith(f"# Model card: configuration {name} of stand-in")
        assert "### elsewhere" in card


def test_stores_are_opened_by_name_in_their_order(folder):
    assert list(open_stores({n: folder / f"{n}.zarr" for n in ("phantom", "elsewhere")})) == ["phantom", "elsewhere"]
    with pytest.raises(StoreError, match=r"no store at .*nowhere\.zarr"):
        open_stores({"phantom": folder / "phantom.zarr", "nowhere": folder / "nowhere.zarr"})


def test_claims_are_registered_judged_and_judged_again_from_files(folder, tmp_path, capsys):
    for words in ("registered: rules", "unchanged since the last registration: rules"):
        write_registration(tmp_path / "registration.json", CONFIGURATION, {"seeds": [0, 1]})
        assert capsys.readouterr().out.startswith(words)
    saved({"models": models(seeds=2).assign_attrs(configuration=CONFIGURATION)}, tmp_path)
    table = pd.DataFrame({"id": ["a"], "file": ["a.jpg"], "fst": [1], "reason": ["lost"], "url": ""})
    for name, columns in (("images", IMAGE_COLUMNS), ("missing", MISSING_COLUMNS), ("rejected", REJECTED_COLUMNS)):
        write_table(tmp_path / f"{name}.csv", table.reindex(columns=list(columns)).assign(id=name))
    write_claims(
        tmp_path / "claims.csv",
        {"phantom": folder / "phantom.zarr"},
        tmp_path / "models.zarr",
        **{name: tmp_path / f"{name}.csv" for name in ("images", "missing", "rejected")},
        registration=tmp_path / "registration.json",
        replicates=20,
    )
    claims = read_claims(tmp_path / "claims.csv")
    assert claims["registered"].str.startswith("registered ").all()
    assert claims["verdict"].tolist()[0] in capsys.readouterr().out
    write_robustness(tmp_path / "robustness.csv", folder / "phantom.zarr", 20)
    again = pd.read_csv(tmp_path / "robustness.csv")
    assert again.loc[again["variant"] == "as it is", "same"].all()
