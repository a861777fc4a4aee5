"""Flags with a guarantee on real photographs: how many are flagged of those that the thresholds have not seen.

    python benchmarks/conformal.py FOLDER

FOLDER holds `fitzpatrick17k.csv` and `images/`, named by md5hash. Two signals that need no network, total variation and
compressed size, stand for any: the guarantee knows nothing of what a signal is. Half of each group gives the
threshold, the other half is flagged, many times over; beside it the same with one threshold from all photographs.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from slug_common import publish, table
from sluguq.analysis.conformal import conformal_threshold
from sluguq.images.complexity import compressed_size, total_variation
from sluguq.images.decoding import decode
from sluguq.machine.streams import plain_stream

GROUPS = {"light": (1, 2), "dark": (5, 6)}
SHARES = (0.05, 0.1)
SIZE, DRAWS = 64, 400
SIGNALS = {"total variation": total_variation, "compressed size": compressed_size}


def photographs(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the photographs that are there, and the group of each."""
    labels = (
        pd.read_csv(folder / "fitzpatrick17k.csv").drop_duplicates("md5hash").set_index("md5hash").fitzpatrick_scale
    )
    pixels, groups = [], []
    for name, skin_types in GROUPS.items():
        for path in (folder / "images" / f"{key}.jpg" for key in labels.index[labels.isin(skin_types)]):
            if path.exists():
                pixels.append(decode(path.read_bytes(), SIZE))
                groups.append(name)
    return np.stack(pixels), np.array(groups)


def flagged(values: np.ndarray, groups: np.ndarray, share: float, *, by_group: bool) -> dict[str, list[float]]:
    """By group, the share of unseen photographs above the threshold, of every draw."""
    rng = plain_stream()
    shares: dict[str, list[float]] = {name: [] for name in GROUPS}
    for _ in range(DRAWS):
        seen = rng.random(len(values)) < 0.5
        for name in GROUPS:
            own = groups == name
            threshold = conformal_threshold(values[seen & own] if by_group else values[seen], share)
            shares[name].append(float((values[~seen & own] > threshold).mean()))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    pixels, groups = photographs(parser.parse_args().folder)
    rows = []
    for signal, compute in SIGNALS.items():
        values = np.asarray(compute(pixels), dtype=np.float64)
        for share in SHARES:
            own, common = (flagged(values, groups, share, by_group=by_group) for by_group in (True, False))
            for name in GROUPS:
                ends = np.percentile(own[name], [2.5, 97.5])
                rows.append(
                    [
                        signal,
                        f"{share:.0%}",
                        name,
                        f"{(groups == name).sum():,}",
                        f"{np.mean(own[name]):.1%}",
                        f"{ends[0]:.1%} to {ends[1]:.1%}",
                        f"{np.mean(common[name]):.1%}",
                    ]
                )
    head = [
        "signal",
        "asked, at most",
        "group",
        "photographs",
        "flagged",
        "95 % of draws",
        "with one threshold for all",
    ]
    words = f"Half of each group gives the threshold, the other half is flagged; {DRAWS} draws, {SIZE} px."
    publish(
        "Conformal flags on real photographs",
        "python benchmarks/conformal.py FOLDER",
        f"{words}\n\n{table(head, rows)}",
    )


if __name__ == "__main__":
    main()
