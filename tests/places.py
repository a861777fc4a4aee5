"""Where the repository lies, and the real photographs that some tests read (beside it, never in it)."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SLUGUQ_SHARED_DATA", ROOT.parent / "shared" / "data"))
