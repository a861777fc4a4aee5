"""How SLUG goes with the error: correlations over seeds and seed by seed."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from sluguq.analysis.statistics import pearson, spearman
from sluguq.analysis.tables import ESTIMATE, REPLICATES, Measure, estimate_rows, per_image


def correlations(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Rank and linear correlation of SLUG with the error, over seeds and for every seed.

    Columns: configuration, seed (-1 for the mean over seeds), kind (spearman, pearson), value, low, high,
    seeds, undefined, images, clusters; intervals at 95 %, those of one seed over its images alone.

    :param dataset: an opened aggregated store.
    :param replicates: of the bootstrap behind every interval.
    """
    frame = per_image(dataset, ["mse", "slug"])
    columns = {"x": "slug", "y": "mse"}
    measures = {"spearman": Measure(spearman, columns, "fisher"), "pearson": Measure(pearson, columns, "fisher")}
    rows = estimate_rows(frame, measures, {"seed": -1}, name="kind", replicates=replicates)
    for seed in sorted(set(frame["seed"])):
        part = frame[frame["seed"] == seed]
        rows += estimate_rows(part, measures, {"seed": int(seed)}, name="kind", replicates=replicates)
    return pd.DataFrame(rows, columns=["configuration", "seed", "kind", *ESTIMATE])
