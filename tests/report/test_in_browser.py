"""The report in a real browser without a screen: nothing is fetched, broken, or wider than the window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sluguq.analysis.making import make_table
from sluguq.claims import judge
from sluguq.figures.drawing import save
from sluguq.report.page import write_report
from tests.figures.stand_in import aggregated, draw_of, models, with_artefacts
from tests.report.test_report import card_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no browser on the path: install chromium (or google-chrome) to look at the report in it"
)
WIDTHS = (1280, 400)
# All that is folded away is unfolded first. What scrolls within itself may be wider than the window.
MEASURE = """<script>addEventListener("load", () => {
document.querySelectorAll("details").forEach(d => d.open = true);
const found = {
  width: innerWidth,
  page: document.documentElement.scrollWidth,
  images: document.images.length,
  broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt),
  cropped: [...document.images].filter(i => !i.closest(".scroll") && i.getBoundingClientRect().right > innerWidth)
    .map(i => i.alt),
  small: [...document.images].filter(i => i.closest(".scroll") && i.getBoundingClientRect().width < 400)
    .map(i => i.alt),
  fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
};
parent.postMessage(JSON.stringify(found), "*");
});</script>"""
# A browser's window has a least width, about 500; a frame in it has none.
FRAME = """<!doctype html><body style="margin: 0"><pre id="measured" style="display: none"></pre><script>
addEventListener("message", m => document.getElementById("measured").textContent = m.data);
</script><iframe src="inner.html" style="width: {width}px; height: 1600px; border: 0"></iframe></body>"""


def browse(page: Path, width: int, *options: str) -> str:
    """Open a page with the script `MEASURE` in a frame of this width; what the browser prints. No name is resolved."""
    content = page.read_text(encoding="utf-8")
    page.with_name("inner.html").write_text(content.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    page.with_name("frame.html").write_text(FRAME.format(width=width))
    command = [
        str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,1600",
        f"--user-data-dir={page.parent / 'profile'}", *options, page.with_name("frame.html").as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout


def measured(page: Path, width: int) -> dict:
    """What the script `MEASURE` finds in the page."""
    found = re.search(r'<pre id="measured"[^>]*>(.*?)</pre>', browse(page, width, "--dump-dom"))
    assert found, "the browser printed no page"
    assert found.group(1), "the page did not finish loading"
    return json.loads(html.unescape(found.group(1)))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with wide, tall and many-panelled figures, of three sources, all claims and a card."""
    folder = tmp_path_factory.mktemp("browser")
    store = aggregated(seeds=2, tested=12, pool=16, size=8)
    artefacts, trained = with_artefacts(seeds=2, images=6, kinds=("ruler", "ink")), models(seeds=2)
    for name in ("error_by_group", "boxes_by_group", "signals", "maps_page", "levels_by_group"):
        save(*draw_of(name, store), folder / "figures" / "phantom", name)
    save(*draw_of("artefact_maps", artefacts), folder / "figures" / "artefacts", "artefact_maps")
    save(*draw_of("samples", models=trained), folder / "figures" / "models", "samples")
    datasets = {"phantom": store, "artefacts": artefacts}
    return write_report(
        folder / "index.html",
        claims=judge(datasets, replicates=30),
        datasets=datasets,
        figures={path.name: path for path in sorted((folder / "figures").iterdir())},
        cards={name: card_of(store, name) for name in "AB"},
        tables={"gaps": make_table("gaps", store, 30)},
        links={"tables": {"phantom": {"levels": "tables/phantom/levels.csv"}}, "claims": "claims.csv"},
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_is_whole_at_every_width(report, width):
    found = measured(report, width)
    assert found["width"] == width
    assert found["images"] == 7
    assert found["broken"] == []
    assert found["fetched"] == []
    assert found["page"] <= width
    assert found["cropped"] == []
    assert found["small"] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_screenshot_shows_the_report(report, width):
    picture = report.with_name(f"{width}.png")
    browse(report, width, f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("L")).astype(float)[:, :width]
    assert pixels.shape == (1600, width)
    # Words and frames from the top to the bottom of the window, not a blank or an error page.
    for band in np.array_split(pixels, 8):
        assert (band < 128).mean() > 0.002


def test_what_is_wrong_with_a_page_is_seen(tmp_path):
    """The measurement itself: a broken picture, one from elsewhere and a table that is too wide are told."""
    page = tmp_path / "wrong.html"
    page.write_text(
        '<!doctype html><html><body><img alt="gone" src="data:image/png;base64,AAAA">'
        '<img alt="far" src="http://elsewhere.invalid/picture.png"><div style="width: 3000px">.</div></body></html>'
    )
    found = measured(page, 1280)
    assert found["broken"] == ["gone", "far"]
    assert found["fetched"] == ["http://elsewhere.invalid/picture.png"]
    assert found["page"] >= 3000
