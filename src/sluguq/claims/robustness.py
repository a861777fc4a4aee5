"""Do verdicts stand where the data are taken another way? The same claims, judged again on parts of the test images.

Nothing is trained anew: what changes is which test images count, and in which group. Claims that need maps or external
data are not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.annotations import OTHER_TYPES, other_groups
from sluguq.analysis.tables import REPLICATES
from sluguq.claims.catalogue import CLAIMS
from sluguq.claims.rules import corrected, deciding, together
from sluguq.claims.run import NotInRun, Run
from sluguq.datasets.units import named

AS_IT_IS = "as it is"
COLUMNS = ("claim", "paper", "variant", "about", "estimate", "low", "high", "seeds", "images", "verdict", "same")


def variants(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """The test images taken in other ways, by what was done; the first as they are.

    - `one image of each duplicate`: where near duplicates are known, the first of each group alone;
    - `skin types by the other annotation`: groups as a second annotation has them;
    - `annotations agree on the group`: images that both put into the same group.
    """
    maps = [name for name in dataset.data_vars if {"y", "x"} <= set(dataset[name].dims)]
    plain = dataset.drop_vars(maps)
    found = {AS_IT_IS: plain}
    if "duplicate_group" in plain:
        group = plain["duplicate_group"].values
        known = named(group)
        repeated = pd.Series(group.astype(str)).duplicated().to_numpy() & known
        if repeated.any():
            found["one image of each duplicate"] = plain.isel(image=np.flatnonzero(~repeated))
    if OTHER_TYPES in plain:
        other, types = other_groups(plain)
        agree = (other == plain["group"].values.astype(str)) & (other != "")
        found["skin types by the other annotation"] = plain.assign(group=("image", other), fst=("image", types))
        found["annotations agree on the group"] = plain.isel(image=np.flatnonzero(agree))
    return found


def robustness(dataset: xr.Dataset, replicates: int = REPLICATES) -> pd.DataFrame:
    """Every claim that can be asked of the training data set's scores, under every variant of its test images.

    Columns: claim, paper, variant, then of the deciding part about, estimate, low, high, seeds, images, and verdict;
    same: whether the verdict is that of the images as they are.

    :param dataset: the aggregated store of the training data set.
    :param replicates: of the bootstrap.
    """
    rows: list[dict[str, object]] = []
    for variant, store in variants(dataset).items():
        run = Run({str(dataset.attrs.get("dataset", "")): store}, None, replicates)
        rows += [{"variant": variant, **row} for row in _judged(run)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    first = table[table["variant"] == AS_IT_IS].set_index("claim")["verdict"]
    return table.assign(same=table["verdict"] == table["claim"].map(first))


def _judged(run: Run) -> list[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = []
    for claim in CLAIMS:
        try:
            parts = claim.parts(run)
        except NotInRun:
            continue
        verdict, _ = together(parts, claim.fewest_seeds)
        shown = deciding(corrected(parts))
        numbers = {name: getattr(shown.estimate, name) for name in ("low", "high", "seeds", "images")}
        key = {"claim": claim.key, "paper": claim.paper, "about": shown.name, "verdict": verdict}
        rows.append({**key, "estimate": shown.estimate.value, **numbers})
    return rows
