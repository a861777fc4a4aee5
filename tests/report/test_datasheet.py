"""The datasheet: counts, losses by skin type, and a page that stands alone."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from sluguq.datasets.acquisition import write_tables
from sluguq.datasets.base import Acquired
from sluguq.datasets.registry import load_registry
from sluguq.report.datasheet import (
    _masks,
    availability_by_fst,
    contact_sheet,
    dependence_on_fst,
    kind_of_reason,
    losses_by_reason,
    write_datasheet,
)
from sluguq.stages.prepare import prepare
from sluguq.stores.store import open_store


def rows(**counts: tuple[int, int]) -> pd.DataFrame:
    """Rows of availability; `f5=(available, missing)`."""
    made = [
        (int(name[1:]), state)
        for name, (available, missing) in counts.items()
        for state in ["available"] * available + ["missing"] * missing
    ]
    return pd.DataFrame(made, columns=["fst", "state"]).assign(id=range(len(made)))


def test_counts_shares_and_intervals():
    table = availability_by_fst(rows(f1=(90, 10), f6=(3, 7))).set_index("fst")
    assert table.index.tolist() == [1, 2, 3, 4, 5, 6, -1, "all"]
    assert table.loc[1, ["listed", "available", "missing"]].tolist() == [100, 90, 10]
    assert table.loc["all", ["listed", "available"]].tolist() == [110, 93]
    assert np.isnan(table.loc[3, "share"])
    # Wilson's interval of 90 of 100, by its formula.
    z, n, p = 1.959964, 100, 0.9
    middle, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)]
    assert table.loc[1, ["low", "high"]].tolist() == pytest.approx(expected, abs=1e-6)


def test_losses_that_depend_on_the_skin_type_are_told_from_others():
    assert dependence_on_fst(rows(f1=(900, 100), f6=(60, 40))) < 0.001
    assert dependence_on_fst(rows(f1=(900, 100), f6=(90, 10))) > 0.2
    for none in (rows(f1=(9, 0), f6=(4, 0)), rows(f1=(9, 3)), rows()):
        assert np.isnan(dependence_on_fst(none))


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (
            ["row 4 of labels.csv: 'seven' is no Fitzpatrick skin type (1 to 6, or empty)"],
            "… is no Fitzpatrick skin type",
        ),
        (
            ["wrong checksum: MD5 ab in place of cd (5 attempts)", "wrong checksum: MD5 x in place of y"],
            "wrong checksum",
        ),
        (["HTTP 404 Not Found"], "HTTP 404 Not Found"),
        (["cut off after 5 of 10 bytes (5 attempts)", "cut off after 7 of 9 bytes"], "cut off after …"),
        (["the host a.org keeps failing: HTTP 500", "the host a.org keeps failing"], "the host a.org keeps failing"),
        (["1 x 1 pixels; both sides must be at least 16"], "… pixels; both sides must be at least 16"),
    ],
)
def test_reasons_are_counted_by_kind(reasons, kind):
    assert {kind_of_reason(reason) for reason in reasons} == {kind}


def test_losses_by_reason():
    missing = pd.DataFrame(
        {"reason": ["HTTP 404 Not Found"] * 3 + ["the label table gives no url"], "fst": [6, 6, 1, 2]}
    )
    rejected = pd.DataFrame({"reason": ["the file is cut off"], "fst": [-1]})
    table = losses_by_reason(missing, rejected)
    assert table["all"].tolist() == [3, 1, 1]
    assert table.loc[0, ["stage", "reason", 6, 1]].tolist() == ["acquired", "HTTP 404 Not Found", 2, 1]
    assert set(table["stage"]) == {"acquired", "decoded"}
    assert len(losses_by_reason(missing.head(0), rejected.head(0))) == 0


@pytest.fixture
def prepared(tmp_path) -> Path:
    made = []
    for number in range(12):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
        Image.fromarray(coarse).resize((40, 40)).save(tmp_path / f"{number}.png")
        fst = (1, 5, -1)[number % 3]
        made.append(
            {"id": f"<{number}>", "file": f"{number}.png", "fst": fst, "patient": f"p{number % 2}", "label_x": "<b>"}
        )
    acquired = Acquired(images=made)
    acquired.lose("HTTP 404 <Not Found>", id="gone", fst=5)
    write_tables(acquired, tmp_path)
    (tmp_path / "3.png").write_bytes(b"<html>")
    prepare(tmp_path / "images.csv", tmp_path / "s.zarr", tmp_path / "r.csv", size=32, synthetic=True)
    return tmp_path


class Checker(HTMLParser):
    """Collects what a page shows and what it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.references: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def write(folder: Path, name: str, **keys: object) -> Checker:
    write_datasheet(
        folder / name,
        store=folder / "s.zarr",
        images=folder / "images.csv",
        missing=folder / "missing.csv",
        rejected=folder / "r.csv",
        name="<i>mine</i>",
        **keys,  # type: ignore[arg-type]
    )
    page = Checker()
    page.feed((folder / name).read_text())
    return page


def test_the_page_says_what_is_known_and_stands_alone(prepared):
    page = write(prepared, "d.html")
    assert "Datasheet: <i>mine</i>" in page.text
    assert "SYNTHETIC IMAGES" in page.text
    assert "HTTP 404 <Not Found>" in page.text
    assert "an HTML page, not a picture" in page.text
    assert "2 patients known for 11 of them" in page.text
    assert "<b> (11)" in page.text, "labels are shown, not obeyed"
    assert not {"b", "i"} & set(page.tags)
    assert "script" not in page.tags
    outside = [link for link in page.references if not link.startswith(("data:", "#"))]
    assert outside == []


def test_a_terminal_is_told_what_can_be_used_and_what_was_lost(prepared):
    told = write_datasheet(
        prepared / "d.html",
        store=prepared / "s.zarr",
        images=prepared / "images.csv",
        missing=prepared / "missing.csv",
        rejected=prepared / "r.csv",
        name="mine",
    )
    assert told.splitlines() == [
        "mine: 11 of 13 images can be used; by FST: 1: 3, 2: 0, 3: 0, 4: 0, 5: 4, 6: 0, without: 4",
        "  1 lost: HTTP 404 <Not Found>",
        "  1 lost: an HTML page, not a picture",
    ]


def test_no_table_or_figure_makes_a_narrow_page_move_sideways(prepared):
    write(prepared, "d.html")
    page = (prepared / "d.html").read_text()
    assert page.count("<table") == page.count('<div class="wide"><table') >= 3
    assert "svg { max-width: 100%; height: auto; }" in page


def test_a_published_set_shows_its_licence(prepared):
    page = write(prepared, "d.html", entry=load_registry()["passion"])
    assert "Data Use Public License" in page.text
    assert "Gottfrois" in page.text
    assert "https://passionderm.github.io/" in page.references


def test_the_same_seed_gives_the_same_page(prepared):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(prepared, name, seed=seed)
    first, again, other = ((prepared / name).read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_contact_sheet_shows_each_skin_type_at_most_as_often_as_asked(prepared):
    store = open_store(prepared / "s.zarr")
    fig = contact_sheet(store, per_fst=2)
    shown = [axes for axes in fig.axes if axes.images]
    assert len(shown) == 6
    labels = [text.get_text() for axes in fig.axes for text in axes.texts]
    assert labels == ["FST 1\nn = 3", "FST 5\nn = 4", "no FST\nn = 4"]
    stored = {store["pixels"].values[index].tobytes() for index in range(store.sizes["image"])}
    assert all(np.asarray(axes.images[0].get_array()).tobytes() in stored for axes in shown)
    out = io.BytesIO()
    fig.savefig(out, format="png")
    assert re.match(rb"\x89PNG", out.getvalue())


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("row 5 of my labels.csv: there is no such file", "there is no such file"),
        (
            "row 2 of t.csv: a link that leads out of the folder, to /data/store: name that folder under `links` to "
            "follow it",
            "a link that leads out of the folder, to …: name that folder under `links` to follow it",
        ),
        (
            "row 3 of t.csv: the photograph has FST 6 here, but FST 1 in row 2 of t.csv, which was kept; correct one",
            "the photograph has FST … here, but another in another row",
        ),
    ],
)
def test_new_reasons_of_one_kind_are_one(reason, kind):
    assert kind_of_reason(reason) == kind


class _Elements(HTMLParser):
    """Names of all elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


def _with_labels(folder: Path, text: str) -> Path:
    """The datasheet of a data set whose every name and label is a text."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((64, 64)).save(folder / "a.png")
    mask = np.zeros((64, 64), np.uint8)
    Image.fromarray(mask).save(folder / "m.png")
    shared = {"file": "a.png", "mask": "m.png", "patient": text, "lesion": text, "label_site": text}
    acquired = Acquired(images=[{**shared, "id": f"{text}{fst}", "fst": fst} for fst in (1, 6)])
    for place in ("acquired", "named"):
        acquired.lose(f"{place}: {text}", id=text, file=text, fst=5, url=text)
    write_tables(acquired, folder)
    prepare(folder / "images.csv", folder / "s.zarr", folder / "r.csv", size=64, progress=False)
    tables = {name: folder / f"{name}.csv" for name in ("images", "missing")}
    write_datasheet(folder / "d.html", store=folder / "s.zarr", rejected=folder / "r.csv", name=text, **tables)
    return folder / "d.html"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</style></title><iframe src=//x>",
        "{{ 7 * 7 }}{% raw %}",
        "$\\frac{1}{$ &lt;b&gt;",
    ],
)
def test_nothing_from_a_table_is_markup_on_the_page(tmp_path, text):
    harmless, page = (_Elements(), _Elements())
    harmless.feed(_with_labels(tmp_path / "harmless", "plain").read_text(encoding="utf-8"))
    content = _with_labels(tmp_path / "odd", text).read_text(encoding="utf-8")
    page.feed(content)
    assert page.found <= harmless.found
    assert "same file" in content
    assert "2 masks are empty" in content


def test_masks_that_are_hardly_what_is_meant_are_named():
    side = np.hypot(*(np.mgrid[:64, :64] - 32))
    masks = np.stack([side < 20, side < 0, side > 20, np.abs(side - 20) < 1, side < 0])
    images = xr.Dataset(
        {
            "lesion_mask": (("image", "y", "x"), masks.astype(np.uint8)),
            "has_lesion_mask": ("image", [True, True, True, True, False]),
            "id": ("image", ["whole", "void", "inverted", "ring", "without"]),
        }
    )
    sentence = _masks(images)
    assert "4 of 5 images have a lesion mask" in sentence
    assert "1 masks are empty (void)" in sentence
    assert "1 masks are perhaps inverted, as they cover the border and not what is within (inverted)" in sentence
    assert "1 masks are perhaps outlines that were not filled (ring)" in sentence
