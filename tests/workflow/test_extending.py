"""The pages of docs/extending, followed word for word: each adds a toy of its kind from outside the package."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from sluguq.stores.store import open_store
from tests.places import ROOT
from tests.workflow.conftest import SIDE_BY_SIDE, TINY, Checkout, copy_checkout

PAGES = sorted((ROOT / "docs" / "extending").glob("*.md"))
MOST_FILES = 2


def files_of(page: str) -> dict[str, str]:
    """Python files that a page has its reader write, by name."""
    return dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", page, flags=re.DOTALL))


def keys_of(page: str) -> dict[str, object]:
    """What a page has its reader put into the configuration."""
    (text,) = re.findall(r"In the configuration:\n\n```yaml\n(.*?)```", page, flags=re.DOTALL)
    return yaml.safe_load(text)


def merged(first: dict, second: dict) -> dict:
    """Both mappings, deeply; lists of extensions are joined."""
    result = dict(first)
    for key, value in second.items():
        if isinstance(value, dict) and isinstance(first.get(key), dict):
            result[key] = merged(first[key], value)
        else:
            result[key] = [*first.get(key, ()), *value] if key == "extensions" else value
    return result


def test_the_first_page_names_all_others():
    index = (ROOT / "docs" / "extending" / "index.md").read_text()
    assert {page.name for page in PAGES} - {"index.md"} <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "index.md"], ids=lambda page: page.stem)
def test_a_page_asks_for_no_more_than_two_files(page):
    assert len(files_of(page.read_text())) + bool(keys_of(page.read_text())) == MOST_FILES


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Checkout:
    """The tiny experiment with everything that the pages add, run to its end."""
    checkout = copy_checkout(tmp_path_factory.mktemp("extended") / "checkout")
    configuration = yaml.safe_load(TINY)
    for page in (page.read_text() for page in PAGES if page.name != "index.md"):
        for name, text in files_of(page).items():
            (checkout.folder / name).write_text(text)
        configuration = merged(configuration, keys_of(page))
    (checkout.folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(configuration))
    checkout.snakemake(*SIDE_BY_SIDE)
    return checkout


def test_everything_that_the_pages_add_is_in_the_results(extended):
    results, raw = extended.results, extended.folder / "data" / "raw" / "mine"
    assert len(open_store(results / "mine.zarr")["id"]) == 8
    assert "the camera was broken" in (raw / "missing.csv").read_text()
    skin = open_store(results / "skin.zarr")
    expected = 1 - skin["pixels"].values.astype("float32").mean(axis=(1, 2, 3)) / 255
    scored = skin["darkness"].values[0, 0]
    tested = np.isfinite(scored)
    assert tested.any()
    np.testing.assert_allclose(scored[tested], expected[tested], rtol=1e-5)
    signals = pd.read_csv(results / "tables" / "skin" / "signals.csv")
    assert signals.empty or "darkness" in set(signals["signal"])
    artefacts = open_store(results / "artefacts.zarr")
    assert {"ruler", "bar"} <= set(artefacts["artefact"].values)
    bar = artefacts["artefact_mask"].values[artefacts["artefact"].values == "bar"]
    assert (bar.reshape(len(bar), -1).mean(axis=1) == 1 / 8).all()
    spread = pd.read_csv(results / "tables" / "skin" / "spread.csv").set_index("configuration")["value"]
    for place, name in enumerate(skin["configuration"].values):
        assert spread[str(name)] == pytest.approx(np.nanstd(skin["mse"].values[place], ddof=1), rel=1e-4)
    for ending in ("svg", "png", "csv"):
        assert (results / "figures" / "skin" / f"error_bars.{ending}").stat().st_size > 0
    claims = pd.read_csv(results / "claims.csv").set_index("claim")
    assert claims.loc["error_below_half", "paper"] == "our registration"
    assert claims.loc["error_below_half", "estimate"] > 0
    basis = open_store(results / "eigenbases" / "A" / "seed-0.zarr")
    assert basis.sizes["rank"] == 2, "half of the rank in the configuration"


def test_an_edit_of_an_extension_reruns_what_it_adds_alone(extended):
    claim = extended.folder / "my_claim.py"
    text = claim.read_text()
    claim.write_text(text + "\nEDITED = 1\n")
    jobs = extended.planned()
    assert "claims" in jobs
    assert not {"train", "eigenbasis", "score", "artefacts", "acquire", "prepare"} & set(jobs)
    claim.write_text(text)


def test_a_mistake_in_an_extension_is_told_before_any_job(extended):
    (extended.folder / "wrong.py").write_text("raise ValueError('no such thing')\n")
    run = extended.snakemake("--dry-run", "--config", "extensions=[wrong.py]", check=False)
    assert run.returncode != 0
    assert "wrong.py fails: ValueError: no such thing" in run.stdout + run.stderr
    run = extended.snakemake("--dry-run", "--config", "extensions=[gone.py]", check=False)
    assert "there is no Python file" in run.stdout + run.stderr
