"""Write the captions of Snakemake's report from the catalogue of figures; `make documents` runs it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from sluguq.figures.catalogue import FIGURES, caption_text  # noqa: E402

for name in FIGURES:
    (ROOT / "workflow" / "report" / f"{name}.rst").write_text(caption_text(name), encoding="utf-8")
