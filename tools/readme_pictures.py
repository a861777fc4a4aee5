"""Make the pictures of the README from the results of the demo: `make demo`, then `make pictures`.

Synthetic images only. Needs Chromium or Chrome on the path for the picture of the page to explore.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "demo"
PICTURES = ROOT / "docs" / "images"
FIGURES = {"who": "error_by_group", "knows": "slug_knows"}
WIDTH = 1000
"""Pixels; twice what a README shows them at."""


def small(picture: Image.Image, name: str) -> None:
    """Write a picture as WebP, at most `WIDTH` pixels wide."""
    height = round(picture.height * WIDTH / picture.width)
    resized = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    resized.save(PICTURES / f"{name}.webp", quality=82, method=6)


def main() -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("there is no chromium or google-chrome on the path")
    if not (RESULTS / "explore.html").is_file():
        sys.exit(f"there is no {RESULTS / 'explore.html'}: run make demo first")
    PICTURES.mkdir(exist_ok=True)
    for name, figure in FIGURES.items():
        small(Image.open(RESULTS / "figures" / "phantom" / f"{figure}.png"), name)
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "explore.png"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1250,880"]
        waits = ["--virtual-time-budget=8000", f"--user-data-dir={folder}/profile", f"--screenshot={shot}"]
        subprocess.run([browser, *options, *waits, (RESULTS / "explore.html").as_uri()], check=True, timeout=120)
        small(Image.open(shot), "explore")


if __name__ == "__main__":
    main()
