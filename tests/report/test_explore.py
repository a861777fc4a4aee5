"""The page of every image: true to its stores, safe, quick to start, and used as a person would in a browser."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from sluguq.analysis.percentiles import percentiles, percentiles_by_model
from sluguq.report import explore, sheets
from sluguq.report.explore import write_explore_page
from sluguq.report.explorer import safe_json
from tests.figures.stand_in import aggregated, with_artefacts
from tests.report.browser import BROWSER, browser
from tests.report.explored import contents_of

HOSTILE = '</script><img src=x onerror="window.broken=1">\u2028 & "quoted" \\'
"""A name that would break out of a script, a tag, an attribute or a line, if anything let it."""

in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no browser on the path: install chromium (or google-chrome)")


@pytest.fixture(scope="module")
def stores():
    # More test images than a sheet has tiles, and images that two seeds tested.
    store = aggregated(seeds=2, tested=50, pool=60, size=16).load()
    store["id"].values[3] = HOSTILE
    store["label_site"].values[:] = np.resize(["arm", HOSTILE, ""], store.sizes["image"])
    return {"phantom": store, "artefacts": with_artefacts(seeds=2, images=6, kinds=("ruler", "ink"))}


@pytest.fixture(scope="module")
def page(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    write_explore_page(folder / "explore.html", stores, folder / "explore")
    return folder / "explore.html"


def test_every_score_is_there(page, stores):
    found, store = contents_of(page.with_name("explore")), stores["phantom"]
    images = found["phantom/images"]
    assert images["ids"] == store["id"].values.tolist()
    for name in "ABC":
        for seed in (0, 1):
            one, network = store.sel(configuration=name, seed=seed), found[f"phantom/{name}-{seed}"]
            rows = np.flatnonzero(np.isfinite(one["mse"].values))
            assert network["rows"] == rows.tolist()
            for key in ("mse", "slug", "slug_sem", "kl", "total_variation"):
                np.testing.assert_allclose(network["signals"][key], one[key].values[rows], rtol=1e-4)
            known = one["slug"].values[rows]
            np.testing.assert_allclose(network["signals"]["slug_percentile"], percentiles(known, known), rtol=1e-4)
    for key, values in (("group", store["group"].values), ("label_site", store["label_site"].values)):
        column = images["columns"][key]
        assert [column["values"][code] for code in column["codes"]] == values.tolist()
    assert images["columns"]["group"]["values"] == ["light", "dark"]
    assert images["columns"]["fst"]["values"] == ["1", "2", "5", "6"]
    assert set(found["artefacts/images"]["columns"]["artefact"]["values"]) == {"", "ruler", "ink"}


def test_percentiles_are_among_the_test_images_of_the_same_network():
    reference = aggregated(seeds=2, maps=False)
    other = aggregated(role="external", seeds=2, maps=False, key=1)
    found = percentiles_by_model(other, reference, "slug")
    known = reference["slug"].values[1, 1]
    expected = [100 * np.mean(known[np.isfinite(known)] < value) for value in other["slug"].values[1, 1]]
    np.testing.assert_allclose(found[1, 1], expected)
    assert np.isnan(percentiles_by_model(reference, reference, "slug")[np.isnan(reference["slug"].values)]).all()


def test_tiles_are_the_pictures_in_their_order(page, stores):
    store = stores["phantom"]
    rows = np.flatnonzero(np.isfinite(store["mse"].values[1, 0]))
    for stem, picture in (
        ("photograph", store["pixels"].values),
        ("B-0-reconstruction", store["reconstruction"].values[1, 0][rows]),
        ("B-0-slug_map", sheets.coloured(store["slug_map"].values[1, 0][rows])),
    ):
        files = [page.with_name("explore") / "phantom" / f"{stem}-{k}.webp" for k in range(-(-len(picture) // 64))]
        assert not (page.with_name("explore") / "phantom" / f"{stem}-{len(files)}.webp").exists()
        for place in (0, 13, len(picture) - 1):
            sheet = np.asarray(Image.open(files[place // 64]).convert("RGB")).astype(float)
            y, x = 16 * (place % 64 // 8), 16 * (place % 8)
            tile = sheet[y : y + 16, x : x + 16]
            distance = [np.abs(tile - other.astype(float)).mean() for other in picture]
            # WebP smooths the noise of small pictures; a map's is unlike any other's all the same.
            if stem == "B-0-slug_map":
                assert np.argmin(distance) == place
            else:
                assert distance[place] < 20


def test_maps_have_the_brightest_value_that_is_written(page, stores):
    network = contents_of(page.with_name("explore"))["phantom/A-1"]
    rows = np.array(network["rows"])
    maps = stores["phantom"]["slug_map"].values[0, 1][rows]
    np.testing.assert_allclose(network["brightest"]["slug_map"], np.percentile(maps, 99.5, axis=(1, 2)), rtol=1e-4)
    few = np.zeros((1, 64, 64))
    few[0, 0, 0] = 1
    assert sheets.brightest(few) == [1]
    assert sheets.coloured(few)[0, 0, 0].tolist() == sheets._palette()[255].tolist()
    assert not sheets.coloured(np.zeros((1, 4, 4))).max(axis=(0, 1, 2)).max() > 4


def test_large_pictures_become_small_tiles():
    picture = np.full((3, 256, 256, 3), 200, np.uint8)
    assert Image.open(io.BytesIO(sheets.sheet(picture))).size == (8 * 96, 96)


def test_where_there_are_very_many_pictures_an_image_has_those_of_one_seed(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(explore, "MOST_PICTURES", 10)
    write_explore_page(tmp_path / "explore.html", stores, tmp_path / "explore")
    found = contents_of(tmp_path / "explore")
    first, second = found["phantom/A-0"], found["phantom/A-1"]
    assert first["tiles"] == list(range(len(first["rows"])))
    assert [second["rows"][t] for t in second["tiles"]] == [r for r in second["rows"] if r not in first["rows"]]
    assert len(second["signals"]["slug"]) == len(second["rows"])
    assert "maps are those of the first seed" in (tmp_path / "explore.html").read_text()


def test_nothing_in_the_data_can_end_a_script(page):
    text = safe_json({"a": HOSTILE, "b": float("nan"), "c": [np.float64(1.5), None]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": HOSTILE, "b": None, "c": [1.5, None]}
    html = page.read_text(encoding="utf-8")
    assert "onerror" not in html.split("<script")[0]
    assert HOSTILE not in html
    for script in page.with_name("explore").rglob("*.js"):
        assert not set("<>&") & set(script.read_text())


def test_the_folder_is_whole_or_not_there(stores, tmp_path):
    write_explore_page(tmp_path / "explore.html", stores, tmp_path / "explore")
    (tmp_path / "explore" / "left.js").write_text("")
    broken = stores["phantom"].drop_vars("pixels")
    with pytest.raises(KeyError):
        write_explore_page(tmp_path / "other.html", {"phantom": broken.drop_vars("mse")}, tmp_path / "explore")
    assert (tmp_path / "explore" / "left.js").exists()
    assert not (tmp_path / "other.html").exists()
    write_explore_page(tmp_path / "explore.html", {"phantom": broken}, tmp_path / "explore")
    assert not (tmp_path / "explore" / "left.js").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no browser on the path")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def visit(tab, page: Path, width: int, hash: str = "") -> None:
    tab.errors.clear()
    tab.requests.clear()
    tab.open(page.as_uri() + hash, width)
    tab.wait("document.body.classList.contains('ready')")


def shown(tab) -> list[tuple[str, int]]:
    """Id and seed of the images on the page, in their order."""
    return [
        tuple(pair)
        for pair in tab.run(
            "(() => { const d = SluguqExplorer.shown(); return d.map(([n, p]) => [n.rows[p], Number(n.seed)]); })()"
        )
    ]


def text(tab, selector: str) -> str:
    return tab.run(f"document.querySelector({json.dumps(selector)}).textContent")


def expected(store, column: str, configuration: str = "B", descending: bool = True) -> list[tuple[int, int]]:
    """By the numbers that the page has, at five digits; equal ones by seed and place."""
    rows = [
        (float(f"{float(store[column].sel(configuration=configuration, seed=seed)[i]):.5g}"), i, seed)
        for seed in (0, 1)
        for i in range(store.sizes["image"])
        if np.isfinite(store["mse"].sel(configuration=configuration, seed=seed)[i])
    ]
    return [(i, seed) for _, i, seed in sorted(rows, key=lambda row: -row[0] if descending else row[0])]


@in_a_browser
@pytest.mark.parametrize("width", [1400, 420])
def test_images_are_sorted_filtered_opened_and_linked(tab, page, stores, width):
    store = stores["phantom"]
    visit(tab, page, width)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert text(tab, "#count").startswith("200 of 200 images")
    tab.choose("#sort", "mse")
    assert shown(tab) == expected(store, "mse")
    labels = tab.run("[...document.querySelectorAll('.cell')].map(c => c.getAttribute('aria-label'))")
    assert all(re.search(r" 0\.0*[1-9]\d\d$", label) for label in labels), "three digits everywhere, zeros among them"
    tab.click("#order")
    assert shown(tab) == expected(store, "mse", descending=False)
    assert text(tab, "#order") == "lowest first"
    tab.choose("#configuration", "C")
    tab.wait("SluguqExplorer.shown()[0][0].configuration === 'C'")
    assert shown(tab) == expected(store, "mse", "C", descending=False)
    # A group less.
    tab.run("document.querySelector('#controls details').open = true")
    tab.click('input[name="group"][value="light"]')
    assert {store["group"].values[i] for i, _ in shown(tab)} == {"dark"}
    tab.click('input[name="fst"][value="6"]')
    assert {int(store["fst"].values[i]) for i, _ in shown(tab)} == {5}
    tab.choose("#label", "label_site")
    arm = [
        option
        for option in ("0", "1", "2")
        if tab.run(f"document.querySelector('#value').options[{option}].text") == "arm"
    ]
    tab.choose("#value", arm[0])
    assert {str(store["label_site"].values[i]) for i, _ in shown(tab)} == {"arm"}
    tab.click("#reset")
    tab.wait("document.querySelector('#count').textContent.startsWith('200 of')")
    tab.choose("#verdict", "unusual")
    flagged = percentiles_by_model(store, store, "slug")[2] >= 95
    assert sorted(shown(tab)) == sorted((int(i), int(s)) for s, i in np.argwhere(flagged))
    tab.choose("#verdict", "")
    tab.choose("#seed", "1")
    tab.wait("document.querySelector('#count').textContent.startsWith('100 of')")
    # Open one, go on, close: the address follows.
    tab.click('.cell[data-place="0"]')
    tab.wait("document.querySelector('#detail').open && document.querySelectorAll('.side').length === 3")
    first, second = (store["id"].values[i] for i, _ in shown(tab)[:2])
    assert text(tab, "#name") == first
    assert tab.run("location.hash") == f"#phantom/C/1/{quote(first, safe='')}"
    headings = tab.run("[...document.querySelectorAll('.side h3')].map(h => h.firstChild.textContent)")
    assert headings == [f"Configuration {c}, seed 1" for c in "ABC"]
    assert tab.run("document.querySelectorAll('#detail .tile:not(.none)').length") == 1 + 3 * 3
    tab.press("ArrowRight")
    tab.wait(f"document.querySelector('#name').textContent === {json.dumps(second)}")
    tab.press("Escape")
    tab.wait("!document.querySelector('#detail').open && !location.hash")
    assert tab.errors == []
    assert all(request.startswith(("file:", "about:", "data:")) for request in tab.requests)


@in_a_browser
def test_points_are_clicked_and_brushed(tab, page):
    visit(tab, page, 1400)
    left, top = tab.run(
        "(() => { const r = document.querySelector('#scatter').getBoundingClientRect(); return [r.left, r.top]; })()"
    )
    points = tab.run("SluguqExplorer.scatter.points()")
    size = tab.run("[document.querySelector('#scatter').clientWidth, document.querySelector('#scatter').clientHeight]")
    corner, end = (60, 12), (size[0] * 0.6, size[1] * 0.7)
    tab.drag((left + corner[0], top + corner[1]), (left + end[0], top + end[1]))
    inside = [p for p in points if corner[0] <= p[0] <= end[0] and corner[1] <= p[1] <= end[1]]
    assert 0 < len(inside) < len(points)
    assert text(tab, "#count").startswith(f"{len(inside)} of 200 images")
    tab.click("#unbrush")
    assert text(tab, "#count").startswith("200 of 200")
    # The point that lies farthest from all others is hit without doubt.
    alone = max(points, key=lambda p: min(np.hypot(p[0] - q[0], p[1] - q[1]) for q in points if q is not p))
    nearest = tab.run(
        f"(() => {{ const [n, p] = SluguqExplorer.scatter.nearest({alone[0]}, {alone[1]}); return n.rows[p]; }})()"
    )
    tab.click_at(left + alone[0], top + alone[1])
    tab.wait("document.querySelector('#detail').open")
    opened = tab.run("decodeURIComponent(location.hash.split('/').pop())")
    assert opened == text(tab, "#name")
    assert opened == tab.run("document.querySelector('#name').textContent")
    assert contents_of(page.with_name("explore"))["phantom/images"]["ids"][nearest] == opened
    assert tab.errors == []


@in_a_browser
def test_a_link_opens_its_image_and_names_are_text(tab, page):
    visit(tab, page, 1400, f"#phantom/A/{seed_of(page, 3)}/{quote(HOSTILE, safe='')}")
    tab.wait("document.querySelector('#detail').open")
    assert text(tab, "#name") == HOSTILE
    assert tab.run("typeof window.broken") == "undefined"
    assert tab.run("document.querySelectorAll('img, iframe').length") == 0
    tab.press("Escape")
    visit(tab, page, 1400, "#phantom/A/0/gone")
    assert "There is no image gone" in text(tab, "#failure")


def seed_of(page: Path, image: int) -> int:
    found = contents_of(page.with_name("explore"))
    return next(seed for seed in (0, 1) if image in found[f"phantom/A-{seed}"]["rows"])


@in_a_browser
def test_the_keyboard_suffices_and_a_hover_previews(tab, page):
    visit(tab, page, 1400)
    tab.press("g")
    assert tab.run("document.activeElement.dataset.place") == "0"
    tab.press("ArrowRight")
    across = tab.run("[...document.querySelectorAll('.cell')].filter(c => c.style.top === '0px').length")
    tab.press("ArrowDown")
    assert tab.run("document.activeElement.dataset.place") == str(1 + across)
    tab.press("Enter")
    tab.wait("document.querySelector('#detail').open")
    tab.press("Escape")
    tab.wait("!document.querySelector('#detail').open")
    assert tab.run("document.activeElement.dataset.place") == str(1 + across)
    tab.press("4")
    assert tab.run("document.querySelector('#picture').value") == "slug_map"
    tab.mouse("mouseMoved", *tab.place('.cell[data-place="2"]'))
    tab.wait("!document.querySelector('#preview').hidden")
    captions = tab.run("[...document.querySelectorAll('#preview figcaption')].map(c => c.textContent.split(',')[0])")
    assert captions == ["photograph", "reconstruction", "error map", "SLUG map"]
    # Only what is in sight is in the page, also at the end of it.
    assert tab.run("document.querySelectorAll('.cell').length") < 200
    tab.run("scrollTo(0, document.body.scrollHeight)")
    tab.wait("document.querySelector('.cell[data-place=\"199\"]')")
    assert tab.errors == []


@in_a_browser
def test_a_run_of_one_seed_shows_its_images_at_once(tab, tmp_path):
    store = aggregated(seeds=1, tested=6, pool=8, size=16).load()
    write_explore_page(tmp_path / "explore.html", {"phantom": store}, tmp_path / "explore")
    visit(tab, tmp_path / "explore.html", 1400)
    assert text(tab, "#count").startswith("12 of 12 images")
    assert len(shown(tab)) == 12


@in_a_browser
def test_another_data_set_and_a_missing_folder(tab, page, tmp_path):
    visit(tab, page, 1400)
    tab.choose("#collection", "artefacts")
    tab.wait("document.querySelector('#about').textContent.startsWith('18 images')")
    tab.wait("SluguqExplorer.shown().length")
    tab.click('.cell[data-place="0"]')
    tab.wait("document.querySelectorAll('#photograph figure').length === 2")
    assert re.match("photograph", text(tab, "#photograph figcaption"))
    tab.press("Escape")
    lonely = tmp_path / "explore.html"
    lonely.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    tab.open(lonely.as_uri(), 1400)
    tab.wait("!document.querySelector('#failure').hidden")
    assert "keep the folder explore beside this page" in text(tab, "#failure")
