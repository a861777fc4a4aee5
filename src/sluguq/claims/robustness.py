"""Do verdicts stand where the data are taken another way? The same claims, judged again on parts of the test images.

Nothing is trained anew: what changes is which test images count, and in which group. Claims that need maps or external
data are not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from sluguq.analysis.aggregated import groups_of, labels_of
from sluguq.analysis.annotations import OTHER_TYPES, other_groups
from sluguq.analysis.tables import REPLICATES
from sluguq.claims.catalogue import CLAIMS, added_claims
from sluguq.claims.rules import FEWEST_PATIENTS, corrected, deciding, together
from sluguq.claims.run import NotInRun, Run
from sluguq.datasets.nothing import is_nothing
from sluguq.datasets.units import named
from sluguq.machine.streams import stream

AS_IT_IS = "as it is"
COLUMNS = ("claim", "paper", "variant", "about", "estimate", "low", "high", "seeds", "images", "verdict", "same")


def variants(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """The test images taken in other ways, by what was done; the first as they are.

    - `one image of each duplicate`: where near duplicates are known, the first of each group alone;
    - `skin types by the other annotation`: groups as a second annotation has them;
    - `annotations agree on the group`: images that both put into the same group;
    - `matched by <label>`: of every level of a label (condition, site, atlas) as many images of the lightest as of the
      darkest group, drawn once; where that leaves `FEWEST_PATIENTS` images of each.
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
    for label in labels_of(plain):
        chosen = _matched(plain, label)
        if chosen is not None:
            found[f"matched by {label.removeprefix('label_').replace('_', ' ')}"] = plain.isel(image=chosen)
    return found


def _matched(dataset: xr.Dataset, label: str) -> np.ndarray | None:
    """Images of the outer groups, as many of either in every level; None where that leaves too few or parts nothing."""
    names = list(groups_of(dataset))
    tested = np.isfinite(dataset["mse"].transpose("configuration", "seed", "image").values).any(axis=(0, 1))
    levels = dataset[label].values
    group = dataset["group"].values.astype(str)
    known = tested & ~np.array([is_nothing(level) for level in levels])
    if label == OTHER_TYPES or len(names) < 2 or len(set(levels[known].astype(str))) < 2:
        return None
    rng = stream(0, f"matched by {label}")
    chosen: list[np.ndarray] = []
    for level in sorted(set(levels[known].astype(str))):
        here = known & (levels.astype(str) == level)
        members = [np.flatnonzero(here & (group == name)) for name in (names[0], names[-1])]
        count = min(map(len, members))
        chosen += [rng.choice(those, count, replace=False) for those in members]
    places = np.sort(np.concatenate(chosen)).astype(int)
    return places if len(places) >= 2 * FEWEST_PATIENTS else None


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
    for claim in (*CLAIMS, *added_claims()):
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
