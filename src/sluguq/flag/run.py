"""New photographs judged by the trained models of an experiment: how unusual is the SLUG of each?

SLUG has no absolute scale, and its level differs between networks. So each photograph is compared, network by
network, with the test images of the experiment that this same network has scored and was not trained on; the
percentiles are then averaged over networks, and the average is ranked among those that such images would have.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from sluguq.config.paths import ResultPaths
from sluguq.flag.judges import find_judges
from sluguq.flag.page import SHOWN, write_page
from sluguq.flag.photographs import PAGE, REJECTED, TABLE, read_photographs
from sluguq.flag.scores import score_photographs, scored_anew
from sluguq.flag.table import judged_table
from sluguq.stores.tables import write_table


class Flagged(NamedTuple):
    """What `flag` wrote, and how many photographs were judged and could not be read."""

    table: Path
    page: Path
    judged: int
    rejected: int


def flag(
    folder: str | os.PathLike[str],
    experiment: str | os.PathLike[str],
    *,
    configuration: str | None = None,
    out: str | os.PathLike[str] | None = None,
    probes: int | None = None,
) -> Flagged:
    """Judge the photographs of a folder and write flagged.csv, flagged.html and flagged.rejected.csv.

    The table has one row per photograph, most suspect first (by percentile of SLUG, then by its ratio to the median):
    file; slug and mse, means over networks; slug_sem, the standard error of the mean over networks (of the probes,
    where there is one network or theirs is larger); slug_percentile and mse_percentile (0 to 100) among the
    reference, of several networks the rank of the mean percentile (`sluguq.flag.table.rank_of_mean`); slug_ratio,
    SLUG over the reference's median; slug_percentile_<group> among that group's images alone; slug_p_<group>, the
    conformal p-value in that group (of images like its own at most a share α has one of α or less,
    `sluguq.analysis.conformal`), and slug_p, the largest of them, where every group has one; and for each network
    slug, slug_sem, slug_percentile, mse and mse_percentile, ending in _seed-<seed>.

    :param folder: photographs, also in folders below; hidden files are passed over.
    :param experiment: folder of the experiment's results, results/<name>.
    :param configuration: configuration whose networks judge; by default the most mixed one.
    :param out: folder to write to; by default results/<name>/flagged/<name of the folder>.
    :param probes: random probes of an image; by default as the experiment's own images were scored. With another number
        the reference is scored anew too, so that both are equally accurate.
    :raises FlagError: where there is no such experiment or configuration, no eigenbasis that was kept, or no
        photograph to judge.
    :raises StoreError: where a file of the experiment is damaged.
    :raises WeightsError: likewise.
    """
    folder, experiment = Path(folder), Path(experiment)
    judges = find_judges(experiment, configuration)
    out = Path(ResultPaths(experiment).flagged(folder.resolve().name) if out is None else out)
    names, pixels, rejected = read_photographs(folder, judges.size, judges.fit, skip=out)
    settings = dict(judges.score)
    if probes not in (None, settings["probes"]):
        settings |= {"probes": probes, "tolerance": None, "accuracy": None}
        judges = scored_anew(judges, settings)
    all_fit = len(pixels) <= SHOWN
    scores, maps = score_photographs(judges, pixels, settings, maps=all_fit)
    table = judged_table(names, judges.networks, scores, judges.groups)
    first = table.index[:SHOWN].to_numpy()
    if not all_fit:
        # Maps of thousands of photographs by several networks would not fit into memory.
        _, maps = score_photographs(judges, pixels[first], settings, maps=True)
    elif maps is not None:
        maps = maps.taken(first)
    assert maps is not None
    table = table.reset_index(drop=True)
    write_table(out / TABLE, table, sealed=False)
    write_table(out / REJECTED, rejected, sealed=False)
    write_page(out / PAGE, table, pixels[first], maps, judges, rejected, settings)
    return Flagged(out / TABLE, out / PAGE, len(table), len(rejected))
